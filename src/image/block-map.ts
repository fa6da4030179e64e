/** The server's side of the block map: built chunk by chunk, then whole. */

import { Bitmap } from './bitmap.js';
import { CHUNKS_PER_PAGE, type Geometry } from './geometry.js';
import {
  DIGEST_BYTES,
  type Digest,
  encodePage,
  encodeRoot,
  type Kind,
  MapPage,
  type PageEntry,
  pageEntryOf,
  parseRoot,
} from './map-format.js';

export {
  DIGEST_BYTES,
  type Digest,
  encodePage,
  type Kind,
  largestPageLength,
  rootLength,
} from './map-format.js';
export { VerifiedMap } from './verified-map.js';

const FILE_MAGIC = Buffer.from('MCBMAPF1', 'latin1');

interface FinishedPage {
  readonly bytes: Buffer;
  readonly digest: Buffer;
  readonly page: MapPage;
}

/** The whole map of an image. Every Buffer it hands out is its own: read, don't write. */
export class BlockMap {
  readonly geometry: Geometry;
  /** BLAKE3 of the root, 32 bytes: the name of the image. */
  readonly id: Buffer;
  readonly root: Buffer;
  /** How many chunks hold data. */
  readonly dataCount: number;
  private readonly pages: readonly (FinishedPage | null)[];

  /**
   * @param pages null for those that never travel
   *
   * Made by BlockMapBuilder.finish and BlockMap.decode, which vouch for the parts.
   */
  constructor(
    geometry: Geometry,
    root: Buffer,
    id: Buffer,
    pages: readonly (FinishedPage | null)[],
  ) {
    this.geometry = geometry;
    this.root = root;
    this.id = id;
    this.pages = pages;
    this.dataCount = pages.reduce((sum, page) => sum + (page?.page.dataCount ?? 0), 0);
  }

  /** The bytes of a page, or null when its chunks are all zero, or all free. */
  page(page: number): Buffer | null {
    return this.finishedPage(page)?.bytes ?? null;
  }

  /** A page with its digest, or null when its chunks are all zero, or all free. */
  finishedPage(page: number): FinishedPage | null {
    const found = this.pages[page];
    if (found === undefined) throw new RangeError(`page ${page} of ${this.pages.length}`);
    return found;
  }

  kindOf(chunk: number): Kind {
    const page = this.pageOf(chunk);
    if (page !== null) return page.page.kindOf(chunk % CHUNKS_PER_PAGE);
    return pageEntryOf(this.root, this.geometry.pageOf(chunk)) === 'free' ? 'free' : 'zero';
  }

  /** The chunk's digest: a view; null for one that is no data. */
  digestOf(chunk: number): Buffer | null {
    return this.pageOf(chunk)?.page.digestOf(chunk % CHUNKS_PER_PAGE) ?? null;
  }

  /**
   * The map as a file, in parts to be written one after the other:
   *
   *     "MCBMAPF1" | id, 32 bytes | root length u32 | root | pages that travel
   *
   * with a u32 length before each page. The id guards the root, as the root guards the pages.
   */
  encode(): Buffer[] {
    const parts = [FILE_MAGIC, this.id, lengthPrefix(this.root), this.root];
    for (const page of this.pages) {
      if (page !== null) parts.push(lengthPrefix(page.bytes), page.bytes);
    }
    return parts;
  }

  /**
   * Reads what `encode` wrote, and proves every page against the root.
   * Keeps views of the bytes. Never throws.
   *
   * @returns null if the bytes are anything but one whole, sound map. A sound map may still be
   *   another image's: the caller compares id and geometry with what it expects.
   */
  static decode(bytes: Buffer, digest: Digest): BlockMap | null {
    const reader = new PartReader(bytes);
    if (!reader.take(FILE_MAGIC.length)?.equals(FILE_MAGIC)) return null;
    const id = reader.take(DIGEST_BYTES);
    const root = reader.takePart();
    if (id === null || root === null || !digest(root).equals(id)) return null;
    const geometry = parseRoot(root);
    if (geometry === null) return null;
    const pages: (FinishedPage | null)[] = [];
    for (let number = 0; number < geometry.pageCount; number += 1) {
      const expected = pageEntryOf(root, number);
      if (typeof expected === 'string') {
        pages.push(null);
        continue;
      }
      const part = reader.takePart();
      if (part === null || !digest(part).equals(expected)) return null;
      const page = MapPage.parse(part, geometry.chunksInPage(number));
      if (page === null) return null;
      pages.push({ bytes: part, digest: expected, page });
    }
    return reader.isAtEnd ? new BlockMap(geometry, root, id, pages) : null;
  }

  private pageOf(chunk: number): FinishedPage | null {
    if (!this.geometry.hasChunk(chunk)) throw new RangeError(`chunk ${chunk}`);
    return this.finishedPage(this.geometry.pageOf(chunk));
  }
}

/**
 * Collects the kinds and digests of an image's chunks, in any order. A page is packed and
 * hashed when the last of its chunks is known, so the work is spread over the preparation
 * and `finish` has only the root to do.
 */
export class BlockMapBuilder {
  readonly geometry: Geometry;
  private readonly digest: Digest;
  private readonly known: Bitmap;
  private readonly data: Bitmap;
  private readonly free: Bitmap;
  /**
   * Of pages that are not finished: a digest's place for each chunk. Made for the first data chunk.
   */
  private readonly digests: (Buffer | null)[];
  private readonly finished: (FinishedPage | null)[];
  private readonly unknownInPage: Uint16Array;
  private map: BlockMap | null = null;

  constructor(geometry: Geometry, digest: Digest) {
    this.geometry = geometry;
    this.digest = digest;
    this.known = new Bitmap(geometry.chunkCount);
    this.data = new Bitmap(geometry.chunkCount);
    this.free = new Bitmap(geometry.chunkCount);
    this.digests = new Array(geometry.pageCount).fill(null);
    this.finished = new Array(geometry.pageCount).fill(null);
    this.unknownInPage = new Uint16Array(geometry.pageCount);
    for (let page = 0; page < geometry.pageCount; page += 1) {
      this.unknownInPage[page] = geometry.chunksInPage(page);
    }
  }

  /**
   * One that knows the data chunks of a map that was made before. Each of them is held against its
   * digest when it is read to be sent. What is not read for that, zeros and what is free, is not
   * believed: it has to be found again.
   */
  static of(map: BlockMap, digest: Digest): BlockMapBuilder {
    const builder = new BlockMapBuilder(map.geometry, digest);
    for (let page = 0; page < map.geometry.pageCount; page += 1) builder.recall(page, map);
    return builder;
  }

  private recall(page: number, map: BlockMap): void {
    const kept = map.finishedPage(page);
    if (kept === null) return;
    const first = this.geometry.firstChunkOf(page);
    const count = this.geometry.chunksInPage(page);
    for (let chunk = first; chunk < first + count; chunk += 1) {
      const digest = map.digestOf(chunk);
      if (digest !== null) this.setData(chunk, digest);
    }
  }

  /** How many chunks are known. */
  get knownCount(): number {
    return this.known.count;
  }

  get isComplete(): boolean {
    return this.known.isFull;
  }

  /** The first chunk at or after `from` that is not known yet, or -1. */
  nextUnknown(from: number): number {
    return this.known.nextClear(from);
  }

  /** The bytes of a page of which all is known; null for another, or one that never travels. */
  page(page: number): Buffer | null {
    return this.finished[page]?.bytes ?? null;
  }

  isKnown(chunk: number): boolean {
    return this.known.has(chunk);
  }

  /** Known, and zero. */
  isZero(chunk: number): boolean {
    return this.known.has(chunk) && !this.data.has(chunk) && !this.free.has(chunk);
  }

  isFree(chunk: number): boolean {
    return this.free.has(chunk);
  }

  /** How many chunks are known to be free. */
  get freeCount(): number {
    return this.free.count;
  }

  /** The chunk's digest: a view, so copy what is kept for long; null unless known as data. */
  digestOf(chunk: number): Buffer | null {
    if (!this.data.has(chunk)) return null;
    const page = this.geometry.pageOf(chunk);
    const slot = chunk % CHUNKS_PER_PAGE;
    const finished = this.finished[page]!;
    if (finished !== null) return finished.page.digestOf(slot);
    return this.digests[page]!.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES);
  }

  /**
   * Notes a data chunk. What is known stays as it was first noted.
   *
   * @param digest32 copied
   * @returns false if the chunk is known as something else: the source has changed
   */
  setData(chunk: number, digest32: Uint8Array): boolean {
    if (digest32.length !== DIGEST_BYTES) throw new RangeError(`digest of ${digest32.length}`);
    if (!this.known.set(chunk)) return this.digestOf(chunk)?.equals(digest32) ?? false;
    this.data.set(chunk);
    const page = this.geometry.pageOf(chunk);
    // Room for the page's every chunk is 128 KiB: pages of zeros never have it.
    this.digests[page] ??= Buffer.alloc(this.geometry.chunksInPage(page) * DIGEST_BYTES);
    this.digests[page].set(digest32, (chunk % CHUNKS_PER_PAGE) * DIGEST_BYTES);
    this.learned(page, 1);
    return true;
  }

  /** Notes a zero chunk; otherwise as setData. */
  setZero(chunk: number): boolean {
    return this.setZeroRange(chunk, 1);
  }

  /**
   * Notes zero chunks; those known as data stay so, and make the answer false. Those that are free
   * stay so, too: what is free reads as zeros.
   */
  setZeroRange(first: number, count: number): boolean {
    const agrees = this.data.countRange(first, count) === 0;
    this.learnRange(first, count);
    return agrees;
  }

  /** Notes chunks that no file system uses, before anything else is known of them. */
  setFreeRange(first: number, count: number): void {
    if (this.known.countRange(first, count) > 0) throw new Error('known, and then free');
    this.free.setRange(first, count);
    this.learnRange(first, count);
  }

  private learnRange(first: number, count: number): void {
    for (let from = first, end = first + count; from < end; ) {
      const page = this.geometry.pageOf(from);
      const next = Math.min(end, this.geometry.firstChunkOf(page + 1));
      this.learned(page, this.known.setRange(from, next - from));
      from = next;
    }
  }

  /** @throws Error while a chunk is unknown. May be asked again: the map is made once. */
  finish(): BlockMap {
    if (!this.isComplete) throw new Error('the block map has gaps');
    if (this.map === null) {
      const entries = this.finished.map((page, number) => page?.digest ?? this.entryOf(number));
      const root = encodeRoot(this.geometry, entries);
      this.map = new BlockMap(this.geometry, root, this.digest(root), this.finished);
    }
    return this.map;
  }

  /** Of a page that never travels: all its chunks are of one kind. */
  private entryOf(page: number): PageEntry {
    return this.free.has(this.geometry.firstChunkOf(page)) ? 'free' : 'zero';
  }

  private learned(page: number, count: number): void {
    if (count === 0) return;
    const left = this.unknownInPage[page]! - count;
    this.unknownInPage[page] = left;
    if (left === 0) this.finishPage(page);
  }

  private finishPage(number: number): void {
    const { geometry, data, free } = this;
    const bytes = encodePage(geometry, number, data, free, this.digests[number]!);
    if (bytes === null) return;
    const page = MapPage.parse(bytes, geometry.chunksInPage(number));
    if (page === null) throw new Error(`page ${number} came out wrong`);
    this.finished[number] = { bytes, digest: this.digest(bytes), page };
    this.digests[number] = null;
  }
}

function lengthPrefix(part: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(part.length);
  return prefix;
}

class PartReader {
  private readonly bytes: Buffer;
  private offset = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.offset === this.bytes.length;
  }

  /** The next bytes, or null where there are not so many. */
  take(length: number): Buffer | null {
    const start = this.offset;
    if (length > this.bytes.length - start) return null;
    this.offset += length;
    return this.bytes.subarray(start, this.offset);
  }

  /** The next length and as many bytes. */
  takePart(): Buffer | null {
    const length = this.take(4);
    return length === null ? null : this.take(length.readUInt32BE());
  }
}
