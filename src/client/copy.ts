/**
 * What the client knows about its copy: which chunks are at their place, and which of them are
 * proven. A chunk that came before its part of the block map is written provisionally, and its
 * digest is kept until the map tells whether it fits.
 */
import { Bitmap } from '../image/bitmap.js';
import { DIGEST_BYTES, type Digest, VerifiedMap } from '../image/block-map.js';
import type { Geometry } from '../image/geometry.js';

/** What a page of the map changed. */
export interface PageVerdict {
  /** Zero chunks that the target does not hold yet. */
  zeros: number[];
  /** Chunks whose provisional content does not fit. */
  refuted: number;
}

export class Copy {
  readonly geometry: Geometry;
  readonly #digest: Digest;
  readonly #have: Bitmap;
  readonly #proven: Bitmap;
  readonly #storing: Bitmap;
  /** Provisional chunks that were written as zeros. */
  readonly #zeroed: Bitmap;
  /** Digests of provisional chunks, by page; freed when the page is proven. */
  readonly #digests: (Buffer | null)[];
  readonly #unprovenInPage: Uint16Array;
  #map: VerifiedMap | null = null;
  #writtenBytes = 0;
  #provenBytes = 0;

  constructor(geometry: Geometry, digest: Digest) {
    this.geometry = geometry;
    this.#digest = digest;
    this.#have = new Bitmap(geometry.chunkCount);
    this.#proven = new Bitmap(geometry.chunkCount);
    this.#storing = new Bitmap(geometry.chunkCount);
    this.#zeroed = new Bitmap(geometry.chunkCount);
    this.#digests = new Array(geometry.pageCount).fill(null);
    this.#unprovenInPage = Uint16Array.from({ length: geometry.pageCount }, (_, page) =>
      geometry.chunksInPage(page),
    );
  }

  get map(): VerifiedMap | null {
    return this.#map;
  }

  get missingCount(): number {
    return this.geometry.chunkCount - this.#have.count;
  }

  get provenCount(): number {
    return this.#proven.count;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  get provenBytes(): number {
    return this.#provenBytes;
  }

  get isWhole(): boolean {
    return this.#have.isFull;
  }

  get isProven(): boolean {
    return this.#proven.isFull;
  }

  /** Whether nothing more is wanted of this chunk: it is at its place, or on its way there. */
  isSettled(chunk: number): boolean {
    return this.#have.has(chunk) || this.#storing.has(chunk);
  }

  /** Calls `visit` for runs of chunks that are not at their place, from `from` on. */
  forEachMissing(from: number, visit: (first: number, count: number) => boolean | undefined): void {
    this.#have.forEachClearRange(from, visit);
  }

  beginMap(mapId: Buffer): void {
    this.#map = new VerifiedMap(this.geometry, mapId, this.#digest);
  }

  /** The digest that the chunk must have, null while its page is not in, or for a zero chunk. */
  expectedOf(chunk: number): Buffer | null {
    return this.#map?.digestOf(chunk) ?? null;
  }

  isKnownZero(chunk: number): boolean {
    return this.#map !== null && this.#map.kindOf(chunk) === 'zero';
  }

  /** Chunks of a run that are not settled, and of which nothing known says that they hold data. */
  missingThatMayBeZero(first: number, count: number): number[] {
    const chunks: number[] = [];
    const end = first + count;
    this.#have.forEachClearRange(first, (runFirst, runCount) => {
      const runEnd = Math.min(runFirst + runCount, end);
      for (let chunk = runFirst; chunk < runEnd; chunk++) {
        if (this.#storing.has(chunk) || this.#map?.kindOf(chunk) === 'data') continue;
        chunks.push(chunk);
      }
      return runEnd < end;
    });
    return chunks;
  }

  storing(chunk: number): void {
    this.#storing.set(chunk);
  }

  /** The chunk could not be stored, or did not fit. */
  notStored(chunk: number): void {
    this.#storing.clear(chunk);
  }

  /** A data chunk is at its place. @returns false when the map says that it does not fit */
  stored(chunk: number, digest: Uint8Array): boolean {
    this.#storing.clear(chunk);
    const page = this.geometry.pageOf(chunk);
    if (this.#map?.hasPage(page)) {
      const expected = this.#map.digestOf(chunk);
      if (expected === null || !expected.equals(digest)) return false;
      this.#mark(chunk);
      this.#prove(chunk);
      return true;
    }
    this.#digests[page] ??= Buffer.alloc(this.geometry.chunksInPage(page) * DIGEST_BYTES);
    this.#digests[page].set(digest, this.#slotOf(chunk) * DIGEST_BYTES);
    this.#zeroed.clear(chunk);
    this.#mark(chunk);
    return true;
  }

  /** Zeros are at the place of chunks `[first, first + count)`. */
  storedZeros(first: number, count: number): void {
    for (let chunk = first; chunk < first + count; chunk++) {
      this.#storing.clear(chunk);
      if (this.#have.has(chunk)) continue;
      if (this.#map?.hasPage(this.geometry.pageOf(chunk))) {
        if (this.#map.kindOf(chunk) !== 'zero') continue;
        this.#mark(chunk);
        this.#prove(chunk);
      } else {
        this.#zeroed.set(chunk);
        this.#mark(chunk);
      }
    }
  }

  /**
   * Holds what is on the target against a page of the map that has just come in.
   * Chunks that do not fit are missing again.
   */
  judgePage(page: number): PageVerdict {
    const verdict: PageVerdict = { zeros: [], refuted: 0 };
    const map = this.#map;
    if (map === null || !map.hasPage(page)) return verdict;
    const first = this.geometry.firstChunkOf(page);
    const end = first + this.geometry.chunksInPage(page);
    for (let chunk = first; chunk < end; chunk++) {
      if (this.#proven.has(chunk)) continue;
      const isZero = map.kindOf(chunk) === 'zero';
      if (this.#have.has(chunk)) {
        if (this.#fits(map, chunk, isZero)) {
          this.#prove(chunk);
          continue;
        }
        this.#unmark(chunk);
        verdict.refuted++;
      }
      if (isZero && !this.#storing.has(chunk)) verdict.zeros.push(chunk);
    }
    this.#digests[page] = null;
    return verdict;
  }

  #fits(map: VerifiedMap, chunk: number, isZero: boolean): boolean {
    if (isZero || this.#zeroed.has(chunk)) return isZero && this.#zeroed.has(chunk);
    const at = this.#slotOf(chunk) * DIGEST_BYTES;
    const digests = this.#digests[this.geometry.pageOf(chunk)];
    if (digests === null || digests === undefined) return false;
    return map.digestOf(chunk)?.equals(digests.subarray(at, at + DIGEST_BYTES)) ?? false;
  }

  #slotOf(chunk: number): number {
    return chunk - this.geometry.firstChunkOf(this.geometry.pageOf(chunk));
  }

  #mark(chunk: number): void {
    if (this.#have.set(chunk)) this.#writtenBytes += this.geometry.chunkLength(chunk);
  }

  #unmark(chunk: number): void {
    if (this.#have.clear(chunk)) this.#writtenBytes -= this.geometry.chunkLength(chunk);
  }

  #prove(chunk: number): void {
    if (!this.#proven.set(chunk)) return;
    this.#provenBytes += this.geometry.chunkLength(chunk);
    const page = this.geometry.pageOf(chunk);
    const unproven = this.#unprovenInPage[page]! - 1;
    this.#unprovenInPage[page] = unproven;
    if (unproven === 0) this.#map?.releasePage(page);
  }

  /** The image's id in hex once it is known. */
  get mapIdHex(): string | null {
    return this.#map?.id.toString('hex') ?? null;
  }
}
