/**
 * The pending set of one space: which chunks somebody still waits for, and the pass over them
 * in image order that wraps at the end. Asking for what is already pending adds nothing, so any
 * number of clients cost one pass, and all late joiners share one more partial pass.
 */

import { Bitmap } from '../../image/bitmap.js';
import type { Run } from '../../protocol/run.js';

const RECENT_CHUNKS = 8192;

export class PendingSet {
  private readonly bitmap: Bitmap;
  private readonly recent = new RecentSends(RECENT_CHUNKS);
  private readonly held: number[] = [];
  private nextChunk = 0;
  private passesBegun = 0;

  constructor(chunkCount: number) {
    this.bitmap = new Bitmap(chunkCount);
  }

  get length(): number {
    return this.bitmap.length;
  }

  get count(): number {
    return this.bitmap.count;
  }

  /** Chunk at which the pass goes on. */
  get cursor(): number {
    return this.nextChunk;
  }

  /** Passes begun so far. */
  get pass(): number {
    return this.passesBegun;
  }

  /**
   * Adds what a client lacks, less what was sent since it last looked.
   * @param underway chunks that will be sent anyway
   * @returns how many chunks became pending
   */
  add(ranges: readonly Run[], asOfPosition: number, underway: readonly number[]): number {
    const held = this.held;
    held.length = 0;
    this.recent.forEachSince(asOfPosition, (chunk) => {
      if (!this.bitmap.has(chunk)) held.push(chunk);
    });
    for (const chunk of underway) if (!this.bitmap.has(chunk)) held.push(chunk);
    const before = this.bitmap.count;
    for (const { first, count } of ranges) {
      if (first >= this.bitmap.length) continue;
      this.bitmap.setRange(first, Math.min(count, this.bitmap.length - first));
    }
    for (const chunk of held) this.bitmap.clear(chunk);
    return this.bitmap.count - before;
  }

  /** The chunk is being sent for others: that serves whoever asked here, too. */
  drop(chunk: number): void {
    this.bitmap.clear(chunk);
  }

  has(chunk: number): boolean {
    return chunk < this.bitmap.length && this.bitmap.has(chunk);
  }

  /** Takes the next chunk of the pass out of the set, or -1 when nothing is pending. */
  take(): number {
    let chunk = this.bitmap.nextSet(this.nextChunk);
    if (chunk < 0) {
      chunk = this.bitmap.nextSet(0);
      if (chunk < 0) return -1;
      this.passesBegun++;
    } else if (this.passesBegun === 0) {
      this.passesBegun = 1;
    }
    this.bitmap.clear(chunk);
    this.nextChunk = chunk + 1;
    return chunk;
  }

  /** Next chunk that `take` would give, without taking it. */
  peek(): number {
    const chunk = this.bitmap.nextSet(this.nextChunk);
    return chunk >= 0 ? chunk : this.bitmap.nextSet(0);
  }

  clear(): void {
    this.bitmap.clearRange(0, this.bitmap.length);
  }

  noteSent(chunk: number, position: number): void {
    this.recent.add(chunk, position);
  }
}

/**
 * What was sent lately, and at which position: a ring of fixed size.
 *
 * A client's request describes the world as of the last packet it had seen. Whatever was sent
 * after that is still on its way to the client, and sending it again would be waste.
 */
export class RecentSends {
  private readonly chunks: Uint32Array;
  /** Counted, not as on the wire: else what is old enough would be new again. */
  private readonly positions: Float64Array;
  private next = 0;
  private count = 0;

  constructor(capacity: number) {
    this.chunks = new Uint32Array(capacity);
    this.positions = new Float64Array(capacity);
  }

  /** @param position where the chunk's first packet went */
  add(chunk: number, position: number): void {
    this.chunks[this.next] = chunk;
    this.positions[this.next] = position;
    this.next = (this.next + 1) % this.chunks.length;
    if (this.count < this.chunks.length) this.count++;
  }

  /** Calls `visit` for each chunk sent at or after `position`, newest first. */
  forEachSince(position: number, visit: (chunk: number) => void): void {
    const capacity = this.chunks.length;
    for (let age = 1; age <= this.count; age++) {
      const at = (this.next - age + capacity) % capacity;
      if (this.positions[at]! < position) return;
      visit(this.chunks[at]!);
    }
  }
}
