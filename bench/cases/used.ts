/** Only what is used, beside what people do today: partclone through zstd and udpcast. */

import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkFilesystem } from '../../test/lab/scratch.js';
import { runTool, toolPath } from '../../test/lab/tools.js';
import { alternate, type BenchCase, type Outcome, ratio, samplesOf } from '../case.js';
import { debianImage } from '../debian-image.js';
import { linksFor, onStage, type Stage } from '../stage.js';

const MiB = 2 ** 20;
const clientCount = 4;

/** Fills most of what is free with random bytes, and deletes them again. */
function leaveDeleted(stage: Stage, image: string, deletedBytes: number): void {
  const folder = stage.scratch.makeFolder('mounted');
  runTool('mount', ['-o', 'loop', image, folder]);
  try {
    const from = stage.scratch.randomFile('deleted', deletedBytes);
    runTool('cp', [from, join(folder, 'deleted')]);
    stage.scratch.remove(from);
    runTool('sync', ['-f', folder]);
    rmSync(join(folder, 'deleted'));
  } finally {
    runTool('umount', [folder]);
  }
  checkFilesystem(image);
}

/** @returns whole-process seconds */
async function partclone(stage: Stage, image: string): Promise<number> {
  const tools = ['partclone.extfs', 'partclone.restore', 'udp-sender', 'udp-receiver', 'zstd'];
  const [clone, restore, sender, receiver, zstd] = tools.map(toolPath);
  const hosts = stage.clientHosts();
  stage.clearCopies(hosts.length * 400 * MiB);
  // Partclone wants a target of the right size.
  for (const host of hosts) {
    const copy = stage.copyPath(host, image);
    writeFileSync(copy, '');
    truncateSync(copy, statSync(image).size);
  }
  const startMs = performance.now();
  const shell = toolPath('sh');
  // Partclone would mind how often the file system was mounted (-I).
  const quiet = '-q -L /dev/null';
  const udp = '--nokbd --interface e0';
  const receivers = hosts.map((host) => {
    const copy = stage.copyPath(host, image);
    const steps = `${receiver} ${udp} | ${zstd} -dc | ${restore} ${quiet} -s - -O ${copy}`;
    return host.start(shell, ['-c', steps]);
  });
  const sent = `${clone} -c -I ${quiet} -s ${image} -o - 2>/dev/null | ${zstd} -1 -c`;
  const steps = `${sent} | ${sender} ${udp} --full-duplex --min-receivers ${hosts.length}`;
  const sending = stage.serverHost.start(shell, ['-c', steps]);
  const seconds = await stage.untilAllEnd(startMs, [...receivers, sending]);
  for (const host of hosts) checkFilesystem(stage.copyPath(host, image));
  return seconds;
}

export const used: BenchCase = {
  name: 'used4',
  rows: [
    {
      name: 'used4-partclone',
      what: 'partclone, zstd, udpcast / ours with --used-only',
      unit: '',
      bar: 3,
      aim: 5,
      higherIsBetter: true,
    },
    {
      name: 'used4-wire',
      what: 'bytes on the wire with --used-only / without',
      unit: '',
      bar: 0.2,
      aim: 0.15,
      higherIsBetter: false,
    },
  ],
  measure: (context) =>
    onStage(linksFor(clientCount), async (stage) => {
      const image = debianImage(stage.scratch, 'root.img', 2048 * MiB, 280 * MiB);
      leaveDeleted(stage, image, 1024 * MiB);
      const wireBytes: { used: number[]; whole: number[] } = { used: [], whole: [] };
      const ours = async (kind: 'used' | 'whole') => {
        const server = kind === 'used' ? ['--used-only'] : [];
        const run = await stage.ours(image, { server, equal: kind === 'whole' });
        wireBytes[kind].push(run.server.last('ended').wireBytes);
        for (const host of stage.clientHosts()) checkFilesystem(stage.copyPath(host, image));
        return run.seconds;
      };
      const sides = await alternate(context, {
        partclone: {
          what: 'partclone, zstd -1, udpcast, seconds',
          run: () => partclone(stage, image),
        },
        used: { what: 'ours with --used-only, seconds', run: () => ours('used') },
        whole: { what: 'ours without, seconds', run: () => ours('whole') },
      });
      const failed = [sides.used, sides.whole].find((side) => side instanceof Error) ?? null;
      const of = (what: string, samples: number[]) => failed ?? samplesOf(what, samples);
      return {
        'used4-partclone': ratio(sides.used, sides.partclone, 'reference/ours'),
        'used4-wire': ratio(
          of('with, bytes', wireBytes.used),
          of('without, bytes', wireBytes.whole),
          'ours/reference',
        ),
      } satisfies Record<string, Outcome>;
    }),
};
