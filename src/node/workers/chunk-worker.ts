/**
 * A worker thread: does jobs on chunks, so that the thread that serves the network never waits for
 * the disk or a digest. Chunk memory is shared; only small messages pass.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { loadBlake3 } from '../system/blake3.js';
import { ChunkIo } from './chunk-io.js';
import type { ChunkJob } from './chunk-job.js';

interface Message {
  id: number;
  jobs: ChunkJob[];
}

const starting = loadBlake3().then(
  (digestOf) => new ChunkIo(workerData as SharedArrayBuffer, digestOf),
);

parentPort!.on('message', async ({ id, jobs }: Message) => {
  const io = await starting;
  if (!jobs.every((job) => io.isReadyFor(job))) await io.load();
  parentPort!.postMessage({ id, results: jobs.map((job) => io.run(job)) });
});
