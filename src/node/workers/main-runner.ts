/** Runs chunk jobs in the thread that serves the network, until they are a burden: then there is a pool. */
import type { Digest } from '../../image/block-map.js';
import { now } from '../clock.js';
import type { DebugLog } from '../debug-log.js';
import type { ChunkJob, ChunkResult } from './chunk-jobs.js';
import type { ChunkMemory } from './chunk-memory.js';
import { ChunkPool } from './chunk-pool.js';
import { ChunkRunner } from './chunk-runner.js';
import { Workload } from './workload.js';

export class MainRunner {
  readonly #memory: ChunkMemory;
  readonly #runner: ChunkRunner;
  readonly #workload: Workload;
  readonly #debug: DebugLog;
  #pool: ChunkPool | null = null;
  #isClosed = false;

  /** @param memory that jobs speak of */
  constructor(memory: ChunkMemory, digestOf: Digest, debug: DebugLog) {
    this.#memory = memory;
    this.#runner = new ChunkRunner(memory.shared, digestOf);
    this.#workload = new Workload(now());
    this.#debug = debug;
  }

  /** Once there is one, all jobs are for it. */
  get pool(): ChunkPool | null {
    return this.#pool;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** As `ChunkRunner`. */
  isReadyFor(job: ChunkJob): boolean {
    return this.#runner.isReadyFor(job);
  }

  load(): Promise<void> {
    return this.#runner.load();
  }

  /** Does a job that it is ready for. If that is a burden, there is a pool from then on. */
  run(job: ChunkJob): ChunkResult {
    const beginMs = now();
    const result = this.#runner.run(job);
    const endMs = now();
    const burden = this.#workload.note(endMs - beginMs, endMs);
    if (burden !== null) this.startPool(burden);
    return result;
  }

  /** @returns the pool, if need be a new one */
  startPool(why: string): ChunkPool {
    if (this.#pool === null) {
      this.#debug('worker threads from now on: %s', why);
      this.#pool = new ChunkPool(this.#memory);
    }
    return this.#pool;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool?.close();
  }
}
