/**
 * A disk of 50 GB that holds 1 GiB, spread evenly from its first byte on: how soon it begins,
 * and how much memory both sides take, beside a random image.
 */

import { fileURLToPath } from 'node:url';
import { startClient, startServer } from '../../test/lab/programs.js';
import type { DataRun } from '../../test/lab/scratch.js';
import { alternate, type BenchCase, type Outcome, plain, type Row, samplesOf } from '../case.js';
import { linksFor, onStage, type Stage } from '../stage.js';
import { defaultGroup, groupPort, type Heard, serverPort } from '../witness.js';

const hugeBytes = 50_000_000_000;
const runCount = 64;
const runBytes = 2 ** 30 / runCount;
const megabyte = 1e6;

function hugeImage(stage: Stage): string {
  const strideBytes = Math.floor(hugeBytes / runCount / 4096) * 4096;
  const runs: DataRun[] = Array.from({ length: runCount }, (_, index) => ({
    offsetBytes: index * strideBytes,
    lengthBytes: runBytes,
  }));
  return stage.scratch.sparseFile('huge.img', hugeBytes, runs);
}

/**
 * A third host listens to the group: seconds from the client's first request on the wire to
 * the first block on the wire. The server has only just said that it serves, and has no cache.
 */
async function secondsToFirstBlock(stage: Stage, image: string): Promise<number> {
  stage.clearCopies();
  const [clientHost, witnessHost] = stage.clientHosts();
  const path = fileURLToPath(new URL('../witness.js', import.meta.url));
  const witness = witnessHost!.start(process.execPath, [path, witnessHost!.address]);
  await witness.waitUntil('listening', () => witness.lines[0]);
  const server = startServer(stage.serverHost, ['-f', image, '--no-cache', '-g', defaultGroup]);
  await server.waitFor('serving');
  const output = stage.copyPath(clientHost!, image);
  const client = startClient(clientHost!, ['-o', output, '-g', defaultGroup]);
  try {
    await witness.waitExit();
    const heard: Heard[] = witness.lines.slice(1).map((line) => JSON.parse(line));
    const request = heard.find(({ port }) => port === serverPort);
    const block = heard.find(({ port }) => port === groupPort);
    if (request === undefined || block === undefined) throw new Error(witness.describe());
    return (block.atMs - request.atMs) / 1000;
  } finally {
    for (const one of [client, server]) one.kill('SIGKILL');
    await Promise.allSettled([client.exited, server.exited]);
  }
}

export const firstBlock: BenchCase = {
  name: 'first-block',
  rows: [
    {
      name: 'first-block',
      what: '50 GB disk, no cache: first request to first block on the wire',
      unit: 's',
      bar: 1,
      aim: 0.3,
      higherIsBetter: false,
    },
  ],
  measure: (context) =>
    onStage(linksFor(2), async (stage) => {
      const image = hugeImage(stage);
      const what = 'ours, seconds';
      const run = () => secondsToFirstBlock(stage, image);
      const sides = await alternate(context, { ours: { what, run } });
      return { 'first-block': plain(sides.ours) };
    }),
};

function memoryRow(name: string, what: string): Row {
  return { name, what, unit: 'MB', bar: 250, aim: 150, higherIsBetter: false };
}

/** Peak memory of one run; it hardly varies, so one run is enough. */
async function peaks(stage: Stage, image: string): Promise<{ server: Outcome; client: Outcome }> {
  const run = await stage.ours(image, { watchMemory: true });
  const megabytes = (bytes: number) => samplesOf('ours, MB', [bytes / megabyte]);
  return {
    server: plain(megabytes(run.server.peakMemoryBytes)),
    client: plain(megabytes(run.clients[0]!.peakMemoryBytes)),
  };
}

export const memory: BenchCase = {
  name: 'memory',
  rows: [
    memoryRow('memory-random-server', 'random image: peak memory of the server'),
    memoryRow('memory-random-client', 'random image: peak memory of the client'),
    memoryRow('memory-50g-server', '50 GB disk: peak memory of the server'),
    memoryRow('memory-50g-client', '50 GB disk: peak memory of the client'),
  ],
  measure: (context) =>
    onStage(linksFor(1), async (stage) => {
      const random = stage.scratch.randomFile('random.img', context.sizeBytes);
      const small = await peaks(stage, random);
      const huge = await peaks(stage, hugeImage(stage));
      return {
        'memory-random-server': small.server,
        'memory-random-client': small.client,
        'memory-50g-server': huge.server,
        'memory-50g-client': huge.client,
      };
    }),
};
