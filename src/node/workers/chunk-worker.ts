/**
 * A worker thread: does jobs on chunks, so that the thread that serves the network never waits for
 * the disk or a digest. Chunk memory is shared; only small messages pass.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { loadBlake3 } from '../blake3.js';
import type { ChunkJob } from './chunk-jobs.js';
import { ChunkRunner } from './chunk-runner.js';

interface Message {
  id: number;
  jobs: ChunkJob[];
}

const starting = loadBlake3().then(
  (digestOf) => new ChunkRunner(workerData as SharedArrayBuffer, digestOf),
);

parentPort!.on('message', async ({ id, jobs }: Message) => {
  const runner = await starting;
  if (!jobs.every((job) => runner.isReadyFor(job))) await runner.load();
  parentPort!.postMessage({ id, results: jobs.map((job) => runner.run(job)) });
});
