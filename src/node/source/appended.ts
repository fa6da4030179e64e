/**
 * What others append to a compressed image. OpenWrt puts a signature and metadata behind its
 * images, each with a trailer: "FWx0", a CRC of 4 bytes, its kind, 3 bytes of nothing, and its
 * length with the trailer (fwtool).
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const TRAILER_BYTES = 16;
const MAGIC = 'FWx0';
const LENGTH_AT = 12;

/** @returns the length of a file without what is known to be appended to it */
export function lengthWithoutAppended(path: string): number {
  const fd = openSync(path, 'r');
  try {
    let end = fstatSync(fd).size;
    for (;;) {
      const length = appendedBefore(fd, end);
      if (length === 0) return end;
      end -= length;
    }
  } finally {
    closeSync(fd);
  }
}

function appendedBefore(fd: number, endBytes: number): number {
  const trailer = Buffer.alloc(TRAILER_BYTES);
  if (endBytes < TRAILER_BYTES) return 0;
  readSync(fd, trailer, 0, TRAILER_BYTES, endBytes - TRAILER_BYTES);
  if (trailer.toString('latin1', 0, MAGIC.length) !== MAGIC) return 0;
  const length = trailer.readUInt32BE(LENGTH_AT);
  return length >= TRAILER_BYTES && length < endBytes ? length : 0;
}
