/**
 * Block packets: the only packets of which there are many. They are written into and read out
 * of larger buffers at an offset, field by field, so that nothing is allocated per packet.
 */
import { HEADER_BYTES, highHalf, lowHalf, PacketType, writeHeaderOfHalves } from './packet.js';

/** Header of a block packet, the common 16 bytes included. */
export const BLOCK_HEADER_BYTES = HEADER_BYTES + 12;

/** What a chunk index counts. */
export const Space = {
  /** Chunks of the image. */
  image: 0,
  /** Pages of the block map. */
  mapPage: 1,
  /** The block map's root: one chunk, index 0. */
  mapRoot: 2,
} as const;
export type SpaceId = (typeof Space)[keyof typeof Space];
export const SPACE_COUNT = 3;

/** How a chunk's bytes travel. */
export const Encoding = {
  raw: 0,
  zstd: 1,
} as const;
export type EncodingId = (typeof Encoding)[keyof typeof Encoding];

/** Largest encoded chunk that the 24-bit length field can name. */
export const LARGEST_ENCODED_BYTES = 0xffffff;

/** What a block packet's header says besides its session. */
export interface BlockFields {
  chunk: number;
  block: number;
  /** Count of packets sent to the group before this one, modulo 2^32. */
  position: number;
  encodedLength: number;
  space: SpaceId;
  encoding: EncodingId;
  /** Two encodings of one chunk with different variants must not be mixed (compression level). */
  variant: number;
}

export interface BlockHeader extends BlockFields {
  session: bigint;
}

/** Writes a block packet's header; see `writeBlockHeaderOfHalves`. */
export function writeBlockHeader(
  bytes: Buffer,
  offset: number,
  header: BlockHeader,
  payloadBytes: number,
): void {
  const { session } = header;
  const [high, low] = [highHalf(session), lowHalf(session)];
  writeBlockHeaderOfHalves(bytes, offset, high, low, header, payloadBytes);
}

/**
 * Writes a block packet's header; the payload of `payloadBytes` bytes follows it.
 * Space and encoding share the byte after the 24-bit length with the variant:
 * two bits, two bits, four bits.
 */
export function writeBlockHeaderOfHalves(
  bytes: Buffer,
  offset: number,
  sessionHigh: number,
  sessionLow: number,
  header: BlockFields,
  payloadBytes: number,
): void {
  const length = BLOCK_HEADER_BYTES + payloadBytes;
  writeHeaderOfHalves(bytes, offset, PacketType.block, length, sessionHigh, sessionLow);
  bytes.writeUInt16BE(header.block, offset + 6);
  bytes.writeUInt32BE(header.chunk, offset + 16);
  bytes.writeUInt32BE(header.position, offset + 20);
  bytes.writeUIntBE(header.encodedLength, offset + 24, 3);
  bytes[offset + 27] = (header.space << 6) | (header.encoding << 4) | header.variant;
}

export const blockOf = (bytes: Buffer, offset: number): number => bytes.readUInt16BE(offset + 6);
export const chunkOf = (bytes: Buffer, offset: number): number => bytes.readUInt32BE(offset + 16);
export const positionOf = (bytes: Buffer, offset: number): number =>
  bytes.readUInt32BE(offset + 20);
export const encodedLengthOf = (bytes: Buffer, offset: number): number =>
  bytes.readUIntBE(offset + 24, 3);
/** The byte of space, encoding and variant: chunks agree on it or are not the same encoding. */
export const kindByteOf = (bytes: Buffer, offset: number): number => bytes[offset + 27]!;
export const spaceOfKind = (kind: number): number => kind >> 6;
export const encodingOfKind = (kind: number): number => (kind >> 4) & 3;

/** Blocks that an encoded chunk of `encodedLength` bytes is cut into; an empty one has none. */
export function blockCountOf(encodedLength: number, blockSize: number): number {
  return Math.ceil(encodedLength / blockSize);
}

/** Payload bytes of block `block`: `blockSize`, or what is left for the last one. */
export function blockLengthOf(encodedLength: number, blockSize: number, block: number): number {
  return Math.min(blockSize, encodedLength - block * blockSize);
}
