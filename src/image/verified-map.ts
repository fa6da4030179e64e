/** The client's side of the block map: filled in as parts arrive, each proven before it counts. */

import { Bitmap } from './bitmap.js';
import { CHUNKS_PER_PAGE, type Geometry } from './geometry.js';
import {
  DIGEST_BYTES,
  type Digest,
  type Kind,
  largestPageLength,
  MapPage,
  pageEntryOf,
  parseRoot,
  rootLength,
} from './map-format.js';

export type ChunkKind = Kind | 'unknown';

/**
 * Everything in it descends from the map's id by BLAKE3, so parts may come from anyone.
 * Chunks and pages asked about must be the image's (RangeError otherwise), except in
 * acceptRoot and acceptPage, which take what the network brings and never throw.
 */
export class VerifiedMap {
  readonly geometry: Geometry;
  readonly id: Buffer;
  /** Length of the root, in bytes. */
  readonly rootBytes: number;
  /** No page is longer, in bytes. */
  readonly largestPageBytes: number;
  private readonly digest: Digest;
  private readonly had: Bitmap;
  private readonly pages: (MapPage | null)[];
  private root: Buffer | null = null;

  /** @param mapId BLAKE3 of the root, 32 bytes; copied */
  constructor(geometry: Geometry, mapId: Uint8Array, digest: Digest) {
    if (mapId.length !== DIGEST_BYTES) throw new RangeError(`map id of ${mapId.length} bytes`);
    this.geometry = geometry;
    this.id = Buffer.from(mapId);
    this.rootBytes = rootLength(geometry);
    this.largestPageBytes = largestPageLength(geometry);
    this.digest = digest;
    this.had = new Bitmap(geometry.pageCount);
    this.pages = new Array(geometry.pageCount).fill(null);
  }

  get hasRoot(): boolean {
    return this.root !== null;
  }

  /** The root and all pages are in: no kind is unknown any more. */
  get isComplete(): boolean {
    return this.had.isFull;
  }

  /** How many pages are in, with those that never travel. */
  get pagesHad(): number {
    return this.had.count;
  }

  /**
   * Takes the root: copied. A root that is already in is left as it is.
   * @returns whether the bytes are this image's root
   */
  acceptRoot(bytes: Buffer): boolean {
    // The length first: hashing is the costly part.
    if (bytes.length !== this.rootBytes || !this.digest(bytes).equals(this.id)) return false;
    if (this.root !== null) return true;
    const geometry = parseRoot(bytes);
    if (geometry === null) return false;
    if (geometry.sizeBytes !== this.geometry.sizeBytes) return false;
    if (geometry.chunkSizeBytes !== this.geometry.chunkSizeBytes) return false;
    this.root = Buffer.from(bytes);
    for (let page = 0; page < geometry.pageCount; page += 1) {
      if (typeof pageEntryOf(this.root, page) === 'string') this.had.set(page);
    }
    return true;
  }

  /**
   * Takes a page: copied. A page that is already in, or was released, is left as it is.
   * @returns whether the bytes are this page of this image. False while the root is missing:
   *   nothing can be proven before.
   */
  acceptPage(page: number, bytes: Buffer): boolean {
    if (this.root === null) return false;
    if (!Number.isInteger(page) || page < 0 || page >= this.geometry.pageCount) return false;
    if (bytes.length > this.largestPageBytes) return false;
    const expected = pageEntryOf(this.root, page);
    if (typeof expected === 'string' || !this.digest(bytes).equals(expected)) return false;
    if (this.had.has(page)) return true;
    const parsed = MapPage.parse(Buffer.from(bytes), this.geometry.chunksInPage(page));
    if (parsed === null) return false;
    this.pages[page] = parsed;
    this.had.set(page);
    return true;
  }

  /** A page of zeros, or of what is free, counts as had once the root is in. */
  hasPage(page: number): boolean {
    return this.had.has(page);
  }

  /**
   * The first page at or after `from` that has still to come, or -1. Without the root, none is had.
   */
  nextMissingPage(from: number): number {
    return this.had.nextClear(from);
  }

  /** The pages that have still to come, in order: without the root, all of them. */
  *missingPages(): Generator<number, void, undefined> {
    let page = this.had.nextClear(0);
    while (page !== -1) {
      yield page;
      page = this.had.nextClear(page + 1);
    }
  }

  kindOf(chunk: number): ChunkKind {
    const number = this.pageOf(chunk);
    if (!this.had.has(number)) return 'unknown';
    const page = this.pages[number] ?? null;
    if (page !== null) return page.kindOf(chunk % CHUNKS_PER_PAGE);
    return pageEntryOf(this.root!, number) === 'free' ? 'free' : 'zero';
  }

  /**
   * The chunk's digest: a view; null unless it is a data chunk of a page that is in and not
   * released.
   */
  digestOf(chunk: number): Buffer | null {
    return this.pages[this.pageOf(chunk)]?.digestOf(chunk % CHUNKS_PER_PAGE) ?? null;
  }

  /** Frees the page's digests, when all its chunks are proven. The kinds stay known. */
  releasePage(page: number): void {
    if (this.had.has(page)) this.pages[page]?.releaseDigests();
  }

  private pageOf(chunk: number): number {
    if (!this.geometry.hasChunk(chunk)) throw new RangeError(`chunk ${chunk}`);
    return this.geometry.pageOf(chunk);
  }
}
