/** Files as targets: links, rights, marks, and what other programs do to them. */

import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { onCleanup } from '../lab/cleanup.js';
import { type Lab, labTest } from '../lab/lab.js';
import { startClient } from '../lab/programs.js';
import { runTool } from '../lab/tools.js';
import { SmallDisk } from './damage.js';

const mebibyte = 1 << 20;

const clientTo = (lab: Lab, output: string, more: string[] = []) =>
  startClient(lab.world.host(2), ['-o', output, ...more]);

labTest('--resume that cannot go on leaves the file its name and content', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
  lab.startServer(['-f', image]);
  const disk = new SmallDisk(lab.scratch.path('small'), 4 * mebibyte);
  try {
    const copy = `${disk.path}/copy.img`;
    writeFileSync(copy, Buffer.alloc(mebibyte, 7));
    const client = clientTo(lab, copy, ['--resume', '--no-sparse']);
    await client.waitStatus(3);
    assert.equal(client.last('error').code, 'NO_SPACE');
    assert.ok(readFileSync(copy).equals(Buffer.alloc(mebibyte, 7)));
  } finally {
    await lab.world.host(2).killAll();
    disk.close();
  }
});

labTest('a work file that another program cuts in the middle is no copy', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 16 * mebibyte);
  lab.startServer(['-f', image, '--rate', '80M']);
  const client = lab.startClient(2);
  await client.waitFor('progress', ({ progress }) => progress.writtenBytes > 2 * mebibyte);
  truncateSync(`${lab.copyPath(2)}.part`, mebibyte);
  await client.waitStatus(3);
  assert.equal(client.last('error').code, 'TARGET_GONE');
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false);
});

labTest('symbolic links are followed to where they lead, but not as work files', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  lab.startServer(['-f', image]);
  const folder = lab.scratch.makeFolder('elsewhere');
  const there = `${folder}/there.img`;
  const link = lab.scratch.path('link.img');
  for (const isThere of [false, true]) {
    if (!isThere) symlinkSync(there, link);
    await clientTo(lab, link).waitStatus(0);
    lab.scratch.assertCopy(there, image);
    assert.ok(readFileSync(link).equals(readFileSync(image)), 'the link is one still');
    writeFileSync(there, 'something else');
  }
  const precious = lab.scratch.path('precious');
  writeFileSync(precious, 'precious');
  symlinkSync(precious, `${lab.copyPath(2)}.part`);
  const client = lab.startClient(2);
  await client.waitStatus(3);
  assert.match(client.last('error').message, /symbolic link/);
  assert.equal(readFileSync(precious, 'utf8'), 'precious');
});

labTest(
  'a file that is replaced leaves its rights and owner, and its sibling alone',
  2,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 2 * mebibyte);
    lab.startServer(['-f', image]);
    const copy = lab.copyPath(2);
    const sibling = lab.scratch.path('sibling.img');
    for (const more of [[], ['--resume']]) {
      copyFileSync(image, copy);
      truncateSync(copy, mebibyte + 5);
      chmodSync(copy, 0o640);
      chownSync(copy, 1234, 4321);
      linkSync(copy, sibling);
      const before = readFileSync(sibling);
      await clientTo(lab, copy, more).waitStatus(0);
      lab.scratch.assertCopy(copy, image);
      const { mode, uid, gid } = statSync(copy);
      assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 1234, 4321]);
      assert.ok(readFileSync(sibling).equals(before));
      lab.scratch.remove(copy, sibling);
    }
  },
);

labTest('marks that forbid the end are found before the beginning', 2, async (lab) => {
  const disk = lab.scratch.path('ext4.disk');
  writeFileSync(disk, '');
  truncateSync(disk, 32 * mebibyte);
  runTool('mke2fs', ['-q', '-t', 'ext4', disk]);
  const folder = lab.scratch.makeFolder('ext4');
  const device = lab.scratch.loopDevice(disk);
  runTool('mount', [device, folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  try {
    const marked: [string, string, () => string][] = [
      ['+i', 'immutable', () => `${folder}/file.img`],
      ['+a', 'append-only', () => `${folder}/file.img`],
      ['+a', 'append-only', () => `${folder}/folder`],
    ];
    for (const [mark, word, place] of marked) {
      const path = place();
      if (path.endsWith('folder')) mkdirSync(path);
      else writeFileSync(path, 'old');
      runTool('chattr', [mark, path]);
      const output = path.endsWith('folder') ? `${path}/copy.img` : path;
      const client = clientTo(lab, output);
      await client.waitStatus(3);
      assert.match(client.last('error').message, new RegExp(`is ${word}.*chattr -`));
      assert.equal(client.all('listening').length, 0, 'without a server');
      runTool('chattr', [mark.replace('+', '-'), path]);
      lab.scratch.remove(path);
    }
  } finally {
    await lab.world.host(2).killAll();
    unmount();
  }
});

labTest(
  '-n where nothing can be reserved: progress shows, and Ctrl-C is answered',
  2,
  async (lab) => {
    const image = lab.scratch.sparseFile('disk.img', 600 * mebibyte, []);
    lab.startServer(['-f', image]);
    const disk = lab.scratch.path('exfat.disk');
    writeFileSync(disk, '');
    truncateSync(disk, 700 * mebibyte);
    runTool('mkfs.exfat', [disk]);
    const folder = lab.scratch.makeFolder('exfat');
    const device = lab.scratch.loopDevice(disk);
    runTool('mount.exfat-fuse', [device, folder]);
    const unmount = onCleanup(() => runTool('umount', [folder]));
    try {
      const client = clientTo(lab, `${folder}/copy.img`, ['-n']);
      await client.waitFor('allocating', ({ ratio }) => ratio > 0.01 && ratio < 1);
      client.kill('SIGINT');
      await client.waitStatus(130);
      assert.equal(client.all('target').length, 0, 'it was still being allocated');
    } finally {
      await lab.world.host(2).killAll();
      unmount();
    }
  },
);

labTest('an image far beyond the disk is refused, and leaves nothing behind', 2, async (lab) => {
  const image = lab.scratch.sparseFile('disk.img', 2 ** 36, []);
  lab.startServer(['-f', image]);
  const disk = new SmallDisk(lab.scratch.path('small'), mebibyte);
  try {
    const client = clientTo(lab, `${disk.path}/copy.img`);
    await client.waitStatus(3);
    assert.equal(client.last('error').code, 'TOO_SMALL');
    assert.equal(lab.scratch.exists(`${disk.path}/copy.img.part`), false);
  } finally {
    await lab.world.host(2).killAll();
    disk.close();
  }
});
