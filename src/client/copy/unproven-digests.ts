/** Digests that no block map vouches for yet: of what was written, and of pages that came early. */

import { Bitmap } from '../../image/bitmap.js';
import { DIGEST_BYTES, encodePage, type Kind, type VerifiedMap } from '../../image/block-map.js';
import { CHUNKS_PER_PAGE, type Geometry } from '../../image/geometry.js';
import { MapPage } from '../../image/map-format.js';
import type { ChunkKind } from '../../image/verified-map.js';

/** Kinds of chunks that need no blocks. */
export type BlankKind = Exclude<Kind, 'data'>;

/** What was written before its part of the block map came, until the map can judge it. */
export class UnprovenDigests {
  private readonly geometry: Geometry;
  /** Chunks that were written as data. What is in neither set was written as zeros, or not yet. */
  private readonly data: Bitmap;
  /** Chunks that were left alone, as nothing uses them. */
  private readonly free: Bitmap;
  /** By page: digests of chunks written as data. */
  private readonly digests: (Buffer | null)[];

  constructor(geometry: Geometry) {
    this.geometry = geometry;
    this.data = new Bitmap(geometry.chunkCount);
    this.free = new Bitmap(geometry.chunkCount);
    this.digests = new Array(geometry.pageCount).fill(null);
  }

  noteData(chunk: number, digest: Uint8Array): void {
    const page = this.geometry.pageOf(chunk);
    this.digests[page] ??= Buffer.alloc(this.geometry.chunksInPage(page) * DIGEST_BYTES);
    this.digests[page].set(digest, this.slotOf(chunk) * DIGEST_BYTES);
    this.data.set(chunk);
    this.free.clear(chunk);
  }

  /** Notes a chunk of which nothing was sent: zeros, or what is free. */
  noteBlank(chunk: number, kind: BlankKind): void {
    this.data.clear(chunk);
    if (kind === 'free') this.free.set(chunk);
    else this.free.clear(chunk);
  }

  /** Whether what was noted of a chunk is what the map says; the map has its page. */
  fits(map: VerifiedMap, chunk: number): boolean {
    if (map.kindOf(chunk) !== this.kindOf(chunk)) return false;
    if (!this.data.has(chunk)) return true;
    const at = this.slotOf(chunk) * DIGEST_BYTES;
    const digests = this.digests[this.geometry.pageOf(chunk)];
    if (digests === null || digests === undefined) return false;
    return map.digestOf(chunk)?.equals(digests.subarray(at, at + DIGEST_BYTES)) ?? false;
  }

  private kindOf(chunk: number): Kind {
    if (this.data.has(chunk)) return 'data';
    return this.free.has(chunk) ? 'free' : 'zero';
  }

  /**
   * What the map's page looks like if all its chunks were noted, and rightly; null if there is no
   * such page.
   */
  encodePage(page: number): Buffer | null {
    const { geometry, data, free } = this;
    return encodePage(geometry, page, data, free, this.digests[page]!);
  }

  /** The page has been judged: its digests are of no more use. */
  forgetPage(page: number): void {
    this.digests[page] = null;
  }

  private slotOf(chunk: number): number {
    return chunk - this.geometry.firstChunkOf(this.geometry.pageOf(chunk));
  }
}

/**
 * Pages of a block map that the server is still making, asked for as a `VerifiedMap` is. Nobody
 * vouches for them yet: by them a client only finds out what to ask for, and what it keeps is held
 * against the map when that is there.
 */
export class EarlyPages {
  private readonly geometry: Geometry;
  private readonly had: Bitmap;
  private readonly pages = new Map<number, { bytes: Buffer; page: MapPage }>();

  constructor(geometry: Geometry) {
    this.geometry = geometry;
    this.had = new Bitmap(geometry.pageCount);
  }

  /** The first page at or after `from` that has not come, or -1. */
  nextMissingPage(from: number): number {
    return this.had.nextClear(from);
  }

  hasPage(page: number): boolean {
    return this.had.has(page);
  }

  /** @returns whether the bytes are a page at all */
  acceptPage(page: number, bytes: Buffer): boolean {
    const parsed = MapPage.parse(bytes, this.geometry.chunksInPage(page));
    if (parsed === null) return false;
    this.pages.set(page, { bytes, page: parsed });
    this.had.set(page);
    return true;
  }

  kindOf(chunk: number): ChunkKind {
    const page = this.pageOf(chunk);
    if (page === undefined) return 'unknown';
    return page.kindOf(chunk % CHUNKS_PER_PAGE);
  }

  digestOf(chunk: number): Buffer | null {
    return this.pageOf(chunk)?.digestOf(chunk % CHUNKS_PER_PAGE) ?? null;
  }

  /** The root of the true map is in: what came early need not come again, if it is right. */
  handTo(map: VerifiedMap): void {
    for (const [page, { bytes }] of this.pages) map.acceptPage(page, bytes);
    this.pages.clear();
    this.had.clearRange(0, this.had.length);
  }

  private pageOf(chunk: number): MapPage | undefined {
    return this.pages.get(this.geometry.pageOf(chunk))?.page;
  }
}
