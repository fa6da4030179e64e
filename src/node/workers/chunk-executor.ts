/** Jobs on chunks: done here and now while that is no burden, by worker threads from then on. */
import type { Digest } from '../../image/block-map.js';
import { debugLog } from '../debug-log.js';
import type { ChunkJob, JobDone, WaitingJob } from './chunk-jobs.js';
import type { ChunkMemory } from './chunk-memory.js';
import { MainRunner } from './main-runner.js';

const debug = debugLog('multiclient:workers');

/** Larger chunks would keep the network waiting. */
const MOST_BYTES_HERE = 1024 * 1024;

export class ChunkExecutor {
  readonly #runner: MainRunner;
  /** Until what they need is loaded. */
  #waiting: WaitingJob[] | null = null;

  constructor(memory: ChunkMemory, digestOf: Digest) {
    this.#runner = new MainRunner(memory, digestOf, debug);
  }

  /** Jobs are done before `submit` returns, so that whoever has one does well not to save it up. */
  get isHere(): boolean {
    return this.#runner.pool === null && this.#waiting === null;
  }

  /** @param done called with the result, perhaps before this returns; never after `close` */
  submit(job: ChunkJob, done: JobDone): void {
    const runner = this.#runner;
    if (runner.pool !== null || job.op !== 'store' || job.lengthBytes > MOST_BYTES_HERE) {
      runner.startPool('jobs that take long').submit(job, done);
    } else if (this.#waiting !== null || !runner.isReadyFor(job)) {
      this.#wait(job, done);
    } else {
      done(runner.run(job));
    }
  }

  /** A job that waits for the disk: for the workers, after all others. */
  submitPatient(job: ChunkJob, done: JobDone): void {
    this.#runner.startPool('looking at the target').submitPatient(job, done);
  }

  #wait(job: ChunkJob, done: JobDone): void {
    if (this.#waiting === null) {
      this.#waiting = [];
      this.#runner.load().then(() => this.#resume());
    }
    this.#waiting.push({ job, done });
  }

  #resume(): void {
    const waiting = this.#waiting!;
    this.#waiting = null;
    for (const { job, done } of waiting) if (!this.#runner.isClosed) this.submit(job, done);
  }

  close(): Promise<void> {
    return this.#runner.close();
  }
}
