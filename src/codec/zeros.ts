/** Zeros to compare with, and to write. */
export const ZEROS = Buffer.alloc(1024 * 1024);

/**
 * Makes zeros of what is unused of a chunk, so that nothing of it is sent, or has a part in its
 * digest.
 * @param unused where each run begins and ends, in turn
 */
export function clearUnused(chunk: Buffer, unused: readonly number[]): void {
  for (let i = 0; i < unused.length; i += 2) chunk.fill(0, unused[i], unused[i + 1]);
}

export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (part.compare(ZEROS, 0, part.length) !== 0) return false;
  }
  return true;
}
