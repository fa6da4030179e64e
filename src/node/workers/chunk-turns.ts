/**
 * Jobs on chunks, one in each turn of the event loop while that is no burden: sockets and timers have
 * their turn in between. Worker threads do them from then on.
 */
import type { Digest } from '../../image/block-map.js';
import { debugLog } from '../debug-log.js';
import type { ChunkJob, JobDone, WaitingJob } from './chunk-jobs.js';
import type { ChunkMemory } from './chunk-memory.js';
import type { ChunkPool } from './chunk-pool.js';
import { MainRunner } from './main-runner.js';

const debug = debugLog('multiserver:workers');

/** The usual chunk: half a millisecond, a few where it is packed. More would break up the packets' pace. */
const MOST_BYTES_HERE = 1024 * 1024;
const MOST_LEVEL_HERE = 3;

export class ChunkTurns {
  readonly #runner: MainRunner;
  readonly #urgent: WaitingJob[] = [];
  readonly #patient: WaitingJob[] = [];
  #isTurnQueued = false;

  /** @param memory that jobs speak of */
  constructor(memory: ChunkMemory, digestOf: Digest) {
    this.#runner = new MainRunner(memory, digestOf, debug);
  }

  /** How many jobs can be worked on at once. */
  get workerCount(): number {
    return this.#runner.pool?.workerCount ?? 1;
  }

  /** @param done called with the result, after this has returned; never after `close` */
  submit(job: ChunkJob, done: JobDone): void {
    const pool = this.#poolFor(job);
    if (pool !== null) pool.submit(job, done);
    else this.#wait(this.#urgent, { job, done });
  }

  /** As `submit`, after everything urgent. */
  submitPatient(job: ChunkJob, done: JobDone): void {
    const pool = this.#poolFor(job);
    if (pool !== null) pool.submitPatient(job, done);
    else this.#wait(this.#patient, { job, done });
  }

  #poolFor(job: ChunkJob): ChunkPool | null {
    if (this.#runner.pool === null && !isShort(job)) {
      this.#handOver(this.#runner.startPool('jobs that take long'));
    }
    return this.#runner.pool;
  }

  #wait(queue: WaitingJob[], waiting: WaitingJob): void {
    queue.push(waiting);
    this.#queueTurn();
  }

  #queueTurn(): void {
    if (this.#isTurnQueued) return;
    this.#isTurnQueued = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isTurnQueued = false;
    const runner = this.#runner;
    const queue = this.#urgent.length > 0 ? this.#urgent : this.#patient;
    const next = queue[0];
    if (next === undefined || runner.isClosed) return;
    if (!runner.isReadyFor(next.job)) {
      this.#isTurnQueued = true;
      runner.load().then(this.#turn);
      return;
    }
    queue.shift();
    const result = runner.run(next.job);
    if (runner.pool !== null) this.#handOver(runner.pool);
    else if (this.#urgent.length + this.#patient.length > 0) this.#queueTurn();
    next.done(result);
  };

  /** What waits is not done here any more. */
  #handOver(pool: ChunkPool): void {
    for (const { job, done } of this.#urgent.splice(0)) pool.submit(job, done);
    for (const { job, done } of this.#patient.splice(0)) pool.submitPatient(job, done);
  }

  close(): Promise<void> {
    return this.#runner.close();
  }
}

function isShort(job: ChunkJob): boolean {
  return job.op === 'read' && job.level <= MOST_LEVEL_HERE && job.lengthBytes <= MOST_BYTES_HERE;
}
