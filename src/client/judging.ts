/** Learns which image it is, and holds the copy against the parts of its map as they come in. */
import type { Copy } from './copy.js';
import type { ReceiverParts } from './parts.js';

export class Judging {
  readonly #parts: ReceiverParts;
  readonly #copy: Copy;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#copy = parts.copy;
  }

  /** Whether `mapId` may name the image that is being copied. */
  agreesWith(mapId: Buffer | null): boolean {
    const { map } = this.#copy;
    // Before its root is in, nothing was proven by the map: anybody may have named it.
    return map === null || !map.hasRoot || mapId === null || map.id.equals(mapId);
  }

  /**
   * @param fetchMs when to ask for a map not known before
   * @returns false when it is another image than the one known before
   */
  know(mapId: Buffer | null, fetchMs: number): boolean {
    const { map } = this.#copy;
    if (mapId === null || map?.id.equals(mapId)) return true;
    if (map?.hasRoot) return false;
    this.#copy.beginMap(mapId);
    this.#parts.mapFetch.clear(fetchMs);
    return true;
  }

  /** The page that was fetched last is in. @returns how many chunks are missing again */
  page(): number {
    return this.#judge(this.#parts.mapFetch.lastPage);
  }

  /** The root is in, and with it all pages of zeros. @param fetchMs when to ask for the others */
  root(fetchMs: number): number {
    const { map, geometry } = this.#copy;
    let refuted = 0;
    this.#copy.adoptEarlyPages();
    for (let page = 0; page < geometry.pageCount; page++) {
      if (map!.hasPage(page)) refuted += this.#judge(page);
      else this.#copy.proveWholePage(page);
    }
    if (!map!.isComplete) this.#parts.mapFetch.hurry(fetchMs);
    return refuted;
  }

  #judge(page: number): number {
    const { counters, storing, survey } = this.#parts;
    const { zeros, refuted } = this.#copy.judgePage(page);
    counters.chunksRefused += refuted;
    storing.zeros(zeros);
    survey.checking.rewind(this.#copy.geometry.firstChunkOf(page));
    return refuted;
  }
}
