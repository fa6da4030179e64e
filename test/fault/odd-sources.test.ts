/** Sources that others write to, that are no images, or that are stored in other forms. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, renameSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { type Lab, labTest } from '../lab/lab.js';
import { runTool, toolPath } from '../lab/tools.js';

const mebibyte = 1 << 20;

async function refused(lab: Lab, args: string[], code: string, text: RegExp): Promise<void> {
  const server = lab.startServer(args);
  await server.waitStatus(4);
  assert.equal(server.last('error').code, code);
  assert.match(server.last('error').message, text);
}

labTest(
  'a device or file that is mounted for writing is refused, read-only it is served',
  2,
  async (lab) => {
    const image = lab.scratch.ext4Image('disk.img', 16 * mebibyte, mebibyte);
    const device = lab.scratch.loopDevice(image);
    const folder = lab.scratch.makeFolder('mounted');
    runTool('mount', [device, folder]);
    try {
      for (const source of [device, image]) {
        await refused(lab, ['-f', source], 'BUSY', new RegExp(`mounted on ${folder}; unmount`));
      }
      const forced = lab.startServer(['-f', image, '--force']);
      await forced.waitFor('notice', ({ text }) => text.includes('served all the same'));
      await forced.waitFor('serving');
      forced.kill('SIGTERM');
      await forced.waitStatus(143);
      runTool('mount', ['-o', 'remount,ro', folder]);
      const server = lab.startServer(['-f', device, '--exit-after', '1']);
      await Promise.all([lab.startClient(2).waitStatus(0), server.waitStatus(0)]);
      lab.scratch.assertCopy(lab.copyPath(2), device);
    } finally {
      runTool('umount', [folder]);
    }
  },
);

labTest(
  'a device that is mounted in another namespace, or later, is not served',
  2,
  async (lab) => {
    const image = lab.scratch.ext4Image('disk.img', 16 * mebibyte, mebibyte);
    const device = lab.scratch.loopDevice(image);
    const folder = lab.scratch.makeFolder('mounted');
    const elsewhere = `mount ${device} ${folder} && echo mounted && exec sleep 60`;
    const other = lab.world.host(1).start(toolPath('unshare'), ['--mount', 'sh', '-c', elsewhere]);
    await other.waitUntil('the mount', () => other.lines.includes('mounted') || undefined);
    const seen = new RegExp(`mounted on ${folder}, as process \\d+ sees it`);
    await refused(lab, ['-f', device], 'BUSY', seen);
    other.kill('SIGKILL');
    await other.exited;

    // A namespace that no process lives in, only a file stands for.
    const namespace = lab.scratch.makeFolder('namespace');
    runTool('mount', ['--bind', '--make-private', namespace, namespace]);
    try {
      const name = `${namespace}/mnt`;
      writeFileSync(name, '');
      runTool('unshare', [`--mount=${name}`, 'mount', device, folder]);
      await refused(lab, ['-f', device], 'BUSY', /cannot be seen from here/);
      const forced = lab.startServer(['-f', device, '--force']);
      await forced.waitFor('serving');
      forced.kill('SIGTERM');
      await forced.waitStatus(143);
      runTool('umount', [name]);
    } finally {
      runTool('umount', [namespace]);
    }

    const server = lab.startServer(['-f', device]);
    await server.waitFor('serving');
    assert.throws(() => runTool('mount', [device, folder]), /already mounted|busy/i);
    const second = lab.startServer(['-f', device, '-s', '7501', '-p', '16001']);
    await second.waitFor('serving');
    second.kill('SIGTERM');
    server.kill('SIGTERM');
    await Promise.all([server.exited, second.exited]);

    // Mounted read-only, it cannot be claimed: that it is made writable is noticed.
    runTool('mount', ['-o', 'ro', device, folder]);
    try {
      const watched = lab.startServer(['-f', device]);
      await watched.waitFor('serving');
      runTool('mount', ['-o', 'remount,rw', folder]);
      await watched.waitStatus(4);
      assert.match(watched.last('error').message, /was taken into use/);
    } finally {
      runTool('umount', [folder]);
    }
  },
);

labTest('pipes and terminals are refused at once, by whatever name they come', 2, async (lab) => {
  for (const name of ['lab.img', 'lab.img.gz']) {
    const pipe = lab.scratch.path(name);
    execFileSync(toolPath('mkfifo'), [pipe]);
    await refused(lab, ['-f', pipe], 'NOT_AN_IMAGE', /neither a file nor a block device/);
    await refused(lab, ['-f', pipe, '--prepare'], 'NOT_AN_IMAGE', /neither a file/);
  }
  await refused(lab, ['-f', '/dev/null'], 'NOT_AN_IMAGE', /neither a file nor a block device/);
  // A pipe in the place of the map that is kept: the map is made anew.
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  execFileSync(toolPath('mkfifo'), [`${image}.blockmap`]);
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  await Promise.all([lab.startClient(2).waitStatus(0), server.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(2), image);
});

labTest('an image is known by its content, whatever its name', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte + 3);
  const packed = lab.scratch.path('packed');
  const packers: [string, string[], string][] = [
    ['gzip', ['-kc'], 'plain.img'],
    ['zstd', ['-qkc', '--long=31'], 'wrong.gz'],
    ['bzip2', ['-kc'], 'disk.img.bz2'],
    ['lz4', ['-qc'], 'disk.lz4'],
  ];
  for (const [tool, args, name] of packers) {
    writeFileSync(packed, execFileSync(toolPath(tool), [...args, image], { maxBuffer: 1 << 24 }));
    if (tool === 'gzip') appendFileSync(packed, 'a signature');
    const path = lab.scratch.path(name);
    renameSync(packed, path);
    const isMore = tool === 'gzip';
    if (isMore) await refused(lab, ['-f', path], 'CANNOT_UNPACK', /bytes that nobody knows/);
    const force = isMore ? ['--force'] : [];
    const server = lab.startServer(['-f', path, '--exit-after', '1', ...force]);
    await Promise.all([lab.startClient(2).waitStatus(0), server.waitStatus(0)]);
    lab.scratch.assertCopy(lab.copyPath(2), image);
    lab.scratch.remove(lab.copyPath(2));
    const told = server.all('notice').some(({ text }) => /do not belong to it/.test(text));
    assert.equal(told, isMore);
  }
});

labTest("a virtual machine's disk is served as what it contains", 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  for (const format of ['qcow2', 'vmdk', 'vdi', 'vpc', 'vhdx']) {
    const path = lab.scratch.path(`machine.${format}`);
    const exactly = format === 'vpc' ? ['-o', 'force_size=on'] : [];
    runTool('qemu-img', ['convert', '-f', 'raw', '-O', format, ...exactly, image, path]);
    const server = lab.startServer(['-f', path, '--exit-after', '1']);
    await Promise.all([lab.startClient(2).waitStatus(0), server.waitStatus(0)]);
    lab.scratch.assertCopy(lab.copyPath(2), image);
    lab.scratch.remove(path, lab.copyPath(2));
  }
  const path = lab.scratch.path('machine.qcow2');
  runTool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', image, path]);
  const server = lab.startServer(['-f', path, '--as-is', '--exit-after', '1']);
  await Promise.all([lab.startClient(2).waitStatus(0), server.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(2), path);
});

labTest('an image beyond the largest there can be is refused in a sentence', 2, async (lab) => {
  // Only some file systems take a file that long; this one is in memory, and holds nothing.
  const image = '/dev/shm/multiserver-too-large.img';
  writeFileSync(image, '');
  try {
    truncateSync(image, 257 * 2 ** 40);
    await refused(lab, ['-f', image], 'IMAGE_TOO_LARGE', /at most 256 TiB/);
  } finally {
    unlinkSync(image);
  }
});
