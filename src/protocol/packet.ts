/**
 * The 16 bytes that every packet begins with. `docs/PROTOCOL.md` has the table.
 *
 * A packet says its own length, so that packets back to back in one buffer (a train that
 * the receiver's kernel left coalesced) read like packets that came one by one.
 */

import { readU16, readU32, writeU16, writeU32 } from './words.js';

/** "MC", then the version of the wire format in the third byte. */
export const MAGIC = 0x4d43;
export const VERSION = 3;
export const HEADER_BYTES = 16;

/** Largest UDP payload over IPv4: 65,535 less 20 bytes of IP and 8 of UDP header. */
export const MAX_PACKET_BYTES = 65_507;
/**
 * Control packets stay below the smallest MTU that IPv6 guarantees (1280, RFC 8200) less headers.
 */
export const MAX_CONTROL_PACKET_BYTES = 1200;

export const PacketType = {
  mapRequest: 1,
  imageDescription: 2,
  blockRequest: 3,
  report: 4,
  block: 5,
  status: 6,
  farewell: 7,
  notice: 8,
  zeroRanges: 9,
  blockChecks: 10,
  probe: 11,
  probeAnswer: 12,
  statementRequest: 13,
  statement: 14,
  locked: 15,
} as const;

export type PacketTypeName = keyof typeof PacketType;

const OFFSET_VERSION = 2;
const OFFSET_TYPE = 3;
const OFFSET_LENGTH = 4;
const OFFSET_SESSION = 8;

/**
 * Length in bytes of the packet at `offset`, or 0 when the bytes up to `end` do not begin
 * with a whole packet of this protocol and version.
 */
export function packetLength(bytes: Buffer, offset: number, end: number): number {
  if (end - offset < HEADER_BYTES) return 0;
  if (readU16(bytes, offset) !== MAGIC) return 0;
  if (bytes[offset + OFFSET_VERSION] !== VERSION) return 0;
  const length = readU16(bytes, offset + OFFSET_LENGTH);
  if (length < HEADER_BYTES || length > end - offset) return 0;
  return length;
}

export function packetType(bytes: Buffer, offset: number): number {
  return bytes[offset + OFFSET_TYPE]!;
}

/** Session id as two 32-bit halves compares without allocating a BigInt per packet. */
export function sessionHigh(bytes: Buffer, offset: number): number {
  return readU32(bytes, offset + OFFSET_SESSION);
}

export function sessionLow(bytes: Buffer, offset: number): number {
  return readU32(bytes, offset + OFFSET_SESSION + 4);
}

export function packetSession(bytes: Buffer, offset: number): bigint {
  return bytes.readBigUInt64BE(offset + OFFSET_SESSION);
}

/** Writes a header whose type-specific bytes 6 and 7 are zero. */
export function writeHeader(
  bytes: Buffer,
  offset: number,
  type: number,
  length: number,
  session: bigint,
): void {
  writeU16(bytes, offset, MAGIC);
  bytes[offset + OFFSET_VERSION] = VERSION;
  bytes[offset + OFFSET_TYPE] = type;
  writeU16(bytes, offset + OFFSET_LENGTH, length);
  writeU16(bytes, offset + 6, 0);
  writeU32(bytes, offset + OFFSET_SESSION, highHalf(session));
  writeU32(bytes, offset + OFFSET_SESSION + 4, lowHalf(session));
}

export const highHalf = (session: bigint): number => Number(session >> 32n);
export const lowHalf = (session: bigint): number => Number(session & 0xffffffffn);

/** Whether a packet comes to a client alone. */
export function isAnswer(type: number): boolean {
  return (
    type === PacketType.imageDescription ||
    type === PacketType.farewell ||
    type === PacketType.statement
  );
}
