/**
 * The check at the end of every control packet: CRC-32 as in Ethernet and zlib (IEEE 802.3,
 * reflected polynomial 0xEDB88320). Checksums of UDP miss whole classes of damage, and some network
 * cards do not compute them at all. A control packet that was damaged on its way could end a copy;
 * a damaged block only fails its digest.
 */
import { readU32, writeU32 } from './words.js';

export const CHECK_BYTES = 4;

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = (remainder >>> 1) ^ ((remainder & 1) * 0xedb88320);
  }
  return remainder;
});

/** CRC-32 of `bytes[start, end)`, as an unsigned number. */
export function checkOf(bytes: Uint8Array, start: number, end: number): number {
  let remainder = -1;
  for (let at = start; at < end; at++) {
    remainder = (remainder >>> 8) ^ TABLE[(remainder ^ bytes[at]!) & 0xff]!;
  }
  return ~remainder >>> 0;
}

/** Writes the check into the last bytes of a packet that is complete otherwise. */
export function writeCheck(bytes: Buffer): Buffer {
  const end = bytes.length - CHECK_BYTES;
  writeU32(bytes, end, checkOf(bytes, 0, end));
  return bytes;
}

/** Whether a packet, which has at least the bytes of a check, is as its sender wrote it. */
export function isAsWritten(bytes: Buffer): boolean {
  const end = bytes.length - CHECK_BYTES;
  return readU32(bytes, end) === checkOf(bytes, 0, end);
}
