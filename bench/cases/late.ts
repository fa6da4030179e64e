/** Eight clients join one after the other during the first pass. */

import { blocksOfChunks, leastBlocks } from '../../test/lab/passes.js';
import { startClient, startServer } from '../../test/lab/programs.js';
import { allocatedBytes } from '../../test/lab/scratch.js';
import type { BenchCase, Context } from '../case.js';
import { ratio, samplesOf } from '../case.js';
import { linksFor, onStage, type Stage } from '../stage.js';

const clientCount = 8;
/** How long the first pass takes: long beside the start of a process. */
const passSeconds = 10;

async function joinOneByOne(stage: Stage, image: string, rate: number) {
  stage.clearCopies(stage.clientHosts().length * allocatedBytes(image));
  const hosts = stage.clientHosts();
  const args = ['-f', image, '--no-cache', '--rate', `${rate}`, '--exit-after', `${clientCount}`];
  const server = startServer(stage.serverHost, args);
  await server.waitFor('serving');
  const clients = [];
  for (const [index, host] of hosts.entries()) {
    if (index > 0) {
      await server.waitFor('progress', ({ progress }) => {
        return progress.cursorChunk >= (index / clientCount) * progress.chunkCount;
      });
    }
    clients.push(startClient(host, ['-o', stage.copyPath(host, image)]));
  }
  await stage.untilAllEnd(0, [server, ...clients]);
  stage.compareCopies(image, hosts);
  const summary = clients[0]!.last('server-found').image;
  return {
    sent: server.last('ended').progress.blocksSent,
    least: leastBlocks(server, clients),
    imageBlocks: blocksOfChunks(summary, summary.chunkCount),
  };
}

async function measure(context: Context) {
  return onStage(linksFor(clientCount), async (stage) => {
    const image = stage.scratch.randomFile('random.img', context.sizeBytes);
    const rate = Math.round((context.sizeBytes * 8) / passSeconds);
    const sent: number[] = [];
    const least: number[] = [];
    // Counts, not times: no warm-up, and what is least depends on when each came.
    for (let run = 1; run <= context.runs; run += 1) {
      const counted = await joinOneByOne(stage, image, rate);
      sent.push(counted.sent / counted.imageBlocks);
      least.push(counted.least / counted.imageBlocks);
      context.say(`run ${run}: ${counted.sent} blocks sent, least is ${counted.least.toFixed(0)}`);
    }
    const ours = samplesOf('blocks sent / blocks of the image', sent);
    const reference = samplesOf('the image and what the last one missed', least);
    return { late8: ratio(ours, reference, 'ours/reference') };
  });
}

export const late: BenchCase = {
  name: 'late8',
  rows: [
    {
      name: 'late8',
      what: '8 clients that join during the first pass: blocks sent / least possible',
      unit: '',
      bar: 1.05,
      aim: 1.01,
      higherIsBetter: false,
    },
  ],
  measure,
};
