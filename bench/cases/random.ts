/** A random image over an unhindered network: as fast as the programs can go. */

import { alternate, type BenchCase, ratio } from '../case.js';
import { linksFor, onStage } from '../stage.js';

function randomCase(clientCount: number): BenchCase {
  const name = `random512-${clientCount}`;
  const to = clientCount === 1 ? '1 client' : `${clientCount} clients`;
  const common = { unit: '', higherIsBetter: true } as const;
  return {
    name,
    rows: [
      { ...common, name: `${name}-udpcast`, what: `${to}: udpcast / ours`, bar: 4, aim: 6 },
      { ...common, name: `${name}-uftp`, what: `${to}: UFTP / ours`, bar: 5, aim: 8 },
      {
        ...common,
        name: `${name}-plain`,
        what: `${to}: udpcast / ours with --no-offload`,
        bar: 1,
        aim: 1.3,
      },
    ],
    measure: (context) =>
      onStage(linksFor(clientCount), async (stage) => {
        const image = stage.scratch.randomFile('random.img', context.sizeBytes);
        const ours = async (common: string[]) => (await stage.ours(image, { common })).seconds;
        const sides = await alternate(context, {
          udpcast: { what: 'udpcast, seconds', run: () => stage.udpcast(image) },
          ours: { what: 'ours, seconds', run: () => ours([]) },
          uftp: { what: 'UFTP, seconds', run: () => stage.uftp(image) },
          plain: { what: 'ours with --no-offload, seconds', run: () => ours(['--no-offload']) },
        });
        return {
          [`${name}-udpcast`]: ratio(sides.ours, sides.udpcast, 'reference/ours'),
          [`${name}-uftp`]: ratio(sides.ours, sides.uftp, 'reference/ours'),
          [`${name}-plain`]: ratio(sides.plain, sides.udpcast, 'reference/ours'),
        };
      }),
  };
}

export const randomOne = randomCase(1);
export const randomFour = randomCase(4);
