/**
 * The bytes of a block map: a root, and a page for each CHUNKS_PER_PAGE chunks.
 *
 *     root: "MCBMAP1\0" | image size u64 | chunk size u32 | page count u32 | 32 bytes per page
 *     page: kind bitmap, 512 bytes | 32-byte BLAKE3 of each data chunk, in order
 *
 * Numbers are big endian. The root holds the BLAKE3 of each page's bytes, or 32 zero bytes
 * for a page whose chunks are all zero: such a page never travels. Bit i of the kind bitmap
 * (the least significant bit of a byte first) is 1 where the page's chunk i holds data; bits
 * past the image's end are 0. There is one way to write a map, so the root's BLAKE3 names
 * the image at this chunk size.
 */

import { type Bitmap, countBits } from './bitmap.js';
import { CHUNKS_PER_PAGE, Geometry } from './geometry.js';

/** BLAKE3: 32 bytes. Handed in, so that this room does no IO and tests may count calls. */
export type Digest = (bytes: Uint8Array) => Buffer;

export const DIGEST_BYTES = 32;

/** The kind bitmap at the head of each page, in bytes. A short last page has all of it too. */
export const KIND_BITMAP_BYTES = CHUNKS_PER_PAGE / 8;

const ROOT_MAGIC = Buffer.from('MCBMAP1\0', 'latin1');
const OFFSET_SIZE = 8;
const OFFSET_CHUNK_SIZE = 16;
const OFFSET_PAGE_COUNT = 20;
const ROOT_HEADER_BYTES = 24;

const NO_DIGEST = Buffer.alloc(DIGEST_BYTES);

/** Length of the root, in bytes. At most 24 + 32 * 8192. */
export function rootLength(geometry: Geometry): number {
  return ROOT_HEADER_BYTES + geometry.pageCount * DIGEST_BYTES;
}

/** Length of a page that holds nothing but data, in bytes: no page of this image is longer. */
export function largestPageLength(geometry: Geometry): number {
  return KIND_BITMAP_BYTES + Math.min(CHUNKS_PER_PAGE, geometry.chunkCount) * DIGEST_BYTES;
}

/** @param pageDigests one per page, null where all its chunks are zero */
export function encodeRoot(geometry: Geometry, pageDigests: readonly (Buffer | null)[]): Buffer {
  const root = Buffer.alloc(rootLength(geometry));
  ROOT_MAGIC.copy(root);
  root.writeBigUInt64BE(BigInt(geometry.sizeBytes), OFFSET_SIZE);
  root.writeUInt32BE(geometry.chunkSizeBytes, OFFSET_CHUNK_SIZE);
  root.writeUInt32BE(geometry.pageCount, OFFSET_PAGE_COUNT);
  for (const [page, digest] of pageDigests.entries()) {
    digest?.copy(root, ROOT_HEADER_BYTES + page * DIGEST_BYTES);
  }
  return root;
}

/** The sizes a root speaks of, or null unless it is a whole root. Never throws. */
export function parseRoot(root: Buffer): Geometry | null {
  if (root.length < ROOT_HEADER_BYTES) return null;
  if (!root.subarray(0, ROOT_MAGIC.length).equals(ROOT_MAGIC)) return null;
  // Past 2**53 the number is not exact, and not a size that Geometry accepts either.
  const sizeBytes = Number(root.readBigUInt64BE(OFFSET_SIZE));
  const geometry = Geometry.parse(sizeBytes, root.readUInt32BE(OFFSET_CHUNK_SIZE));
  if (geometry === null) return null;
  if (root.readUInt32BE(OFFSET_PAGE_COUNT) !== geometry.pageCount) return null;
  return root.length === rootLength(geometry) ? geometry : null;
}

/** The digest that the root holds for a page: a view, or null for a page of zeros. */
export function pageDigestOf(root: Buffer, page: number): Buffer | null {
  const start = ROOT_HEADER_BYTES + page * DIGEST_BYTES;
  const digest = root.subarray(start, start + DIGEST_BYTES);
  return digest.equals(NO_DIGEST) ? null : digest;
}

/**
 * The bytes of a page of which everything is known.
 * @param data which of the image's chunks hold data: some of the page do
 * @param digests 32 bytes for each chunk of the page; those of zero chunks are passed over
 */
export function encodePage(
  geometry: Geometry,
  page: number,
  data: Bitmap,
  digests: Buffer,
): Buffer {
  const first = geometry.firstChunkOf(page);
  const count = geometry.chunksInPage(page);
  const bytes = Buffer.alloc(KIND_BITMAP_BYTES + data.countRange(first, count) * DIGEST_BYTES);
  data.writeRange(first, count, bytes);
  let end = KIND_BITMAP_BYTES;
  data.forEachSetRange(first, (runFirst, runCount) => {
    const from = runFirst - first;
    const to = Math.min(from + runCount, count);
    if (from < to) end += digests.copy(bytes, end, from * DIGEST_BYTES, to * DIGEST_BYTES);
    return to < count;
  });
  return bytes;
}

/** A page that holds data, ready to be asked about single chunks. */
export class MapPage {
  /** How many data chunks the page has. */
  readonly dataCount: number;
  #kinds: Buffer;
  #digests: Buffer | null;
  /** Data chunks before each run of 32, so that finding a digest takes no counting from the start. */
  readonly #ranks: Uint16Array;

  private constructor(kinds: Buffer, digests: Buffer, ranks: Uint16Array, dataCount: number) {
    this.#kinds = kinds;
    this.#digests = digests;
    this.#ranks = ranks;
    this.dataCount = dataCount;
  }

  /**
   * Null unless the bytes are a page of `chunkCount` chunks, some of them data, to the byte.
   * Keeps views of the bytes. Never throws. The digest of the page is the caller's to check.
   */
  static parse(bytes: Buffer, chunkCount: number): MapPage | null {
    if (bytes.length < KIND_BITMAP_BYTES) return null;
    const ranks = new Uint16Array(KIND_BITMAP_BYTES / 4);
    let dataCount = 0;
    for (let run = 0; run < ranks.length; run += 1) {
      const kinds = bytes.readUInt32LE(run * 4);
      const used = Math.min(32, Math.max(0, chunkCount - run * 32));
      // Shifting by 32 would shift by nothing.
      if (used < 32 && kinds >>> used !== 0) return null;
      ranks[run] = dataCount;
      dataCount += countBits(kinds);
    }
    // A page of zeros is written as no page at all.
    if (dataCount === 0) return null;
    if (bytes.length !== KIND_BITMAP_BYTES + dataCount * DIGEST_BYTES) return null;
    const kinds = bytes.subarray(0, KIND_BITMAP_BYTES);
    return new MapPage(kinds, bytes.subarray(KIND_BITMAP_BYTES), ranks, dataCount);
  }

  /** @param slot the chunk's place in the page */
  isData(slot: number): boolean {
    return ((this.#kinds[slot >>> 3]! >>> (slot & 7)) & 1) === 1;
  }

  /** The chunk's digest: a view; null for a zero chunk, or after `releaseDigests`. */
  digestOf(slot: number): Buffer | null {
    if (this.#digests === null || !this.isData(slot)) return null;
    const run = slot >>> 5;
    const before = this.#kinds.readUInt32LE(run * 4) & ~(0xffff_ffff << (slot & 31));
    const start = (this.#ranks[run]! + countBits(before)) * DIGEST_BYTES;
    return this.#digests.subarray(start, start + DIGEST_BYTES);
  }

  /** Gives up the digests and keeps the kinds. */
  releaseDigests(): void {
    // A copy: a view would hold on to the whole page.
    if (this.#digests !== null) this.#kinds = Buffer.from(this.#kinds);
    this.#digests = null;
  }
}
