/** A few chunk workers and their queues: urgent jobs first, then those that can wait. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ChunkJob, ChunkResult } from './chunk-jobs.js';

/** Jobs handed to a worker at once: one that runs, one that waits at its door. */
const JOBS_PER_WORKER = 2;
const MOST_WORKERS = 8;

interface Waiting {
  job: ChunkJob;
  done: (result: ChunkResult) => void;
}

export class ChunkPool {
  /** Slots of shared memory, one chunk each. */
  readonly slots: readonly Buffer[];
  readonly #slotBytes: number;
  readonly #workers: { worker: Worker; load: number }[] = [];
  readonly #urgent: Waiting[] = [];
  readonly #patient: Waiting[] = [];
  readonly #running = new Map<number, { done: (result: ChunkResult) => void; worker: number }>();
  #nextId = 0;
  #isClosed = false;

  constructor(slotCount: number, slotBytes: number) {
    const memory = new SharedArrayBuffer(slotCount * slotBytes);
    this.#slotBytes = slotBytes;
    this.slots = Array.from({ length: slotCount }, (_, slot) =>
      Buffer.from(memory, slot * slotBytes, slotBytes),
    );
    // One core is left to the thread that serves the network.
    const count = Math.max(1, Math.min(MOST_WORKERS, availableParallelism() - 1));
    for (let i = 0; i < count; i++) {
      const worker = new Worker(new URL('./chunk-worker.js', import.meta.url), {
        workerData: { memory },
        // What is typed at the terminal is the main thread's business.
        stdin: false,
      });
      worker.on('message', (message) => this.#finished(message));
      worker.on('error', (error) => {
        if (!this.#isClosed) throw error;
      });
      this.#workers.push({ worker, load: 0 });
    }
  }

  get workerCount(): number {
    return this.#workers.length;
  }

  memoryOffsetOf(slot: number): number {
    return slot * this.#slotBytes;
  }

  /** @param done called with the result; never after `close` */
  submit(job: ChunkJob, done: (result: ChunkResult) => void): void {
    this.#urgent.push({ job, done });
    this.#dispatch();
  }

  /** As `submit`, after everything urgent. */
  submitPatient(job: ChunkJob, done: (result: ChunkResult) => void): void {
    this.#patient.push({ job, done });
    this.#dispatch();
  }

  #dispatch(): void {
    for (;;) {
      const queue = this.#urgent.length > 0 ? this.#urgent : this.#patient;
      if (queue.length === 0) return;
      let least = 0;
      for (let i = 1; i < this.#workers.length; i++) {
        if (this.#workers[i]!.load < this.#workers[least]!.load) least = i;
      }
      const target = this.#workers[least]!;
      if (target.load >= JOBS_PER_WORKER) return;
      const { job, done } = queue.shift()!;
      const id = this.#nextId++;
      target.load++;
      this.#running.set(id, { done, worker: least });
      target.worker.postMessage({ id, job });
    }
  }

  #finished({ id, result }: { id: number; result: ChunkResult }): void {
    const running = this.#running.get(id)!;
    this.#running.delete(id);
    this.#workers[running.worker]!.load--;
    this.#dispatch();
    if (!this.#isClosed) running.done(result);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
  }
}
