/** A link of 400 Mbit/s behind the server: it must be full, and 8 clients must cost nothing. */

import { alternate, type BenchCase, ratio, samplesOf } from '../case.js';
import { linksFor, onStage } from '../stage.js';

export const shapedBitsPerSecond = 400_000_000;

/**
 * Image bytes in a full packet on Ethernet with an MTU of 1500, and what the shaper counts
 * for it: Ethernet, IPv4, UDP and block headers included.
 */
const payloadBytes = 1444;
const frameBytes = 1514;

export const shaped: BenchCase = {
  name: 'shaped400',
  rows: [
    {
      name: 'shaped400-1',
      what: '400 Mbit/s, 1 client: goodput / most that headers allow',
      unit: '',
      bar: 0.95,
      aim: 0.98,
      higherIsBetter: true,
    },
    {
      name: 'shaped400-8',
      what: '400 Mbit/s: time to 8 clients / time to 1',
      unit: '',
      bar: 1.05,
      aim: 1.02,
      higherIsBetter: false,
    },
  ],
  measure: (context) =>
    onStage(linksFor(8, { outRateBitsPerSecond: shapedBitsPerSecond }), async (stage) => {
      const image = stage.scratch.randomFile('random.img', context.sizeBytes);
      // This is about the link: without the start of nine processes on the cores of one machine.
      const to = async (clientCount: number) =>
        (await stage.ours(image, { clientCount, clientsFirst: true })).copySeconds;
      const sides = await alternate(context, {
        one: { what: 'ours to 1 client, seconds', run: () => to(1) },
        eight: { what: 'ours to 8 clients, seconds', run: () => to(8) },
      });
      const wireBits = (context.sizeBytes * 8 * frameBytes) / payloadBytes;
      const least = samplesOf('a full link, seconds', [wireBits / shapedBitsPerSecond]);
      return {
        'shaped400-1': ratio(sides.one, least, 'reference/ours'),
        'shaped400-8': ratio(sides.eight, sides.one, 'ours/reference'),
      };
    }),
};
