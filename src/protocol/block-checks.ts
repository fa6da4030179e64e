/**
 * Checks of the blocks of one chunk. A client whose blocks are all here, and do not make the right
 * chunk, finds by them which were damaged on their way, and asks for these alone.
 */
import { CHECK_BYTES, checkOf, isAsWritten, writeCheck } from './check.js';
import {
  HEADER_BYTES,
  MAX_CONTROL_PACKET_BYTES,
  PacketType,
  packetSession,
  writeHeader,
} from './packet.js';

export interface BlockChecks {
  session: bigint;
  /** Send position: the packet counts as one of the stream. */
  position: number;
  chunk: number;
  encodedLength: number;
  /** Space, encoding and variant, as in the header of a block. */
  kindByte: number;
  /** Block of the first check; the others follow. */
  first: number;
  /** CRC-32 of each block's payload. */
  checks: number[];
}

const BLOCK_CHECKS_BYTES = HEADER_BYTES + 16;
/** Most checks that one packet carries. */
export const MAX_BLOCK_CHECKS = Math.floor(
  (MAX_CONTROL_PACKET_BYTES - BLOCK_CHECKS_BYTES - CHECK_BYTES) / CHECK_BYTES,
);

/**
 * The checks of the blocks of an encoded chunk, from block `first` on, as many as one packet
 * carries.
 */
export function checksOfBlocks(
  bytes: Uint8Array,
  encodedLength: number,
  blockSize: number,
  first: number,
): number[] {
  const checks: number[] = [];
  for (let at = first * blockSize; at < encodedLength; at += blockSize) {
    if (checks.length === MAX_BLOCK_CHECKS) break;
    checks.push(checkOf(bytes, at, Math.min(at + blockSize, encodedLength)));
  }
  return checks;
}

export function encodeBlockChecks(value: BlockChecks): Buffer {
  const bytes = Buffer.alloc(BLOCK_CHECKS_BYTES + value.checks.length * CHECK_BYTES + CHECK_BYTES);
  writeHeader(bytes, 0, PacketType.blockChecks, bytes.length, value.session);
  bytes.writeUInt32BE(value.chunk, 16);
  bytes.writeUInt32BE(value.position, 20);
  bytes.writeUIntBE(value.encodedLength, 24, 3);
  bytes[27] = value.kindByte;
  bytes.writeUInt16BE(value.first, 28);
  bytes.writeUInt16BE(value.checks.length, 30);
  let at = BLOCK_CHECKS_BYTES;
  for (const check of value.checks) at = bytes.writeUInt32BE(check, at);
  return writeCheck(bytes);
}

/** @returns null for what does not fit to the last byte */
export function decodeBlockChecks(bytes: Buffer): BlockChecks | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < BLOCK_CHECKS_BYTES || !isAsWritten(bytes)) return null;
  const count = bytes.readUInt16BE(30);
  if (count > MAX_BLOCK_CHECKS || end !== BLOCK_CHECKS_BYTES + count * CHECK_BYTES) return null;
  const checks: number[] = [];
  for (let at = BLOCK_CHECKS_BYTES; at < end; at += CHECK_BYTES) {
    checks.push(bytes.readUInt32BE(at));
  }
  return {
    session: packetSession(bytes, 0),
    position: bytes.readUInt32BE(20),
    chunk: bytes.readUInt32BE(16),
    encodedLength: bytes.readUIntBE(24, 3),
    kindByte: bytes[27]!,
    first: bytes.readUInt16BE(28),
    checks,
  };
}
