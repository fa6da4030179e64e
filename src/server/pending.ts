/**
 * The pending set of one space: which chunks somebody still waits for, and the pass over them
 * in image order that wraps at the end. Asking for what is already pending adds nothing, so any
 * number of clients cost one pass, and all late joiners share one more partial pass.
 */
import { Bitmap } from '../image/bitmap.js';
import type { Run } from '../protocol/run.js';
import { RecentSends } from './recent-sends.js';

const RECENT_CHUNKS = 8192;

export class PendingSet {
  readonly #bitmap: Bitmap;
  readonly #recent = new RecentSends(RECENT_CHUNKS);
  readonly #held: number[] = [];
  #cursor = 0;
  #pass = 0;

  constructor(chunkCount: number) {
    this.#bitmap = new Bitmap(chunkCount);
  }

  get length(): number {
    return this.#bitmap.length;
  }

  get count(): number {
    return this.#bitmap.count;
  }

  /** Chunk at which the pass goes on. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Passes begun so far. */
  get pass(): number {
    return this.#pass;
  }

  /**
   * Adds what a client lacks, less what was sent since it last looked.
   * @param underway chunks that will be sent anyway
   * @returns how many chunks became pending
   */
  add(ranges: readonly Run[], asOfPosition: number, underway: readonly number[]): number {
    const held = this.#held;
    held.length = 0;
    this.#recent.forEachSince(asOfPosition, (chunk) => {
      if (!this.#bitmap.has(chunk)) held.push(chunk);
    });
    for (const chunk of underway) if (!this.#bitmap.has(chunk)) held.push(chunk);
    const before = this.#bitmap.count;
    for (const { first, count } of ranges) {
      if (first >= this.#bitmap.length) continue;
      this.#bitmap.setRange(first, Math.min(count, this.#bitmap.length - first));
    }
    for (const chunk of held) this.#bitmap.clear(chunk);
    return this.#bitmap.count - before;
  }

  /** The chunk is being sent for others: that serves whoever asked here, too. */
  drop(chunk: number): void {
    this.#bitmap.clear(chunk);
  }

  has(chunk: number): boolean {
    return chunk < this.#bitmap.length && this.#bitmap.has(chunk);
  }

  /** Takes the next chunk of the pass out of the set, or -1 when nothing is pending. */
  take(): number {
    let chunk = this.#bitmap.nextSet(this.#cursor);
    if (chunk < 0) {
      chunk = this.#bitmap.nextSet(0);
      if (chunk < 0) return -1;
      this.#pass++;
    } else if (this.#pass === 0) {
      this.#pass = 1;
    }
    this.#bitmap.clear(chunk);
    this.#cursor = chunk + 1;
    return chunk;
  }

  /** Next chunk that `take` would give, without taking it. */
  peek(): number {
    const chunk = this.#bitmap.nextSet(this.#cursor);
    return chunk >= 0 ? chunk : this.#bitmap.nextSet(0);
  }

  clear(): void {
    this.#bitmap.clearRange(0, this.#bitmap.length);
  }

  noteSent(chunk: number, position: number): void {
    this.#recent.add(chunk, position);
  }
}
