/**
 * Pending chunks of the image, in two sets: what the clients want that the rate waits for, and
 * what only others lack. The second has its passes when the first is empty, so that one bad
 * client does not hold up the rest.
 */

import type { Run } from '../../protocol/run.js';
import { PendingSet } from './pending-set.js';

export class PendingImage {
  private readonly followed: PendingSet;
  private readonly later: PendingSet;

  constructor(chunkCount: number) {
    this.followed = new PendingSet(chunkCount);
    this.later = new PendingSet(chunkCount);
  }

  get count(): number {
    return this.followed.count + this.later.count;
  }

  /** Chunk at which the pass goes on. */
  get cursor(): number {
    return this.swept.cursor;
  }

  /** Passes begun so far. */
  get pass(): number {
    return this.followed.pass + this.later.pass;
  }

  /** The set that the pass is over now. */
  private get swept(): PendingSet {
    const isLater = this.followed.count === 0 && this.later.count > 0;
    return isLater ? this.later : this.followed;
  }

  /** As `PendingSet.add`. @param isFollowed the rate waits for the client that asks */
  add(
    ranges: readonly Run[],
    asOfPosition: number,
    underway: readonly number[],
    isFollowed: boolean,
  ): number {
    const pending = isFollowed ? this.followed : this.later;
    return pending.add(ranges, asOfPosition, underway);
  }

  /** Whether the chunk is pending for a client that the rate waits for. */
  isFollowed(chunk: number): boolean {
    return this.followed.has(chunk);
  }

  /** Whether anybody waits for the chunk. */
  has(chunk: number): boolean {
    return this.followed.has(chunk) || this.later.has(chunk);
  }

  /** Next chunk of the pass, without taking it; -1 when nothing is pending. */
  peek(): number {
    return this.swept.peek();
  }

  /** Takes the next chunk of the pass: there must be one. */
  take(): number {
    const chunk = this.swept.take();
    this.later.drop(chunk);
    return chunk;
  }

  /** Takes the next chunk of the pass, and those right behind it as long as `fits` them. */
  takeRun(fits: (chunk: number) => boolean): Run {
    // Taking the last chunk of one set turns the pass to the other, where the run does not go on.
    const swept = this.swept;
    const first = this.take();
    let count = 1;
    while (swept.has(first + count) && fits(first + count)) {
      this.take();
      count++;
    }
    return { first, count };
  }

  clear(): void {
    this.followed.clear();
    this.later.clear();
  }

  noteSent(chunk: number, position: number): void {
    this.followed.noteSent(chunk, position);
    this.later.noteSent(chunk, position);
  }
}
