/** A few chunk workers and their queues: urgent jobs first, then those that can wait. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ChunkJob, ChunkResult, JobDone, WaitingJob } from './chunk-job.js';
import type { ChunkMemory } from './chunk-memory.js';

/** Jobs that pass in one message: waking a thread costs more than handing over a job. */
const JOBS_PER_MESSAGE = 8;
/** Messages handed to a worker at once: one that it works on, one that waits at its door. */
const MESSAGES_PER_WORKER = 2;
const MAX_WORKERS = 8;

export class ChunkPool {
  private readonly workers: { worker: Worker; load: number }[] = [];
  private readonly urgent: WaitingJob[] = [];
  private readonly patient: WaitingJob[] = [];
  private readonly running = new Map<number, WaitingJob[]>();
  private nextId = 0;
  private isDispatchQueued = false;
  private isClosed = false;

  /**
   * @param memory that jobs speak of
   * @param most workers; by default one core is left to the thread that serves the network
   */
  constructor(memory: ChunkMemory, most = availableParallelism() - 1) {
    const count = Math.max(1, Math.min(MAX_WORKERS, most));
    for (let i = 0; i < count; i++) {
      const worker = new Worker(new URL('./chunk-worker.js', import.meta.url), {
        workerData: memory.shared,
        // What is typed at the terminal is the main thread's business.
        stdin: false,
      });
      worker.on('message', (message) => this.finished(i, message));
      worker.on('error', (error) => {
        if (!this.isClosed) throw error;
      });
      this.workers.push({ worker, load: 0 });
    }
  }

  get workerCount(): number {
    return this.workers.length;
  }

  /** @param done called with the result; never after `close` */
  submit(job: ChunkJob, done: JobDone): void {
    this.urgent.push({ job, done });
    this.queueDispatch();
  }

  /** As `submit`, after everything urgent. */
  submitPatient(job: ChunkJob, done: JobDone): void {
    this.patient.push({ job, done });
    this.queueDispatch();
  }

  /** Jobs submitted one after the other go out together. */
  private queueDispatch(): void {
    if (this.isDispatchQueued) return;
    this.isDispatchQueued = true;
    queueMicrotask(() => {
      this.isDispatchQueued = false;
      this.dispatch();
    });
  }

  private dispatch(): void {
    for (;;) {
      const queue = this.urgent.length > 0 ? this.urgent : this.patient;
      if (queue.length === 0) return;
      let target = this.workers[0]!;
      for (const worker of this.workers) if (worker.load < target.load) target = worker;
      if (target.load >= MESSAGES_PER_WORKER) return;
      const share = Math.ceil(queue.length / this.workers.length);
      const waiting = queue.splice(0, Math.min(share, JOBS_PER_MESSAGE));
      const id = this.nextId++;
      target.load++;
      this.running.set(id, waiting);
      target.worker.postMessage({ id, jobs: waiting.map(({ job }) => job) });
    }
  }

  private finished(worker: number, { id, results }: { id: number; results: ChunkResult[] }): void {
    const waiting = this.running.get(id)!;
    this.running.delete(id);
    this.workers[worker]!.load--;
    this.dispatch();
    for (const [i, { done }] of waiting.entries()) {
      if (this.isClosed) return;
      done(results[i]!);
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.workers.map(({ worker }) => worker.terminate()));
  }
}
