/**
 * Pages of a block map that the server is still making, asked for as a `VerifiedMap` is. Nobody
 * vouches for them yet: by them a client only finds out what to ask for, and what it keeps is held
 * against the map when that is there.
 */
import { Bitmap } from '../image/bitmap.js';
import { CHUNKS_PER_PAGE, type Geometry } from '../image/geometry.js';
import { MapPage } from '../image/map-format.js';
import type { ChunkKind, VerifiedMap } from '../image/verified-map.js';

export class EarlyPages {
  readonly #geometry: Geometry;
  readonly #had: Bitmap;
  readonly #pages = new Map<number, { bytes: Buffer; page: MapPage }>();

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
    this.#had = new Bitmap(geometry.pageCount);
  }

  /** The first page at or after `from` that has not come, or -1. */
  nextMissingPage(from: number): number {
    return this.#had.nextClear(from);
  }

  hasPage(page: number): boolean {
    return this.#had.has(page);
  }

  /** @returns whether the bytes are a page at all */
  acceptPage(page: number, bytes: Buffer): boolean {
    const parsed = MapPage.parse(bytes, this.#geometry.chunksInPage(page));
    if (parsed === null) return false;
    this.#pages.set(page, { bytes, page: parsed });
    this.#had.set(page);
    return true;
  }

  kindOf(chunk: number): ChunkKind {
    const page = this.#pageOf(chunk);
    if (page === undefined) return 'unknown';
    return page.isData(chunk % CHUNKS_PER_PAGE) ? 'data' : 'zero';
  }

  digestOf(chunk: number): Buffer | null {
    return this.#pageOf(chunk)?.digestOf(chunk % CHUNKS_PER_PAGE) ?? null;
  }

  /** The root of the true map is in: what came early need not come again, if it is right. */
  handTo(map: VerifiedMap): void {
    for (const [page, { bytes }] of this.#pages) map.acceptPage(page, bytes);
    this.#pages.clear();
    this.#had.clearRange(0, this.#had.length);
  }

  #pageOf(chunk: number): MapPage | undefined {
    return this.#pages.get(this.#geometry.pageOf(chunk))?.page;
  }
}
