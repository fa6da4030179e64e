/** A disk that takes its time with the last sync. */

import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { onCleanup } from '../lab/cleanup.js';
import { labTest } from '../lab/lab.js';
import { runTool } from '../lab/tools.js';

const mebibyte = 1 << 20;

/** The process whose command line holds these words. */
function processOf(...words: string[]): number {
  const found = readdirSync('/proc').find((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return words.every((word) => line.some((part) => part.endsWith(word)));
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`no process ${words.join(' ')}`);
  return Number(found);
}

labTest('while a disk syncs, the server shows it and Ctrl-C is answered', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 16 * mebibyte);
  // A file system that a process serves: stopped, it holds up every sync.
  const disk = lab.scratch.path('exfat.disk');
  writeFileSync(disk, '');
  truncateSync(disk, 64 * mebibyte);
  runTool('mkfs.exfat', [disk]);
  const folder = lab.scratch.makeFolder('exfat');
  const device = lab.scratch.loopDevice(disk);
  runTool('mount.exfat-fuse', [device, folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  const served = processOf('mount.exfat-fuse', device);
  const backing = `${folder}/backing`;
  writeFileSync(backing, '');
  truncateSync(backing, 16 * mebibyte);
  const target = runTool('losetup', ['--find', '--show', backing]).trim();
  const detach = onCleanup(() => runTool('losetup', ['--detach', target]));
  try {
    const server = lab.startServer(['-f', image, '--rate', '60M']);
    const client = lab.startClient(2, ['-o', target]);
    await client.waitFor('progress', ({ progress }) => progress.writtenBytes > 4 * mebibyte);
    process.kill(served, 'SIGSTOP');
    try {
      await client.waitFor('progress', ({ progress }) => progress.state === 'syncing');
      await server.waitFor('progress', ({ progress }) =>
        progress.clients.some(({ state }) => state === 'syncing'),
      );
      client.kill('SIGINT');
      await client.waitFor('error', ({ code }) => code === 'INTERRUPTED');
    } finally {
      process.kill(served, 'SIGCONT');
    }
    await client.waitStatus(130);
  } finally {
    await lab.world.host(2).killAll();
    detach();
    unmount();
  }
});
