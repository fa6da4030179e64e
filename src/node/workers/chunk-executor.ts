/** Jobs on chunks: done here and now while that is no burden, by worker threads from then on. */
import type { Digest } from '../../image/block-map.js';
import { now } from '../clock.js';
import { debugLog } from '../debug-log.js';
import type { ChunkJob, ChunkResult } from './chunk-jobs.js';
import type { ChunkMemory } from './chunk-memory.js';
import { ChunkPool } from './chunk-pool.js';
import { ChunkRunner } from './chunk-runner.js';
import { Workload } from './workload.js';

const debug = debugLog('multiclient:workers');

/** Larger chunks would keep the network waiting. */
const MOST_BYTES_HERE = 1024 * 1024;
/** A core that is nobody else's for a moment is not yet one to spare. */
const SHARE_WINDOW_MS = 500;

type Done = (result: ChunkResult) => void;

export class ChunkExecutor {
  readonly #memory: ChunkMemory;
  readonly #runner: ChunkRunner;
  readonly #workload = new Workload(now(), SHARE_WINDOW_MS);
  /** Until what they need is loaded. */
  #waiting: { job: ChunkJob; done: Done }[] | null = null;
  #pool: ChunkPool | null = null;
  #isClosed = false;

  constructor(memory: ChunkMemory, digestOf: Digest) {
    this.#memory = memory;
    this.#runner = new ChunkRunner(memory.shared, digestOf);
  }

  /** Jobs are done before `submit` returns, so that whoever has one does well not to save it up. */
  get isHere(): boolean {
    return this.#pool === null && this.#waiting === null;
  }

  /** @param done called with the result, perhaps before this returns; never after `close` */
  submit(job: ChunkJob, done: Done): void {
    if (this.#pool !== null || job.op !== 'store' || job.lengthBytes > MOST_BYTES_HERE) {
      this.#workers('jobs that take long').submit(job, done);
    } else if (this.#waiting !== null || !this.#runner.isReadyFor(job)) {
      this.#wait(job, done);
    } else {
      this.#runHere(job, done);
    }
  }

  /** A job that waits for the disk: for the workers, after all others. */
  submitPatient(job: ChunkJob, done: Done): void {
    this.#workers('looking at the target').submitPatient(job, done);
  }

  #runHere(job: ChunkJob, done: Done): void {
    const beginMs = now();
    const result = this.#runner.run(job);
    const endMs = now();
    const burden = this.#workload.note(endMs - beginMs, endMs);
    if (burden !== null) this.#workers(burden);
    done(result);
  }

  #wait(job: ChunkJob, done: Done): void {
    if (this.#waiting === null) {
      this.#waiting = [];
      this.#runner.load().then(() => this.#resume());
    }
    this.#waiting.push({ job, done });
  }

  #resume(): void {
    const waiting = this.#waiting!;
    this.#waiting = null;
    for (const { job, done } of waiting) if (!this.#isClosed) this.submit(job, done);
  }

  #workers(why: string): ChunkPool {
    if (this.#pool === null) {
      debug('worker threads from now on: %s', why);
      this.#pool = new ChunkPool(this.#memory);
    }
    return this.#pool;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool?.close();
  }
}
