/** What was written before its part of the block map came, kept until the map can judge it. */
import { Bitmap } from '../image/bitmap.js';
import { DIGEST_BYTES, type VerifiedMap } from '../image/block-map.js';
import type { Geometry } from '../image/geometry.js';

export class Provisional {
  readonly #geometry: Geometry;
  /** Chunks that were written as zeros. */
  readonly #zeroed: Bitmap;
  /** Digests of chunks written as data, by page. */
  readonly #digests: (Buffer | null)[];

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
    this.#zeroed = new Bitmap(geometry.chunkCount);
    this.#digests = new Array(geometry.pageCount).fill(null);
  }

  noteData(chunk: number, digest: Uint8Array): void {
    const page = this.#geometry.pageOf(chunk);
    this.#digests[page] ??= Buffer.alloc(this.#geometry.chunksInPage(page) * DIGEST_BYTES);
    this.#digests[page].set(digest, this.#slotOf(chunk) * DIGEST_BYTES);
    this.#zeroed.clear(chunk);
  }

  noteZeros(chunk: number): void {
    this.#zeroed.set(chunk);
  }

  /** Whether what was noted of a chunk is what the map says; the map has its page. */
  fits(map: VerifiedMap, chunk: number): boolean {
    const isZero = map.kindOf(chunk) === 'zero';
    if (isZero || this.#zeroed.has(chunk)) return isZero && this.#zeroed.has(chunk);
    const at = this.#slotOf(chunk) * DIGEST_BYTES;
    const digests = this.#digests[this.#geometry.pageOf(chunk)];
    if (digests === null || digests === undefined) return false;
    return map.digestOf(chunk)?.equals(digests.subarray(at, at + DIGEST_BYTES)) ?? false;
  }

  /** The page has been judged: its digests are of no more use. */
  forgetPage(page: number): void {
    this.#digests[page] = null;
  }

  #slotOf(chunk: number): number {
    return chunk - this.#geometry.firstChunkOf(this.#geometry.pageOf(chunk));
  }
}
