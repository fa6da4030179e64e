/**
 * Fetches the block map: its root, then the pages that are not all zero. Before the server has made
 * it whole, a client that may hold some of the image fetches the pages that are made already.
 */
import { largestPageLength, rootLength } from '../image/block-map.js';
import { Encoding, encodingOfKind, Space, type SpaceId } from '../protocol/block.js';
import { positionsBetween } from '../protocol/position.js';
import { type AskingContext, RequestBuilder } from './asking.js';
import { Collector } from './collector.js';
import type { Copy } from './copy.js';
import { PayloadCopier } from './payload-copier.js';

/** Pages that are fetched at once: a page takes up to 132 kB of memory while it comes. */
const MOST_PAGES = 16;
/** When so few of those that were asked for are still to come, the next ones are asked for. */
const FEW_PAGES = 8;
/** As many as fit one request with some others. */
const MOST_RUNS_PER_PART = 128;
/** Asking again, if nothing comes: then twice as long each time. */
const RETRY_MS = 150;
const LARGEST_RETRY_MS = 2400;
/** A part that got no block in so many packets more than it has was passed: the rest was lost. */
const PASSED_PACKETS = 64;
/** The root's key among the parts. */
const ROOT = -1;

export class MapFetch {
  readonly #copy: Copy;
  readonly #parts = new Map<number, Collector>();
  readonly #copier = new PayloadCopier();
  /** The page that was completed last. */
  lastPage = -1;
  #dueMs = Number.NEGATIVE_INFINITY;
  #retryMs = RETRY_MS;
  /** How much later, since many clients ask. */
  #delayMs = 0;
  /** One past the last page that was asked for. */
  #askedEnd = 0;

  constructor(copy: Copy) {
    this.#copy = copy;
  }

  /** When to ask (again); Infinity when nothing is wanted. */
  get dueMs(): number {
    const { map, wantsEarlyPages } = this.#copy;
    const isWanted = map === null ? wantsEarlyPages : !map.isComplete;
    return isWanted ? this.#dueMs : Number.POSITIVE_INFINITY;
  }

  /** Asks at `dueMs`, without waiting for the retry interval: there is something new to ask for. */
  hurry(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#retryMs = RETRY_MS;
  }

  /** @param delayMs how much later than usual to ask again, since many clients do */
  turn(now: number, context: AskingContext, delayMs = 0): Buffer[] {
    this.#delayMs = delayMs;
    this.#dueMs = now + this.#retryMs + delayMs;
    this.#retryMs = Math.min(2 * this.#retryMs, LARGEST_RETRY_MS);
    const packets: Buffer[] = [];
    if (this.dueMs === Number.POSITIVE_INFINITY) return packets;
    const wantsRoot = this.#copy.map?.hasRoot === false;
    const space = wantsRoot ? Space.mapRoot : Space.mapPage;
    const builder = new RequestBuilder(context, space, packets);
    if (wantsRoot) this.#ask(ROOT, builder, now, context.position);
    else this.#askPages(builder, now, context.position);
    builder.finish();
    return packets;
  }

  /** The first pages that are missing, and not more: what is half here needs memory. */
  #askPages(builder: RequestBuilder, now: number, position: number): void {
    let page = this.#copy.pages.nextMissingPage(0);
    let count = 0;
    for (; page >= 0 && count < MOST_PAGES; count++) {
      this.#ask(page, builder, now, position);
      this.#askedEnd = Math.max(this.#askedEnd, page + 1);
      page = this.#copy.pages.nextMissingPage(page + 1);
    }
  }

  /** Asks for what lacks of a part, of one that has not begun in one range with those before it. */
  #ask(key: number, builder: RequestBuilder, now: number, position: number): void {
    const chunk = key === ROOT ? 0 : key;
    const part = this.#parts.get(key);
    if (part === undefined) {
      builder.addRange({ first: chunk, count: 1 });
    } else if (isPassed(part, now, position)) {
      builder.addHalf({ chunk, runs: part.missingRuns(MOST_RUNS_PER_PART) });
      part.askedMs = now;
    }
  }

  /**
   * Takes a block of a map part.
   * @returns whether it completed a part, and the part fits
   */
  take(
    space: SpaceId,
    chunk: number,
    block: number,
    kindByte: number,
    encodedLength: number,
    blockSize: number,
    from: Buffer,
    start: number,
    end: number,
    position: number,
    now: number,
  ): boolean {
    if (encodingOfKind(kindByte) !== Encoding.raw) return false;
    if (!this.#wants(space, chunk, encodedLength)) return false;
    const key = space === Space.mapRoot ? ROOT : chunk;
    const part = this.#partOf(key, kindByte, encodedLength, blockSize);
    if (part === null) return false;
    part.add(block, from, start, end);
    part.lastPosition = position;
    part.lastMs = now;
    // While parts are coming in, asking again would only repeat them.
    this.#retryMs = RETRY_MS;
    this.#dueMs = now + RETRY_MS + this.#delayMs;
    if (!part.isComplete) return false;
    this.#parts.delete(key);
    const { map } = this.#copy;
    if (space === Space.mapRoot) return map!.acceptRoot(part.bytes);
    this.lastPage = chunk;
    const fits = this.#copy.pages.acceptPage(chunk, part.bytes);
    if (this.#isNearEnd()) this.#dueMs = now + this.#delayMs;
    return fits;
  }

  /** Whether a part of this length is still to come. */
  #wants(space: SpaceId, chunk: number, encodedLength: number): boolean {
    const { map, geometry, wantsEarlyPages } = this.#copy;
    if (space === Space.mapRoot) {
      const isWanted = map !== null && !map.hasRoot && chunk === 0;
      return isWanted && encodedLength === rootLength(geometry);
    }
    const isKnown = map === null ? wantsEarlyPages : map.hasRoot;
    if (!isKnown || chunk >= geometry.pageCount) return false;
    return (
      this.#copy.pages.nextMissingPage(chunk) === chunk &&
      encodedLength <= largestPageLength(geometry)
    );
  }

  /** Null for a page that comes too early: the memory is for those before it. */
  #partOf(
    key: number,
    kindByte: number,
    encodedLength: number,
    blockSize: number,
  ): Collector | null {
    const found = this.#parts.get(key);
    if (found?.encodedLength === encodedLength) return found;
    this.#parts.delete(key);
    if (this.#parts.size >= MOST_PAGES) {
      const last = Math.max(...this.#parts.keys());
      if (last < key) return null;
      this.#parts.delete(last);
    }
    const part = new Collector(0, Buffer.allocUnsafe(encodedLength), this.#copier);
    part.begin(key === ROOT ? 0 : key, kindByte, encodedLength, blockSize);
    this.#parts.set(key, part);
    return part;
  }

  /** Few of the pages that were asked for are still to come, and others follow them. */
  #isNearEnd(): boolean {
    if (this.#copy.pages.nextMissingPage(this.#askedEnd) < 0) return false;
    let page = this.#copy.pages.nextMissingPage(0);
    for (let count = 0; page >= 0 && page < this.#askedEnd; count++) {
      if (count === FEW_PAGES) return false;
      page = this.#copy.pages.nextMissingPage(page + 1);
    }
    return true;
  }

  clear(now: number): void {
    this.#askedEnd = 0;
    this.#parts.clear();
    this.hurry(now);
  }
}

/** Whether the rest of a part was lost: what is still on its way is not asked for again. */
function isPassed(part: Collector, now: number, position: number): boolean {
  if (now - Math.max(part.askedMs, part.lastMs) >= RETRY_MS) return true;
  if (now - part.askedMs < RETRY_MS) return false;
  return positionsBetween(part.lastPosition, position) > part.blockCount + PASSED_PACKETS;
}
