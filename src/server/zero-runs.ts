/**
 * Chunks of zeros on their way out. One packet names whole runs of them, so they are gathered
 * until the next packet goes.
 */
import { MOST_ZERO_RANGES } from '../protocol/from-server.js';
import type { Run } from '../protocol/run.js';

export class ZeroRuns {
  readonly #runs: Run[] = [];

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** No further run is sure to fit into the packet. */
  get isFull(): boolean {
    return this.#runs.length >= MOST_ZERO_RANGES;
  }

  add(run: Run): void {
    this.#runs.push(run);
  }

  /** Adds one chunk, to the latest run where it goes on there. */
  addChunk(chunk: number): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.first + last.count === chunk) last.count++;
    else this.#runs.push({ first: chunk, count: 1 });
  }

  /** Takes all runs out, in ascending order and without overlaps, as the wire wants them. */
  take(): Run[] {
    const merged: Run[] = [];
    for (const run of this.#runs.splice(0).sort((a, b) => a.first - b.first)) {
      const last = merged.at(-1);
      if (last === undefined || run.first > last.first + last.count) merged.push(run);
      else last.count = Math.max(last.count, run.first + run.count - last.first);
    }
    return merged;
  }
}
