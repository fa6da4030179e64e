/** Less on the wire: holes and compression, beside udpcast with and without zstd in its pipes. */

import { statSync } from 'node:fs';
import { allocatedBytes } from '../../test/lab/scratch.js';
import { runTool } from '../../test/lab/tools.js';
import { alternate, type BenchCase, type Outcome, ratio, samplesOf } from '../case.js';
import { debianImage } from '../debian-image.js';
import { linksFor, onStage, type Stage } from '../stage.js';

const MiB = 2 ** 20;
const clientCount = 4;
const common = { unit: '', higherIsBetter: true } as const;
const less = { unit: '', higherIsBetter: false } as const;

/** Sent to the group, headers of our own included. */
const wireBytesOf = ({ server }: Awaited<ReturnType<Stage['ours']>>): number =>
  server.last('ended').wireBytes;

export const debian: BenchCase = {
  name: 'debian4',
  rows: [
    { ...common, name: 'debian4-zstd', what: 'udpcast with zstd / ours', bar: 4, aim: 8 },
    { ...common, name: 'debian4-plain', what: 'udpcast / ours', bar: 12, aim: 20 },
    { ...less, name: 'debian4-wire', what: 'bytes on the wire / zstd -3', bar: 1.15, aim: 1.05 },
    { ...less, name: 'debian4-disk', what: "copy's disk usage / image's", bar: 1.05, aim: 1 },
  ],
  measure: (context) =>
    onStage(linksFor(clientCount), async (stage) => {
      const image = debianImage(stage.scratch, 'root.img', 2048 * MiB, 280 * MiB);
      const wireBytes: number[] = [];
      const diskBytes: number[] = [];
      const sides = await alternate(context, {
        piped: {
          what: 'udpcast with zstd -1, seconds',
          run: () => stage.udpcast(image, { sender: 'zstd -1 -c', receiver: 'zstd -dc' }),
        },
        udpcast: { what: 'udpcast, seconds', run: () => stage.udpcast(image) },
        ours: {
          what: 'ours, seconds',
          run: async () => {
            const run = await stage.ours(image);
            wireBytes.push(wireBytesOf(run));
            for (const host of stage.clientHosts()) {
              diskBytes.push(allocatedBytes(stage.copyPath(host, image)));
            }
            return run.seconds;
          },
        },
      });
      const packed = stage.scratch.path('root.img.zst');
      runTool('zstd', ['-q', '-3', image, '-o', packed]);
      const packedBytes = samplesOf('zstd -3, bytes', [statSync(packed).size]);
      const sourceBytes = samplesOf('the image, bytes on disk', [allocatedBytes(image)]);
      const failed = sides.ours instanceof Error ? sides.ours : null;
      const of = (what: string, samples: number[]) => failed ?? samplesOf(what, samples);
      return {
        'debian4-zstd': ratio(sides.ours, sides.piped, 'reference/ours'),
        'debian4-plain': ratio(sides.ours, sides.udpcast, 'reference/ours'),
        'debian4-wire': ratio(of('ours, bytes', wireBytes), packedBytes, 'ours/reference'),
        'debian4-disk': ratio(of('copies, bytes', diskBytes), sourceBytes, 'ours/reference'),
      } satisfies Record<string, Outcome>;
    }),
};

export const incompressible: BenchCase = {
  name: 'incompressible',
  rows: [
    {
      ...less,
      name: 'incompressible-time',
      what: 'random, 4 clients: --compress auto / off',
      bar: 1.05,
      aim: 1,
    },
  ],
  measure: (context) =>
    onStage(linksFor(clientCount), async (stage) => {
      const image = stage.scratch.randomFile('random.img', context.sizeBytes);
      const ours = async (setting: string) =>
        (await stage.ours(image, { server: ['--compress', setting] })).seconds;
      const sides = await alternate(context, {
        auto: { what: 'ours with --compress auto, seconds', run: () => ours('auto') },
        off: { what: 'ours with --compress off, seconds', run: () => ours('off') },
      });
      return { 'incompressible-time': ratio(sides.auto, sides.off, 'ours/reference') };
    }),
};

const shapedBitsPerSecond = 200_000_000;
/** What the shaper counts for each packet beside its UDP payload: Ethernet, IPv4 and UDP. */
const headerBytes = 42;

export const shapedDebian: BenchCase = {
  name: 'debian200',
  rows: [
    {
      ...less,
      name: 'debian200-time',
      what: '200 Mbit/s: time / that of the bytes on the wire',
      bar: 1.1,
      aim: 1.03,
    },
  ],
  measure: (context) =>
    onStage(linksFor(1, { outRateBitsPerSecond: shapedBitsPerSecond }), async (stage) => {
      const image = debianImage(stage.scratch, 'root.img', 1024 * MiB, 256 * MiB);
      const least: number[] = [];
      const sides = await alternate(context, {
        ours: {
          what: 'ours, seconds',
          run: async () => {
            const run = await stage.ours(image, { clientsFirst: true });
            const { progress, wireBytes } = run.server.last('ended');
            const frameBytes = wireBytes + progress.blocksSent * headerBytes;
            least.push((frameBytes * 8) / shapedBitsPerSecond);
            return run.copySeconds;
          },
        },
      });
      const bytes = least.length > 0 ? samplesOf('its bytes, seconds', least) : new Error('no run');
      return { 'debian200-time': ratio(sides.ours, bytes, 'ours/reference') };
    }),
};
