/**
 * A chunk without its unused bytes, as a zstd frame (RFC 8878, 3.1.1) that no compressor has made:
 * what is used goes into it as it is (raw blocks), and what is not costs four bytes for each
 * 128 KiB (RLE blocks). So what is unused stays off the network where nothing is compressed, and
 * any decoder puts it back as zeros.
 */

const MAGIC = 0xfd2fb528;
/** Four bytes for the content's size; the content is the window. */
const DESCRIPTOR = 0xa0;
const HEADER_BYTES = 9;
const MAX_BLOCK_BYTES = 128 * 1024;
const BLOCK_HEADER_BYTES = 3;
const RAW = 0;
const RLE = 1;

/**
 * @param unused where each run of zeros begins and ends, in turn
 * @param out as long as the chunk
 * @returns length of the frame, or -1 where it would be longer than `mostBytes`
 */
export function writeSparseFrame(
  chunk: Buffer,
  unused: readonly number[],
  out: Buffer,
  mostBytes: number,
): number {
  if (sparseFrameBytes(chunk.length, unused) > mostBytes) return -1;
  out.writeUInt32LE(MAGIC);
  out[4] = DESCRIPTOR;
  out.writeUInt32LE(chunk.length, 5);
  let at = HEADER_BYTES;
  const writeRun = (type: number, start: number, end: number): void => {
    for (let from = start; from < end; from += MAX_BLOCK_BYTES) {
      const to = Math.min(end, from + MAX_BLOCK_BYTES);
      const isLast = to === chunk.length ? 1 : 0;
      at = out.writeUIntLE(((to - from) << 3) | (type << 1) | isLast, at, BLOCK_HEADER_BYTES);
      if (type === RLE) out[at++] = 0;
      else at += chunk.copy(out, at, from, to);
    }
  };
  forEachRun(chunk.length, unused, (isUnused, start, end) =>
    writeRun(isUnused ? RLE : RAW, start, end),
  );
  return at;
}

function sparseFrameBytes(lengthBytes: number, unused: readonly number[]): number {
  let bytes = HEADER_BYTES;
  forEachRun(lengthBytes, unused, (isUnused, start, end) => {
    const blocks = Math.ceil((end - start) / MAX_BLOCK_BYTES);
    bytes += blocks * BLOCK_HEADER_BYTES + (isUnused ? blocks : end - start);
  });
  return bytes;
}

function forEachRun(
  lengthBytes: number,
  unused: readonly number[],
  visit: (isUnused: boolean, start: number, end: number) => void,
): void {
  let at = 0;
  for (let i = 0; i < unused.length; i += 2) {
    if (unused[i]! > at) visit(false, at, unused[i]!);
    visit(true, unused[i]!, unused[i + 1]!);
    at = unused[i + 1]!;
  }
  if (at < lengthBytes) visit(false, at, lengthBytes);
}
