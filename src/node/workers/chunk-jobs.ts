/**
 * Jobs on chunks: done by the thread that serves the network while that is no burden, and by worker
 * threads from then on. A policy says which jobs are for this thread, and when it does them.
 */

import { availableParallelism } from 'node:os';
import type { Digest } from '../../image/block-map.js';
import { now } from '../system/clock.js';
import { type DebugLog, debugLog } from '../system/debug-log.js';
import { ChunkIo } from './chunk-io.js';
import type { ChunkJob, ChunkResult, JobDone, WaitingJob } from './chunk-job.js';
import type { ChunkMemory } from './chunk-memory.js';
import { ChunkPool } from './chunk-pool.js';
import { OffloadPolicy } from './offload-policy.js';

export interface JobsPolicy {
  /**
   * When this thread does a job. At once: before `submit` returns, while the chunk is in the
   * processor's cache. In turns: one in each turn of the event loop, so that sockets and timers
   * have theirs in between.
   */
  pace: 'at-once' | 'in-turns';
  /** Whether a job is for this thread; one that is not is for workers, as are all after it. */
  isForThisThread(job: ChunkJob, isPatient: boolean): boolean;
  maxWorkers: number;
  debug: DebugLog;
}

/**
 * The usual chunk: half a millisecond, a few where it is packed. More would keep the network
 * waiting.
 */
const MAX_BYTES_HERE = 1024 * 1024;
const MAX_LEVEL_HERE = 3;

/** One core is left to the thread that serves the network. */
const BESIDE_NETWORK = availableParallelism() - 1;

/** A server reads, and what it reads is to leave at an even pace. */
export const READS: JobsPolicy = {
  pace: 'in-turns',
  isForThisThread: (job) =>
    job.op === 'read' && job.level <= MAX_LEVEL_HERE && job.lengthBytes <= MAX_BYTES_HERE,
  maxWorkers: BESIDE_NETWORK,
  debug: debugLog('multiserver:workers'),
};

/** A client stores what has just come. To look at what the target holds may take long. */
export const STORES: JobsPolicy = {
  pace: 'at-once',
  isForThisThread: (job, isPatient) =>
    job.op === 'store' && job.lengthBytes <= MAX_BYTES_HERE && !isPatient,
  maxWorkers: BESIDE_NETWORK,
  debug: debugLog('multiclient:workers'),
};

/** No network is served: all cores work on chunks. */
export const ALL_CORES: JobsPolicy = {
  pace: 'in-turns',
  isForThisThread: () => false,
  maxWorkers: availableParallelism(),
  debug: debugLog('multiserver:workers'),
};

export class ChunkJobs {
  private readonly io: ChunkIo;
  private readonly offload = new OffloadPolicy(now());
  /** Once there is one, all jobs are for it. */
  private pool: ChunkPool | null = null;
  /** What this thread is to do: in its next turn, or once what it needs is loaded. */
  private readonly urgent: WaitingJob[] = [];
  private readonly patient: WaitingJob[] = [];
  private isTurnQueued = false;
  private isClosed = false;

  /** @param memory that jobs speak of */
  constructor(
    private readonly memory: ChunkMemory,
    digestOf: Digest,
    private readonly policy: JobsPolicy,
  ) {
    this.io = new ChunkIo(memory.shared, digestOf);
  }

  /** Jobs are done before `submit` returns: whoever has one does well not to save it up. */
  get isAtOnce(): boolean {
    return this.policy.pace === 'at-once' && this.pool === null && this.waitingCount === 0;
  }

  /** How many jobs can be worked on at once. */
  get workerCount(): number {
    return this.pool?.workerCount ?? 1;
  }

  /** @param done called with the result, perhaps before this returns; never after `close` */
  submit(job: ChunkJob, done: JobDone): void {
    const pool = this.poolFor(job, false);
    if (pool !== null) pool.submit(job, done);
    else if (this.isAtOnce && this.io.isReadyFor(job)) done(this.run(job));
    else this.wait(this.urgent, { job, done });
  }

  /** As `submit`, after everything urgent, and not before this returns. */
  submitPatient(job: ChunkJob, done: JobDone): void {
    const pool = this.poolFor(job, true);
    if (pool !== null) pool.submitPatient(job, done);
    else this.wait(this.patient, { job, done });
  }

  private get waitingCount(): number {
    return this.urgent.length + this.patient.length;
  }

  private poolFor(job: ChunkJob, isPatient: boolean): ChunkPool | null {
    const isForThisThread = this.pool === null && this.policy.isForThisThread(job, isPatient);
    return isForThisThread ? null : this.startPool(`${job.op} may take long`);
  }

  /** @returns the pool, if need be a new one, which has all that waited */
  private startPool(why: string): ChunkPool {
    if (this.pool !== null) return this.pool;
    this.policy.debug('worker threads from now on: %s', why);
    const pool = new ChunkPool(this.memory, this.policy.maxWorkers);
    this.pool = pool;
    for (const { job, done } of this.urgent.splice(0)) pool.submit(job, done);
    for (const { job, done } of this.patient.splice(0)) pool.submitPatient(job, done);
    return pool;
  }

  private wait(queue: WaitingJob[], waiting: WaitingJob): void {
    queue.push(waiting);
    this.queueTurn();
  }

  private queueTurn(): void {
    if (this.isTurnQueued) return;
    this.isTurnQueued = true;
    setImmediate(this.turn);
  }

  private readonly turn = (): void => {
    this.isTurnQueued = false;
    while (this.doNext() && this.policy.pace === 'at-once');
  };

  /** @returns whether there was a job that could be done */
  private doNext(): boolean {
    const queue = this.urgent.length > 0 ? this.urgent : this.patient;
    const next = queue[0];
    if (next === undefined || this.isClosed) return false;
    if (!this.io.isReadyFor(next.job)) {
      this.isTurnQueued = true;
      this.io.load().then(this.turn);
      return false;
    }
    queue.shift();
    const result = this.run(next.job);
    if (this.waitingCount > 0 && this.policy.pace === 'in-turns') this.queueTurn();
    next.done(result);
    return true;
  }

  /** Does a job. If that is a burden, there is a pool from then on. */
  private run(job: ChunkJob): ChunkResult {
    const beginMs = now();
    const result = this.io.run(job);
    const endMs = now();
    const burden = this.offload.note(endMs - beginMs, endMs);
    if (burden !== null) this.startPool(burden);
    return result;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.pool?.close();
  }
}
