/** Every client loses 1 % of the packets, each of them others. */

import { alternate, type BenchCase, ratio } from '../case.js';
import { linksFor, onStage, type Stage } from '../stage.js';

const clientCount = 4;

async function timed(stage: Stage, image: string, lossRatio: number): Promise<number> {
  for (const host of stage.clientHosts()) host.setLink({ lossRatio });
  return (await stage.ours(image)).seconds;
}

export const loss: BenchCase = {
  name: 'loss1',
  rows: [
    {
      name: 'loss1',
      what: '1 % of packets lost on each of 4 clients: time / time without loss',
      unit: '',
      bar: 1.4,
      aim: 1.15,
      higherIsBetter: false,
    },
  ],
  measure: (context) =>
    // Single packets on both sides: otherwise whole trains are lost, or only one side has trains.
    onStage(linksFor(clientCount, { segmentationOffload: false }), async (stage) => {
      const image = stage.scratch.randomFile('random.img', context.sizeBytes);
      const sides = await alternate(context, {
        lossless: { what: 'ours without loss, seconds', run: () => timed(stage, image, 0) },
        lossy: { what: 'ours with loss, seconds', run: () => timed(stage, image, 0.01) },
      });
      return { loss1: ratio(sides.lossy, sides.lossless, 'ours/reference') };
    }),
};
