/**
 * Block packets: the only packets of which there are many. They are written into and read out
 * of larger buffers at an offset, field by field, so that nothing is allocated per packet.
 */
import { HEADER_BYTES, MAGIC, PacketType, VERSION } from './packet.js';
import { readU16, readU24, readU32 } from './words.js';

/** Header of a block packet, the common 16 bytes included. */
export const BLOCK_HEADER_BYTES = HEADER_BYTES + 12;

/** Its first four bytes. */
const BLOCK_PACKET_BEGIN = (MAGIC << 16) | (VERSION << 8) | PacketType.block;

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
export const MAX_ENCODED_BYTES = 0xffffff;

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
 * Writes a block packet's header into `packets` at `offset`; the payload of `payloadBytes` bytes
 * follows it. The session comes in halves, since a BigInt would be taken apart for each packet.
 * Space and encoding share the byte after the 24-bit length with the variant: two bits, two bits,
 * four bits.
 */
export function writeBlockHeader(
  packets: DataView,
  offset: number,
  sessionHigh: number,
  sessionLow: number,
  header: BlockFields,
  payloadBytes: number,
): void {
  if (header.encodedLength > MAX_ENCODED_BYTES) throw new RangeError('chunk too long');
  const kind = kindOf(header.space, header.encoding, header.variant);
  packets.setUint32(offset, BLOCK_PACKET_BEGIN);
  packets.setUint16(offset + 4, BLOCK_HEADER_BYTES + payloadBytes);
  packets.setUint16(offset + 6, header.block);
  packets.setUint32(offset + 8, sessionHigh);
  packets.setUint32(offset + 12, sessionLow);
  packets.setUint32(offset + 16, header.chunk);
  packets.setUint32(offset + 20, header.position);
  packets.setUint32(offset + 24, (header.encodedLength << 8) | kind);
}

/**
 * How many block packets, at most `most`, continue the one at `before` in `packets`: each the next
 * block of the same chunk at the next position, in a packet of the same length `length`, with all
 * else alike. A train consists of such packets, so this looks at every packet: at all fields, in
 * seven words.
 * @param end where the bytes end; nothing beyond is read
 */
export function countContinuing(
  packets: DataView,
  before: number,
  length: number,
  end: number,
  most: number,
): number {
  // All that comes again and again, read once: what is not the same in the next packet counts up.
  const type = packets.getInt32(before);
  let lengthAndBlock = packets.getInt32(before + 4);
  const sessionHigh = packets.getInt32(before + 8);
  const sessionLow = packets.getInt32(before + 12);
  const chunk = packets.getInt32(before + 16);
  let position = packets.getInt32(before + 20);
  const encoding = packets.getInt32(before + 24);
  // A block's number must not carry into the length.
  const blocksLeft = 0xffff - (lengthAndBlock & 0xffff);
  const fitting = Math.min(most, blocksLeft, Math.floor((end - before) / length) - 1);
  let count = 0;
  for (let offset = before + length; count < fitting; offset += length) {
    lengthAndBlock = (lengthAndBlock + 1) | 0;
    position = (position + 1) | 0;
    if (
      packets.getInt32(offset) !== type ||
      packets.getInt32(offset + 4) !== lengthAndBlock ||
      packets.getInt32(offset + 8) !== sessionHigh ||
      packets.getInt32(offset + 12) !== sessionLow ||
      packets.getInt32(offset + 16) !== chunk ||
      packets.getInt32(offset + 20) !== position ||
      packets.getInt32(offset + 24) !== encoding
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
export const kindOf = (space: SpaceId, encoding: EncodingId, variant: number): number =>
  (space << 6) | (encoding << 4) | variant;
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
