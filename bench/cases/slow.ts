/** One client behind a tenth of the bandwidth must not hold up the others. */

import { startClient, startServer } from '../../test/lab/programs.js';
import { allocatedBytes } from '../../test/lab/scratch.js';
import { alternate, type BenchCase, ratio } from '../case.js';
import { linksFor, onStage, type Stage } from '../stage.js';
import { shapedBitsPerSecond } from './shaped.js';

const goodCount = 3;

/** @returns seconds until the good clients have their copies; the slow one is then stopped */
async function besideSlow(stage: Stage, image: string): Promise<number> {
  stage.clearCopies(stage.clientHosts().length * allocatedBytes(image));
  const [slowHost] = stage.clientHosts().slice(goodCount);
  const goodHosts = stage.clientHosts(goodCount);
  const startMs = performance.now();
  const slow = startClient(slowHost!, ['-o', stage.copyPath(slowHost!, image)]);
  const good = goodHosts.map((host) => startClient(host, ['-o', stage.copyPath(host, image)]));
  const args = ['-f', image, '--no-cache', '--exit-after', `${goodCount + 1}`];
  const server = startServer(stage.serverHost, args);
  try {
    const seconds = await stage.untilAllEnd(startMs, good);
    // Else the good ones had it to themselves, and the case shows nothing.
    await slow.waitFor('server-found', undefined, 1);
    stage.compareCopies(image, goodHosts);
    return seconds;
  } finally {
    for (const one of [slow, server]) one.kill('SIGKILL');
    await Promise.allSettled([slow.exited, server.exited]);
  }
}

export const slow: BenchCase = {
  name: 'slow1',
  rows: [
    {
      name: 'slow1',
      what: '1 client of 4 behind a tenth of the bandwidth: time of the others / without it',
      unit: '',
      bar: 1.15,
      aim: 1.05,
      higherIsBetter: false,
    },
  ],
  measure: (context) => {
    const links = linksFor(goodCount + 1, { outRateBitsPerSecond: shapedBitsPerSecond });
    links[goodCount + 1] = { inRateBitsPerSecond: shapedBitsPerSecond / 10 };
    return onStage(links, async (stage) => {
      const image = stage.scratch.randomFile('random.img', context.sizeBytes);
      const alone = async () => (await stage.ours(image, { clientCount: goodCount })).seconds;
      const sides = await alternate(context, {
        alone: { what: '3 good clients alone, seconds', run: alone },
        beside: {
          what: '3 good clients beside a slow one, seconds',
          run: () => besideSlow(stage, image),
        },
      });
      return { slow1: ratio(sides.beside, sides.alone, 'ours/reference') };
    });
  },
};
