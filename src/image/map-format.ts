/**
 * The bytes of a block map: a root, and a page for each CHUNKS_PER_PAGE chunks.
 *
 *     root: "MCBMAP2\0" | image size u64 | chunk size u32 | page count u32 | 32 bytes per page
 *     page: data bitmap, 512 bytes | free bitmap, 512 bytes | 32-byte BLAKE3 of each data chunk
 *
 * Numbers are big endian. The root holds the BLAKE3 of each page's bytes; 32 zero bytes for a
 * page whose chunks are all zero, and 32 bytes of 0xff for one whose chunks are all free: such
 * pages never travel. Bit i of a bitmap (the least significant bit of a byte first) is 1 where
 * the page's chunk i holds data, or is free; it is never 1 in both, and bits past the image's end
 * are 0. There is one way to write a map, so the root's BLAKE3 names the image at this chunk size.
 */

import { type Bitmap, countBits } from './bitmap.js';
import { CHUNKS_PER_PAGE, Geometry } from './geometry.js';

/** BLAKE3: 32 bytes. Handed in, so that this room does no IO and tests may count calls. */
export type Digest = (bytes: Uint8Array) => Buffer;

export const DIGEST_BYTES = 32;

/** What a chunk is: bytes that have a digest, zeros, or what no file system uses. */
export type Kind = 'data' | 'zero' | 'free';

/** Each of the two bitmaps at the head of a page, in bytes. A short last page has all of it too. */
export const KIND_BITMAP_BYTES = CHUNKS_PER_PAGE / 8;
/** What comes before a page's digests. */
const PAGE_HEADER_BYTES = 2 * KIND_BITMAP_BYTES;

const ROOT_MAGIC = Buffer.from('MCBMAP2\0', 'latin1');
const OFFSET_SIZE = 8;
const OFFSET_CHUNK_SIZE = 16;
const OFFSET_PAGE_COUNT = 20;
const ROOT_HEADER_BYTES = 24;

/** In the root, in the place of a digest. */
const ZERO_PAGE = Buffer.alloc(DIGEST_BYTES);
const FREE_PAGE = Buffer.alloc(DIGEST_BYTES, 0xff);

/** What the root says of a page: its digest, or what all of its chunks are. */
export type PageEntry = Buffer | 'zero' | 'free';

/** Length of the root, in bytes. At most 24 + 32 * 8192. */
export function rootLength(geometry: Geometry): number {
  return ROOT_HEADER_BYTES + geometry.pageCount * DIGEST_BYTES;
}

/** Length of a page that holds nothing but data, in bytes: no page of this image is longer. */
export function largestPageLength(geometry: Geometry): number {
  return PAGE_HEADER_BYTES + Math.min(CHUNKS_PER_PAGE, geometry.chunkCount) * DIGEST_BYTES;
}

/** @param entries one for each page */
export function encodeRoot(geometry: Geometry, entries: readonly PageEntry[]): Buffer {
  const root = Buffer.alloc(rootLength(geometry));
  ROOT_MAGIC.copy(root);
  root.writeBigUInt64BE(BigInt(geometry.sizeBytes), OFFSET_SIZE);
  root.writeUInt32BE(geometry.chunkSizeBytes, OFFSET_CHUNK_SIZE);
  root.writeUInt32BE(geometry.pageCount, OFFSET_PAGE_COUNT);
  for (const [page, entry] of entries.entries()) {
    if (entry === 'zero') continue;
    const digest = entry === 'free' ? FREE_PAGE : entry;
    digest.copy(root, ROOT_HEADER_BYTES + page * DIGEST_BYTES);
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

/** What the root says of a page. A digest is a view. */
export function pageEntryOf(root: Buffer, page: number): PageEntry {
  const start = ROOT_HEADER_BYTES + page * DIGEST_BYTES;
  const digest = root.subarray(start, start + DIGEST_BYTES);
  if (digest.equals(ZERO_PAGE)) return 'zero';
  return digest.equals(FREE_PAGE) ? 'free' : digest;
}

/**
 * The bytes of a page of which everything is known.
 * @param data which of the image's chunks hold data
 * @param free which of them are free, and no data
 * @param digests 32 bytes for each chunk of the page, of which those of data chunks count; null
 *   where there are none
 * @returns null for a page that has none: its chunks are all zero, or all free
 */
export function encodePage(
  geometry: Geometry,
  page: number,
  data: Bitmap,
  free: Bitmap,
  digests: Buffer | null,
): Buffer | null {
  const first = geometry.firstChunkOf(page);
  const count = geometry.chunksInPage(page);
  const dataCount = data.countRange(first, count);
  const freeCount = free.countRange(first, count);
  if (dataCount === 0 && (freeCount === 0 || freeCount === count)) return null;
  const bytes = Buffer.alloc(PAGE_HEADER_BYTES + dataCount * DIGEST_BYTES);
  data.writeRange(first, count, bytes);
  free.writeRange(first, count, bytes.subarray(KIND_BITMAP_BYTES));
  if (digests === null) return bytes;
  let end = PAGE_HEADER_BYTES;
  data.forEachSetRange(first, (runFirst, runCount) => {
    const from = runFirst - first;
    const to = Math.min(from + runCount, count);
    if (from < to) end += digests.copy(bytes, end, from * DIGEST_BYTES, to * DIGEST_BYTES);
    return to < count;
  });
  return bytes;
}

/** A page that travels, ready to be asked about single chunks. */
export class MapPage {
  /** How many data chunks the page has. */
  readonly dataCount: number;
  /** Both bitmaps. */
  private kinds: Buffer;
  private digests: Buffer | null;
  /**
   * Data chunks before each run of 32, so that finding a digest takes no counting from the start.
   */
  private readonly ranks: Uint16Array;

  private constructor(kinds: Buffer, digests: Buffer, ranks: Uint16Array, dataCount: number) {
    this.kinds = kinds;
    this.digests = digests;
    this.ranks = ranks;
    this.dataCount = dataCount;
  }

  /**
   * Null unless the bytes are a page of `chunkCount` chunks that are of two kinds, or all data.
   * Keeps views of the bytes. Never throws. The digest of the page is the caller's to check.
   */
  static parse(bytes: Buffer, chunkCount: number): MapPage | null {
    if (bytes.length < PAGE_HEADER_BYTES) return null;
    const ranks = new Uint16Array(KIND_BITMAP_BYTES / 4);
    let dataCount = 0;
    let freeCount = 0;
    for (let run = 0; run < ranks.length; run += 1) {
      const data = bytes.readUInt32LE(run * 4);
      const free = bytes.readUInt32LE(KIND_BITMAP_BYTES + run * 4);
      const there = Math.min(32, Math.max(0, chunkCount - run * 32));
      // Shifting by 32 would shift by nothing.
      if (there < 32 && (data | free) >>> there !== 0) return null;
      if ((data & free) !== 0) return null;
      ranks[run] = dataCount;
      dataCount += countBits(data);
      freeCount += countBits(free);
    }
    // A page of zeros, or of what is free, is written as no page at all.
    if (dataCount === 0 && (freeCount === 0 || freeCount === chunkCount)) return null;
    if (bytes.length !== PAGE_HEADER_BYTES + dataCount * DIGEST_BYTES) return null;
    const kinds = bytes.subarray(0, PAGE_HEADER_BYTES);
    return new MapPage(kinds, bytes.subarray(PAGE_HEADER_BYTES), ranks, dataCount);
  }

  /** @param slot the chunk's place in the page */
  kindOf(slot: number): Kind {
    if (this.isData(slot)) return 'data';
    return this.hasBit(KIND_BITMAP_BYTES, slot) ? 'free' : 'zero';
  }

  /** @param slot the chunk's place in the page */
  isData(slot: number): boolean {
    return this.hasBit(0, slot);
  }

  private hasBit(bitmap: number, slot: number): boolean {
    return ((this.kinds[bitmap + (slot >>> 3)]! >>> (slot & 7)) & 1) === 1;
  }

  /** The chunk's digest: a view; null for one that is no data, or after `releaseDigests`. */
  digestOf(slot: number): Buffer | null {
    if (this.digests === null || !this.isData(slot)) return null;
    const run = slot >>> 5;
    const before = this.kinds.readUInt32LE(run * 4) & ~(0xffff_ffff << (slot & 31));
    const start = (this.ranks[run]! + countBits(before)) * DIGEST_BYTES;
    return this.digests.subarray(start, start + DIGEST_BYTES);
  }

  /** Gives up the digests and keeps the kinds. */
  releaseDigests(): void {
    // A copy: a view would hold on to the whole page.
    if (this.digests !== null) this.kinds = Buffer.from(this.kinds);
    this.digests = null;
  }
}
