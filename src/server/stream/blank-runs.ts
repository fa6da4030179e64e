/**
 * Chunks that need no blocks on their way out: zeros, and what no file system uses. One packet
 * names whole runs of one kind, so they are gathered until the next packet goes.
 */

import { MAX_ZERO_RANGES } from '../../protocol/from-server.js';
import type { Run } from '../../protocol/run.js';

interface BlankRun {
  isFree: boolean;
  ranges: Run[];
}

export class BlankRuns {
  private readonly zeros: Run[] = [];
  private readonly free: Run[] = [];

  get isEmpty(): boolean {
    return this.zeros.length === 0 && this.free.length === 0;
  }

  /** No further run is sure to fit into the packet of its kind. */
  get isFull(): boolean {
    return Math.max(this.zeros.length, this.free.length) >= MAX_ZERO_RANGES;
  }

  add(isFree: boolean, run: Run): void {
    this.runsOf(isFree).push(run);
  }

  /** Adds one chunk, to the latest run where it goes on there. */
  addChunk(isFree: boolean, chunk: number): void {
    const last = this.runsOf(isFree).at(-1);
    if (last !== undefined && last.first + last.count === chunk) last.count++;
    else this.add(isFree, { first: chunk, count: 1 });
  }

  /** Takes all runs of one kind out, in ascending order and without overlaps, for one packet. */
  take(): BlankRun {
    const isFree = this.zeros.length === 0;
    const merged: Run[] = [];
    for (const run of this.runsOf(isFree)
      .splice(0)
      .sort((a, b) => a.first - b.first)) {
      const last = merged.at(-1);
      if (last === undefined || run.first > last.first + last.count) merged.push(run);
      else last.count = Math.max(last.count, run.first + run.count - last.first);
    }
    return { isFree, ranges: merged };
  }

  clear(): void {
    this.zeros.length = 0;
    this.free.length = 0;
  }

  private runsOf(isFree: boolean): Run[] {
    return isFree ? this.free : this.zeros;
  }
}
