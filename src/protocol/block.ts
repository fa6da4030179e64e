/**
 * Block packets: the only packets of which there are many. They are written into and read out
 * of larger buffers at an offset, field by field, so that nothing is allocated per packet.
 */
import { HEADER_BYTES, PacketType, writeHeaderOfHalves } from './packet.js';
import { readI32, readU16, readU24, readU32, writeU16, writeU24, writeU32 } from './words.js';

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

/**
 * Writes a block packet's header; the payload of `payloadBytes` bytes follows it. The session comes
 * in halves, since a BigInt would be taken apart for each packet.
 * Space and encoding share the byte after the 24-bit length with the variant:
 * two bits, two bits, four bits.
 */
export function writeBlockHeader(
  bytes: Buffer,
  offset: number,
  sessionHigh: number,
  sessionLow: number,
  header: BlockFields,
  payloadBytes: number,
): void {
  if (header.encodedLength > LARGEST_ENCODED_BYTES) throw new RangeError('chunk too long');
  const length = BLOCK_HEADER_BYTES + payloadBytes;
  writeHeaderOfHalves(bytes, offset, PacketType.block, length, sessionHigh, sessionLow);
  writeU16(bytes, offset + 6, header.block);
  writeU32(bytes, offset + 16, header.chunk);
  writeU32(bytes, offset + 20, header.position);
  writeU24(bytes, offset + 24, header.encodedLength);
  bytes[offset + 27] = (header.space << 6) | (header.encoding << 4) | header.variant;
}

/**
 * How many block packets, at most `most`, continue the one at `before`: each the next block of the
 * same chunk at the next position, in a packet of the same length `length`, with all else alike.
 * A train consists of such packets, so this looks at every packet: at all fields, in seven words.
 * @param end where the bytes end; nothing beyond is read
 */
export function countContinuing(
  bytes: Buffer,
  before: number,
  length: number,
  end: number,
  most: number,
): number {
  // All that comes again and again, read once: what is not the same in the next packet counts up.
  const type = readI32(bytes, before);
  let lengthAndBlock = readI32(bytes, before + 4);
  const sessionHigh = readI32(bytes, before + 8);
  const sessionLow = readI32(bytes, before + 12);
  const chunk = readI32(bytes, before + 16);
  let position = readI32(bytes, before + 20);
  const encoding = readI32(bytes, before + 24);
  // A block's number must not carry into the length.
  const blocksLeft = 0xffff - (lengthAndBlock & 0xffff);
  const fitting = Math.min(most, blocksLeft, Math.floor((end - before) / length) - 1);
  let count = 0;
  for (let offset = before + length; count < fitting; offset += length) {
    lengthAndBlock = (lengthAndBlock + 1) | 0;
    position = (position + 1) | 0;
    if (
      readI32(bytes, offset) !== type ||
      readI32(bytes, offset + 4) !== lengthAndBlock ||
      readI32(bytes, offset + 8) !== sessionHigh ||
      readI32(bytes, offset + 12) !== sessionLow ||
      readI32(bytes, offset + 16) !== chunk ||
      readI32(bytes, offset + 20) !== position ||
      readI32(bytes, offset + 24) !== encoding
    ) {
      break;
    }
    count++;
  }
  return count;
}

export const blockOf = (bytes: Buffer, offset: number): number => readU16(bytes, offset + 6);
export const chunkOf = (bytes: Buffer, offset: number): number => readU32(bytes, offset + 16);
export const positionOf = (bytes: Buffer, offset: number): number => readU32(bytes, offset + 20);
export const encodedLengthOf = (bytes: Buffer, offset: number): number =>
  readU24(bytes, offset + 24);
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
