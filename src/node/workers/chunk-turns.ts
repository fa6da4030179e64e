/**
 * Jobs on chunks, one in each turn of the event loop while that is no burden: sockets and timers have
 * their turn in between. Worker threads do them from then on.
 */
import type { Digest } from '../../image/block-map.js';
import { now } from '../clock.js';
import { debugLog } from '../debug-log.js';
import type { ChunkJob, ChunkResult } from './chunk-jobs.js';
import type { ChunkMemory } from './chunk-memory.js';
import { ChunkPool } from './chunk-pool.js';
import { ChunkRunner } from './chunk-runner.js';
import { Workload } from './workload.js';

const debug = debugLog('multiserver:workers');

/** What takes a millisecond or more would break up the pace of the packets. */
const MOST_BYTES_HERE = 1024 * 1024;
const MOST_BYTES_PACKED_HERE = 256 * 1024;
const MOST_LEVEL_HERE = 3;
/** Reading and sending feed each other: two cores are put to use at once, if there are two. */
const SHARE_WINDOW_MS = 120;

interface Waiting {
  job: ChunkJob;
  done: (result: ChunkResult) => void;
}

export class ChunkTurns {
  readonly #memory: ChunkMemory;
  readonly #runner: ChunkRunner;
  readonly #workload = new Workload(now(), SHARE_WINDOW_MS);
  readonly #urgent: Waiting[] = [];
  readonly #patient: Waiting[] = [];
  #isTurnQueued = false;
  #pool: ChunkPool | null = null;
  #isClosed = false;

  /** @param memory that jobs speak of */
  constructor(memory: ChunkMemory, digestOf: Digest) {
    this.#memory = memory;
    this.#runner = new ChunkRunner(memory.shared, digestOf);
  }

  /** How many jobs can be worked on at once. */
  get workerCount(): number {
    return this.#pool?.workerCount ?? 1;
  }

  /** @param done called with the result, after this has returned; never after `close` */
  submit(job: ChunkJob, done: (result: ChunkResult) => void): void {
    if (!isShort(job)) this.#toWorkers('jobs that take long');
    if (this.#pool !== null) this.#pool.submit(job, done);
    else this.#wait(this.#urgent, { job, done });
  }

  /** As `submit`, after everything urgent. */
  submitPatient(job: ChunkJob, done: (result: ChunkResult) => void): void {
    if (!isShort(job)) this.#toWorkers('jobs that take long');
    if (this.#pool !== null) this.#pool.submitPatient(job, done);
    else this.#wait(this.#patient, { job, done });
  }

  #wait(queue: Waiting[], waiting: Waiting): void {
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
    const queue = this.#urgent.length > 0 ? this.#urgent : this.#patient;
    const next = queue[0];
    if (next === undefined || this.#isClosed) return;
    if (!this.#runner.isReadyFor(next.job)) {
      this.#isTurnQueued = true;
      this.#runner.load().then(this.#turn);
      return;
    }
    queue.shift();
    const beginMs = now();
    const result = this.#runner.run(next.job);
    const endMs = now();
    const burden = this.#workload.note(endMs - beginMs, endMs);
    if (burden !== null) this.#toWorkers(burden);
    else if (this.#urgent.length + this.#patient.length > 0) this.#queueTurn();
    next.done(result);
  };

  #toWorkers(why: string): void {
    if (this.#pool !== null) return;
    debug('worker threads from now on: %s', why);
    const pool = new ChunkPool(this.#memory);
    this.#pool = pool;
    for (const { job, done } of this.#urgent.splice(0)) pool.submit(job, done);
    for (const { job, done } of this.#patient.splice(0)) pool.submitPatient(job, done);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool?.close();
  }
}

function isShort(job: ChunkJob): boolean {
  if (job.op !== 'read') return false;
  if (job.level === 0) return job.lengthBytes <= MOST_BYTES_HERE;
  return job.level <= MOST_LEVEL_HERE && job.lengthBytes <= MOST_BYTES_PACKED_HERE;
}
