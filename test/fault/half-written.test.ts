/** A disk that is half written must not look as if it could be started from. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { type Lab, labTest } from '../lab/lab.js';
import { runTool, toolPath } from '../lab/tools.js';
import { Tally } from './tally.js';

const chunkCount = 40;
const sizeBytes = chunkCount * chunkSizeBytes;
const moments = 10;

/** A disk with random content and a partition table; a GPT has its second header at the end. */
function diskImage(lab: Lab, name: string, label: 'gpt' | 'dos'): string {
  const path = lab.scratch.randomFile(name, sizeBytes);
  const script = `label: ${label}\nstart=2048, size=20000\nstart=30000\n`;
  runTool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], script);
  return path;
}

/** What the tools find on a disk: a partition table, a file system, or '' for nothing. */
function foundOn(device: string): string {
  const blkid = spawnSync(toolPath('blkid'), ['-p', device], { encoding: 'utf8' });
  const sfdisk = spawnSync(toolPath('sfdisk'), ['-d', device], { encoding: 'utf8' });
  return `${blkid.stdout}${sfdisk.stdout}`.trim();
}

for (const label of ['gpt', 'dos'] as const) {
  labTest(
    `killed at ${moments} moments, a disk with ${label} shows no partition table`,
    2,
    async (lab) => {
      const tally = new Tally();
      const image = diskImage(lab, 'new.img', label);
      // The system that was there before had one, too, and its own second header.
      const backing = diskImage(lab, 'old.img', 'gpt');
      const device = lab.scratch.loopDevice(backing);
      assert.match(foundOn(device), /gpt/);
      lab.startServer(['-f', image, '--rate', '80M']);
      for (let moment = 0; moment < moments; moment++) {
        const client = lab.startClient(2, ['-o', device, '--resume']);
        // With the first chunk alone, nothing of the disk is changed yet.
        const wanted = 2 + moment * 3;
        await client.waitFor('progress', ({ progress }) => {
          return progress.chunkCount > 0 && progress.chunkCount - progress.missingChunks >= wanted;
        });
        client.kill('SIGKILL');
        await client.exited;
        tally.faults += 1;
        assert.equal(foundOn(device), '', `moment ${moment}`);
      }
      await lab.startClient(2, ['-o', device, '--check']).waitStatus(8);
      assert.equal(foundOn(device), '', 'a comparison changes nothing');
      await lab.startClient(2, ['-o', device, '--resume', '--verify']).waitStatus(0);
      execFileSync(toolPath('cmp'), [device, image]);
      assert.match(foundOn(device), new RegExp(label));
      await lab.startClient(2, ['-o', device, '--check']).waitStatus(0);
      tally.print(`half-written disk, ${label}`);
    },
  );
}

labTest(
  'a disk that holds the image already keeps its first sectors all the time',
  2,
  async (lab) => {
    const image = diskImage(lab, 'new.img', 'gpt');
    const device = lab.scratch.loopDevice(diskImage(lab, 'copy.img', 'gpt'));
    execFileSync(toolPath('dd'), [`if=${image}`, `of=${device}`, 'bs=1M', 'status=none']);
    const server = lab.startServer(['-f', image]);
    await server.waitFor('prepared');
    await lab.startClient(2, ['-o', device, '--resume']).waitStatus(0);
    const first = Buffer.alloc(512);
    const fd = openSync(device, 'r');
    readSync(fd, first, 0, 512, 0);
    closeSync(fd);
    assert.equal(first.readUInt16LE(510), 0xaa55);
    execFileSync(toolPath('cmp'), [device, image]);
  },
);

/** What is done to the folders where the first chunk could wait, and how that ends. */
const folders: Record<string, { mounts: string; status: number; expected: RegExp }> = {
  'in memory is read-only': {
    mounts: 'mount -o remount,ro,bind /dev/shm',
    status: 0,
    expected: /proven copy/,
  },
  'in memory is full': {
    mounts: 'mount -t tmpfs -o size=64k none /dev/shm',
    status: 0,
    expected: /proven copy/,
  },
  'are full or forbid it': {
    mounts: 'mount -t tmpfs -o size=64k none /dev/shm; export TMPDIR=/sys',
    status: 3,
    expected: /neither \/dev\/shm nor \/sys takes them/,
  },
};

for (const [what, { mounts, status, expected }] of Object.entries(folders)) {
  labTest(
    `the folders for the first chunk that ${what} are not the target's fault`,
    2,
    async (lab) => {
      const image = diskImage(lab, 'new.img', 'gpt');
      const device = lab.scratch.loopDevice(lab.scratch.randomFile('disk', sizeBytes));
      lab.startServer(['-f', image]);
      const program = fileURLToPath(new URL('../../bin/multiclient.js', import.meta.url));
      const script = `${mounts}; exec "$@"`;
      const client = [process.execPath, program, '-i', 'e0', '-o', device];
      const args = ['--mount', 'sh', '-c', script, 'sh', ...client];
      const running = lab.world.host(2).start(toolPath('unshare'), args);
      const exit = await running.exited;
      assert.match(running.stderr, expected);
      assert.equal(exit.status, status);
      if (status === 0) execFileSync(toolPath('cmp'), [device, image]);
    },
  );
}
