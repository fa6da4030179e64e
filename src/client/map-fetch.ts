/** Fetches the block map: its root, then the pages that are not all zero. */
import { largestPageLength, rootLength } from '../image/block-map.js';
import { Encoding, encodingOfKind, Space, type SpaceId } from '../protocol/block.js';
import { type AskingContext, RequestBuilder } from './asking.js';
import { Collector } from './collector.js';
import type { Copy } from './copy.js';
import { PayloadCopier } from './payload-copier.js';

/** Map parts that may be half-received at once. */
const MOST_PARTS = 8;
const MOST_RANGES = 64;
/** Asking again, if nothing comes: then twice as long each time. */
const RETRY_MS = 150;
const LARGEST_RETRY_MS = 2400;

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

  constructor(copy: Copy) {
    this.#copy = copy;
  }

  /** When to ask (again); Infinity when nothing is wanted. */
  get dueMs(): number {
    const { map } = this.#copy;
    return map === null || map.isComplete ? Number.POSITIVE_INFINITY : this.#dueMs;
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
    const { map } = this.#copy;
    if (map === null) return packets;
    const space = map.hasRoot ? Space.mapPage : Space.mapRoot;
    const builder = new RequestBuilder(context, space, packets);
    if (!map.hasRoot) builder.addRange({ first: 0, count: 1 });
    let ranges = 0;
    for (
      let first = map.hasRoot ? map.nextMissingPage(0) : -1;
      first >= 0 && ranges < MOST_RANGES;
      ranges++
    ) {
      let next = first + 1;
      while (map.nextMissingPage(next) === next) next++;
      builder.addRange({ first, count: next - first });
      first = map.nextMissingPage(next);
    }
    builder.finish();
    return packets;
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
    now: number,
  ): boolean {
    const { map, geometry } = this.#copy;
    if (map === null || encodingOfKind(kindByte) !== Encoding.raw) return false;
    if (space === Space.mapRoot) {
      if (map.hasRoot || chunk !== 0 || encodedLength !== rootLength(geometry)) return false;
    } else if (
      chunk >= geometry.pageCount ||
      !map.hasRoot ||
      map.hasPage(chunk) ||
      encodedLength > largestPageLength(geometry)
    ) {
      return false;
    }
    const key = space === Space.mapRoot ? -1 : chunk;
    let part = this.#parts.get(key);
    if (part !== undefined && part.encodedLength !== encodedLength) {
      this.#parts.delete(key);
      part = undefined;
    }
    if (part === undefined) {
      if (this.#parts.size >= MOST_PARTS) this.#parts.delete(this.#parts.keys().next().value!);
      part = new Collector(0, Buffer.allocUnsafe(encodedLength), this.#copier);
      part.begin(chunk, kindByte, encodedLength, blockSize);
      this.#parts.set(key, part);
    }
    part.add(block, from, start, end);
    // While parts are coming in, asking again would only repeat them.
    this.#retryMs = RETRY_MS;
    this.#dueMs = now + RETRY_MS + this.#delayMs;
    if (!part.isComplete) return false;
    this.#parts.delete(key);
    if (space === Space.mapRoot) return map.acceptRoot(part.bytes);
    this.lastPage = chunk;
    return map.acceptPage(chunk, part.bytes);
  }

  clear(now: number): void {
    this.#parts.clear();
    this.hurry(now);
  }
}
