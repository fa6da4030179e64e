/**
 * What the client knows about its copy: which chunks are at their place, and which of them are
 * proven. A chunk that came before its part of the block map is written provisionally, and its
 * digest is kept until the map tells whether it fits.
 *
 * A chunk is in one of these states: unchecked (the target may hold it already), wanted, being
 * stored, had, had and proven, or given up as unreadable at the source.
 */
import { Bitmap } from '../../image/bitmap.js';
import { type Digest, VerifiedMap } from '../../image/block-map.js';
import type { Geometry } from '../../image/geometry.js';
import type { ChunkKind } from '../../image/verified-map.js';
import { appendToRuns, type Run } from '../../protocol/run.js';
import { type BlankKind, EarlyPages, UnprovenDigests } from './unproven-digests.js';

/** What a page of the map changed. */
interface PageVerdict {
  /** Zero chunks that the target does not hold yet. */
  zeros: Run[];
  /** Chunks that no file system uses, and that are not done with yet. */
  free: Run[];
  /** Chunks whose provisional content does not fit. */
  refuted: number;
}

interface ChunkStatesOptions {
  /** The target may hold some of the image: look before asking. */
  holdsEarlierData: boolean;
  /** What is found to differ may be written, so pages that nobody vouches for yet are of use. */
  usesEarlyPages?: boolean;
  /** Nothing may be written that the map does not vouch for. */
  provesFirst?: boolean;
  /** Keep the map's digests after a chunk is proven, to prove it again. */
  keepsDigests: boolean;
}

export class ChunkStates {
  readonly geometry: Geometry;
  private readonly digest: Digest;
  private readonly keepsDigests: boolean;
  private readonly usesEarlyPages: boolean;
  readonly provesFirst: boolean;
  private readonly have: Bitmap;
  private readonly proven: Bitmap;
  private readonly underway: Bitmap;
  private readonly unchecked: Bitmap;
  private readonly unreadable: Bitmap;
  /** Neither had, nor unchecked, nor unreadable. Chunks being stored are among them. */
  private readonly wanted: Bitmap;
  private readonly provisional: UnprovenDigests;
  private readonly unprovenInPage: Uint16Array;
  private readonly early: EarlyPages;
  private knownMap: VerifiedMap | null = null;
  writtenBytes = 0;
  provenBytes = 0;
  /** Of these, what no file system uses. */
  freeBytes = 0;

  constructor(geometry: Geometry, digest: Digest, options: ChunkStatesOptions) {
    const { chunkCount, pageCount } = geometry;
    this.geometry = geometry;
    this.digest = digest;
    this.keepsDigests = options.keepsDigests;
    this.usesEarlyPages = options.usesEarlyPages ?? false;
    this.provesFirst = options.provesFirst ?? false;
    this.have = new Bitmap(chunkCount);
    this.proven = new Bitmap(chunkCount);
    this.underway = new Bitmap(chunkCount);
    this.provisional = new UnprovenDigests(geometry);
    this.early = new EarlyPages(geometry);
    this.unreadable = new Bitmap(chunkCount);
    this.unchecked = new Bitmap(chunkCount);
    this.wanted = new Bitmap(chunkCount);
    if (options.holdsEarlierData) this.unchecked.setRange(0, chunkCount);
    else if (!this.provesFirst) this.wanted.setRange(0, chunkCount);
    this.unprovenInPage = Uint16Array.from({ length: pageCount }, (_, page) =>
      geometry.chunksInPage(page),
    );
  }

  get map(): VerifiedMap | null {
    return this.knownMap;
  }

  get missingCount(): number {
    return this.geometry.chunkCount - this.have.count;
  }

  get wantedCount(): number {
    return this.wanted.count;
  }

  get uncheckedCount(): number {
    return this.unchecked.count;
  }

  get provenCount(): number {
    return this.proven.count;
  }

  get isWhole(): boolean {
    return this.have.isFull;
  }

  get isProven(): boolean {
    return this.proven.isFull;
  }

  /** All is here but chunks that the source cannot give. */
  get lacksOnlyUnreadable(): boolean {
    if (this.provesFirst && this.knownMap?.isComplete !== true) return false;
    return this.wanted.isEmpty && this.unchecked.isEmpty && !this.have.isFull;
  }

  /** Whether nothing more is wanted of this chunk: it is at its place, or on its way there. */
  isSettled(chunk: number): boolean {
    return this.have.has(chunk) || this.underway.has(chunk);
  }

  /** Whether blocks of the chunk are of use: what no digest is known of may not be written. */
  mayCome(chunk: number): boolean {
    return !this.provesFirst || this.knownMap?.kindOf(chunk) === 'data';
  }

  /** Whether the chunk is to be asked for. */
  isWanted(chunk: number): boolean {
    return this.wanted.has(chunk) && !this.underway.has(chunk);
  }

  isUnchecked(chunk: number): boolean {
    return this.unchecked.has(chunk);
  }

  /** Calls `visit` for runs of chunks that are wanted or being stored, from `from` on. */
  forEachWanted(from: number, visit: (first: number, count: number) => boolean | undefined): void {
    this.wanted.forEachSetRange(from, visit);
  }

  /** Calls `visit` for runs of chunks that the source cannot give. */
  forEachUnreadable(visit: (first: number, count: number) => boolean | undefined): void {
    this.unreadable.forEachSetRange(0, visit);
  }

  /** A page of the map may help that nobody vouches for yet: to find out what differs. */
  get wantsEarlyPages(): boolean {
    return this.knownMap === null && this.usesEarlyPages && !this.unchecked.isEmpty;
  }

  /** The root of the map has come: pages that came before it count, if they are its own. */
  adoptEarlyPages(): void {
    this.early.handTo(this.knownMap!);
  }

  /** By what is known what chunks should be, be it only by hearsay. */
  get pages(): VerifiedMap | EarlyPages {
    return this.knownMap ?? this.early;
  }

  beginMap(mapId: Buffer): void {
    this.knownMap = new VerifiedMap(this.geometry, mapId, this.digest);
  }

  /** The digest that the chunk must have, null while its page is not in, or for a zero chunk. */
  expectedOf(chunk: number): Buffer | null {
    return this.knownMap?.digestOf(chunk) ?? null;
  }

  /** As `knownKindOf`, or by a page that nobody vouches for yet. */
  looksZero(chunk: number): boolean {
    return this.pages.kindOf(chunk) === 'zero';
  }

  /** What the map says of a chunk; before it is there, nothing is known. */
  knownKindOf(chunk: number): ChunkKind {
    return this.knownMap?.kindOf(chunk) ?? 'unknown';
  }

  /** Wanted chunks of a run that may be of a kind, as far as is known. */
  missingThatMayBe(kind: BlankKind, first: number, count: number): Run[] {
    const runs: Run[] = [];
    const end = first + count;
    this.wanted.forEachSetRange(first, (runFirst, runCount) => {
      const runEnd = Math.min(runFirst + runCount, end);
      for (let chunk = runFirst; chunk < runEnd; chunk++) {
        if (this.underway.has(chunk) || !this.mayBe(kind, chunk)) continue;
        appendToRuns(runs, chunk);
      }
      return runEnd < end;
    });
    return runs;
  }

  private mayBe(kind: BlankKind, chunk: number): boolean {
    const known = this.knownKindOf(chunk);
    return known === kind || (known === 'unknown' && !this.provesFirst);
  }

  /** What was on the target there counts no more. */
  storing(chunk: number): void {
    this.underway.set(chunk);
    if (this.unchecked.clear(chunk)) this.wanted.set(chunk);
  }

  /** The chunk could not be stored, or did not fit. */
  notStored(chunk: number): void {
    this.underway.clear(chunk);
  }

  /** A data chunk is at its place. @returns false when the map says that it does not fit */
  stored(chunk: number, digest: Uint8Array): boolean {
    this.underway.clear(chunk);
    const page = this.geometry.pageOf(chunk);
    if (this.knownMap?.hasPage(page)) {
      const expected = this.knownMap.digestOf(chunk);
      if (expected === null || !expected.equals(digest)) return false;
      this.mark(chunk);
      this.prove(chunk);
      return true;
    }
    this.provisional.noteData(chunk, digest);
    this.mark(chunk);
    this.proveWholePage(page);
    return true;
  }

  /** Chunks `[first, first + count)` need no blocks, and what is at their place is as it may be. */
  storedBlank(kind: BlankKind, first: number, count: number): void {
    for (let chunk = first; chunk < first + count; chunk++) {
      this.underway.clear(chunk);
      if (this.have.has(chunk)) continue;
      if (this.knownMap?.hasPage(this.geometry.pageOf(chunk))) {
        if (this.knownMap.kindOf(chunk) !== kind) continue;
        this.mark(chunk);
        this.prove(chunk);
      } else {
        this.provisional.noteBlank(chunk, kind);
        this.mark(chunk);
      }
    }
    const lastPage = this.geometry.pageOf(first + count - 1);
    for (let page = this.geometry.pageOf(first); page <= lastPage; page++) {
      this.proveWholePage(page);
    }
  }

  /**
   * Notes what the target was found to hold at a chunk's place, whose page is in.
   * @param digest null for zeros
   * @returns false when it does not fit, and the chunk is now wanted
   */
  checked(chunk: number, digest: Uint8Array | null): boolean {
    // It came from the network while it was looked at: what was found there may be torn.
    if (!this.unchecked.clear(chunk)) return true;
    const expected = this.pages.digestOf(chunk);
    const fits = digest === null ? this.looksZero(chunk) : (expected?.equals(digest) ?? false);
    if (!fits) {
      this.want(chunk);
      return false;
    }
    this.mark(chunk);
    // Before there is a map, what is kept is kept provisionally, like what comes before it.
    if (this.knownMap !== null) this.prove(chunk);
    else if (digest === null) this.provisional.noteBlank(chunk, 'zero');
    else this.provisional.noteData(chunk, digest);
    return true;
  }

  /** No map will come to check by: everything unchecked is wanted. */
  stopChecking(): void {
    this.unchecked.forEachSetRange(0, (first, count) => {
      this.unchecked.clearRange(first, count);
      for (let chunk = first; chunk < first + count; chunk++) this.want(chunk);
    });
  }

  /** What is at a chunk's place has to be looked at, and proven, once more. */
  doubt(chunk: number): void {
    this.unmark(chunk);
    this.wanted.clear(chunk);
    this.unchecked.set(chunk);
    if (!this.proven.clear(chunk)) return;
    this.provenBytes -= this.geometry.chunkLength(chunk);
    this.unprovenInPage[this.geometry.pageOf(chunk)]! += 1;
  }

  /** The source cannot give these chunks: they are asked for no more. Once here, they count. */
  giveUp(first: number, count: number): void {
    for (let chunk = first; chunk < first + count; chunk++) {
      if (this.isSettled(chunk)) continue;
      this.unreadable.set(chunk);
      this.wanted.clear(chunk);
    }
  }

  /** What was given up is asked for again: the source may have been mended. */
  forgive(): void {
    this.unreadable.forEachSetRange(0, (first, count) => {
      this.unreadable.clearRange(first, count);
      for (let chunk = first; chunk < first + count; chunk++) {
        if (!this.unchecked.has(chunk)) this.wanted.set(chunk);
      }
    });
  }

  /** Proves a page that did not come by the root: its chunks are here, and make its digest. */
  proveWholePage(page: number): void {
    const map = this.knownMap;
    if (!map?.hasRoot || map.hasPage(page)) return;
    const first = this.geometry.firstChunkOf(page);
    const count = this.geometry.chunksInPage(page);
    if (this.have.countRange(first, count) < count) return;
    const bytes = this.provisional.encodePage(page);
    if (bytes === null || !map.acceptPage(page, bytes)) return;
    // Of a page that is not in, no chunk was proven before.
    this.prove(first, count);
    this.provisional.forgetPage(page);
  }

  /**
   * Holds what is on the target against a page of the map that has just come in.
   * Chunks that do not fit are missing again.
   */
  judgePage(page: number): PageVerdict {
    const verdict: PageVerdict = { zeros: [], free: [], refuted: 0 };
    const map = this.knownMap;
    if (map === null) this.findFree(page, verdict.free);
    if (map === null || !map.hasPage(page)) return verdict;
    const first = this.geometry.firstChunkOf(page);
    const end = first + this.geometry.chunksInPage(page);
    for (let chunk = first; chunk < end; chunk++) {
      if (this.proven.has(chunk)) continue;
      const kind = map.kindOf(chunk);
      // What is free need not be looked at.
      if (this.unchecked.has(chunk) && kind !== 'free') continue;
      if (this.provesFirst && !this.unchecked.has(chunk)) this.want(chunk);
      if (this.have.has(chunk)) {
        if (this.provisional.fits(map, chunk)) {
          this.prove(chunk);
          continue;
        }
        this.unmark(chunk);
        verdict.refuted++;
      }
      if (kind === 'data' || this.underway.has(chunk)) continue;
      appendToRuns(kind === 'free' ? verdict.free : verdict.zeros, chunk);
    }
    this.provisional.forgetPage(page);
    return verdict;
  }

  /** Chunks that are free by a page that nobody vouches for yet. */
  private findFree(page: number, free: Run[]): void {
    const first = this.geometry.firstChunkOf(page);
    const end = first + this.geometry.chunksInPage(page);
    for (let chunk = first; chunk < end; chunk++) {
      if (this.unchecked.has(chunk) && this.early.kindOf(chunk) === 'free') {
        appendToRuns(free, chunk);
      }
    }
  }

  private want(chunk: number): void {
    if (!this.unreadable.has(chunk)) this.wanted.set(chunk);
  }

  private mark(chunk: number): void {
    if (this.have.set(chunk)) this.writtenBytes += this.geometry.chunkLength(chunk);
    this.wanted.clear(chunk);
    this.unreadable.clear(chunk);
    this.unchecked.clear(chunk);
  }

  private unmark(chunk: number): void {
    if (!this.have.clear(chunk)) return;
    this.writtenBytes -= this.geometry.chunkLength(chunk);
    this.want(chunk);
  }

  /** Chunks of one page, of which all or none were proven before. */
  private prove(first: number, count = 1): void {
    if (this.proven.setRange(first, count) === 0) return;
    this.provenBytes += this.geometry.rangeLength(first, count);
    this.countFree(first, count);
    const page = this.geometry.pageOf(first);
    const unproven = this.unprovenInPage[page]! - count;
    this.unprovenInPage[page] = unproven;
    if (unproven === 0 && !this.keepsDigests) this.knownMap?.releasePage(page);
  }

  private countFree(first: number, count: number): void {
    for (let chunk = first; chunk < first + count; chunk++) {
      if (this.knownKindOf(chunk) === 'free') this.freeBytes += this.geometry.chunkLength(chunk);
    }
  }

  /** The image's id in hex once it is known. */
  get mapIdHex(): string | null {
    return this.knownMap?.id.toString('hex') ?? null;
  }
}
