/**
 * A worker thread: does jobs on chunks, so that the thread that serves the network never waits for
 * the disk or a digest. Chunk memory is shared; only small messages pass.
 */

import { parentPort } from 'node:worker_threads';
import { loadBlake3 } from '../blake3.js';
import type { ChunkJob } from './chunk-jobs.js';
import { ChunkRunner } from './chunk-runner.js';

/** The memory comes before the first jobs. */
type Message = { memory: SharedArrayBuffer } | { id: number; jobs: ChunkJob[] };

const loadingDigest = loadBlake3();
let memory!: SharedArrayBuffer;
let runner: ChunkRunner | null = null;

parentPort!.on('message', async (message: Message) => {
  if ('memory' in message) {
    ({ memory } = message);
    return;
  }
  const { id, jobs } = message;
  const digestOf = await loadingDigest;
  runner ??= new ChunkRunner(memory, digestOf);
  const own = runner;
  if (!jobs.every((job) => own.isReadyFor(job))) await own.load();
  parentPort!.postMessage({ id, results: jobs.map((job) => own.run(job)) });
});
