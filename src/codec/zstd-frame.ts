/** The header of a zstd frame (RFC 8878, 3.1.1.1): what it claims about its content. */

const MAGIC = 0xfd2fb528;
/** Memory that a decoder may be made to set aside for its window. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

/**
 * Whether the bytes begin a frame that claims to hold exactly `lengthBytes`, needs no dictionary
 * and no more memory than a chunk may cost. Decoders may then trust it with that much memory,
 * whoever sent it.
 */
export function claimsLength(bytes: Buffer, lengthBytes: number): boolean {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== MAGIC) return false;
  const descriptor = bytes[4]!;
  const hasReservedBit = (descriptor & 0x08) !== 0;
  const hasDictionary = (descriptor & 0x03) !== 0;
  if (hasReservedBit || hasDictionary) return false;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment && windowBytesOf(bytes[5]!) > MAX_WINDOW_BYTES) return false;
  return (
    contentSizeOf(bytes, isSingleSegment ? 5 : 6, descriptor >> 6, isSingleSegment) === lengthBytes
  );
}

function windowBytesOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** @returns the claimed size, or -1 where the header makes no claim or is cut short */
function contentSizeOf(
  bytes: Buffer,
  offset: number,
  flag: number,
  isSingleSegment: boolean,
): number {
  const fieldBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flag]!;
  if (fieldBytes === 0 || bytes.length < offset + fieldBytes) return -1;
  if (fieldBytes === 8) return Number(bytes.readBigUInt64LE(offset));
  // RFC 8878: the two-byte field counts from 256 on.
  return bytes.readUIntLE(offset, fieldBytes) + (fieldBytes === 2 ? 256 : 0);
}
