/** What was written before its part of the block map came, kept until the map can judge it. */
import { Bitmap } from '../image/bitmap.js';
import { DIGEST_BYTES, encodePage, type VerifiedMap } from '../image/block-map.js';
import type { Geometry } from '../image/geometry.js';

export class Provisional {
  readonly #geometry: Geometry;
  /** Chunks that were written as data; the others were written as zeros, or not yet. */
  readonly #data: Bitmap;
  /** By page: digests of chunks written as data. */
  readonly #digests: (Buffer | null)[];

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
    this.#data = new Bitmap(geometry.chunkCount);
    this.#digests = new Array(geometry.pageCount).fill(null);
  }

  noteData(chunk: number, digest: Uint8Array): void {
    const page = this.#geometry.pageOf(chunk);
    this.#digests[page] ??= Buffer.alloc(this.#geometry.chunksInPage(page) * DIGEST_BYTES);
    this.#digests[page].set(digest, this.#slotOf(chunk) * DIGEST_BYTES);
    this.#data.set(chunk);
  }

  noteZeros(chunk: number): void {
    this.#data.clear(chunk);
  }

  /** Whether what was noted of a chunk is what the map says; the map has its page. */
  fits(map: VerifiedMap, chunk: number): boolean {
    const isZero = map.kindOf(chunk) === 'zero';
    if (isZero || !this.#data.has(chunk)) return isZero && !this.#data.has(chunk);
    const at = this.#slotOf(chunk) * DIGEST_BYTES;
    const digests = this.#digests[this.#geometry.pageOf(chunk)];
    if (digests === null || digests === undefined) return false;
    return map.digestOf(chunk)?.equals(digests.subarray(at, at + DIGEST_BYTES)) ?? false;
  }

  /** What the map's page looks like if all its chunks were noted, and rightly; null if they are all zero. */
  encodePage(page: number): Buffer | null {
    const digests = this.#digests[page]!;
    return digests === null ? null : encodePage(this.#geometry, page, this.#data, digests);
  }

  /** The page has been judged: its digests are of no more use. */
  forgetPage(page: number): void {
    this.#digests[page] = null;
  }

  #slotOf(chunk: number): number {
    return chunk - this.#geometry.firstChunkOf(this.#geometry.pageOf(chunk));
  }
}
