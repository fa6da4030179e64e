/** Targets that are full, that lie about being written, too small, wanted twice, or taken away. */

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Lab, labTest } from '../lab/lab.js';
import { startClient } from '../lab/programs.js';
import { runTool, toolPath } from '../lab/tools.js';
import { emptyDevice, SmallDisk } from './damage.js';
import { Tally } from './tally.js';

const mebibyte = 1 << 20;
const sizeBytes = 16 * mebibyte;
const clientPath = fileURLToPath(new URL('../../bin/multiclient.js', import.meta.url));

/** A test with a small file system, unmounted before the folder around it goes. */
function smallDiskTest(
  name: string,
  sizeBytes: number,
  body: (lab: Lab, disk: SmallDisk) => Promise<void>,
): void {
  labTest(name, 2, async (lab) => {
    const disk = new SmallDisk(lab.scratch.path('small'), sizeBytes);
    try {
      await body(lab, disk);
    } finally {
      await lab.world.host(2).killAll();
      disk.close();
    }
  });
}

for (const options of [[], ['--no-sparse']]) {
  const how = options.length > 0 ? 'allocated first' : 'as it is written';
  smallDiskTest(
    `a full disk ends the copy, room resumes it (${how})`,
    6 * mebibyte,
    async (lab, disk) => {
      const tally = new Tally();
      const image = lab.scratch.randomFile('disk.img', 12 * mebibyte + 5);
      const copy = join(disk.path, 'copy.img');
      const server = lab.startServer(['-f', image]);
      const start = () => startClient(lab.world.host(2), ['-o', copy, ...options]);
      const client = start();
      await client.waitStatus(3);
      assert.match(client.last('error').message, /no space/);
      const failed = await server.waitFor('client-failed');
      assert.equal(failed.client.reason, client.last('error').message, 'the operator hears why');
      assert.equal(lab.scratch.exists(copy), false, 'nothing is claimed');
      tally.faults += 1;
      disk.resize(16 * mebibyte);
      await start().waitStatus(0);
      tally.compare(copy, image);
      tally.print(`target full, ${how}`);
    },
  );
}

smallDiskTest('room that is short is told before anything', 6 * mebibyte, async (lab, disk) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 12 * mebibyte);
  const copy = join(disk.path, 'copy.img');
  lab.startServer(['-f', image]);
  const start = (...options: string[]) => startClient(lab.world.host(2), ['-o', copy, ...options]);
  const short = /has room for 6\.29 MB[;,] the image has 12\.6 MB/;
  const dry = start('--dry-run');
  await dry.waitStatus(0);
  assert.match(dry.last('notice').text, short);
  for (const options of [['--no-sparse', '--dry-run'], ['--no-sparse']]) {
    const refused = start(...options);
    await refused.waitStatus(3);
    assert.equal(refused.last('error').code, 'NO_SPACE');
    assert.match(refused.last('error').message, short);
    tally.faults += 1;
  }
  assert.equal(lab.scratch.exists(`${copy}.part`), false, 'nothing is made');
  const warned = start();
  await warned.waitStatus(3);
  assert.equal(warned.all('notice').filter(({ text }) => short.test(text)).length, 1);
  tally.faults += 1;
  tally.print('room that is short');
});

smallDiskTest(
  'a device that cannot keep what it took is no copy',
  6 * mebibyte,
  async (lab, disk) => {
    const tally = new Tally();
    const image = lab.scratch.randomFile('disk.img', 12 * mebibyte);
    // Writes go to the page cache; only the sync tells that there is no room behind the device.
    const backing = join(disk.path, 'backing');
    writeFileSync(backing, '');
    truncateSync(backing, 12 * mebibyte);
    const device = disk.loopDevice(backing);
    lab.startServer(['-f', image]);
    const client = startClient(lab.world.host(2), ['-o', device]);
    await client.waitStatus(3);
    assert.equal(client.all('proven').length, 0);
    tally.faults += 1;
    tally.print('device that loses writes');
  },
);

smallDiskTest(
  'what a full thin disk has lost is not believed of the cache, by the same command again',
  16 * mebibyte,
  async (lab, thin) => {
    // A file system that thinks it has room, on a disk that has none left: writes are lost.
    const disk = join(thin.path, 'disk');
    writeFileSync(disk, '');
    truncateSync(disk, 64 * mebibyte);
    // The disk under it goes before the lab's own devices do.
    const device = runTool('losetup', ['--find', '--show', disk]).trim();
    const how = ['-J', 'size=4', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard'];
    runTool('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', ...how, device]);
    const mounted = lab.scratch.makeFolder('mounted');
    runTool('mount', ['-o', 'nodiscard,errors=continue', device, mounted]);
    try {
      lab.startServer(['-f', lab.scratch.randomFile('disk.img', 32 * mebibyte)]);
      for (let run = 0; run < 2; run++) {
        const client = startClient(lab.world.host(2), ['-o', join(mounted, 'copy.img')]);
        await client.waitStatus(3);
        assert.equal(client.all('proven').length, 0);
      }
    } finally {
      // Each has the mounts of its start to itself.
      await Promise.all([1, 2].map((host) => lab.world.host(host).killAll()));
      runTool('umount', [mounted]);
      runTool('losetup', ['--detach', device]);
      // It goes when the last of the system's own threads lets go of it.
      while (runTool('losetup', ['--associated', disk]) !== '') await sleep(20);
    }
  },
);

labTest('a device that is too small is left as it was', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const small = lab.scratch.randomFile('small.disk', 4 * mebibyte - 512);
  const before = lab.scratch.randomFile('before', 4 * mebibyte - 512, 'small.disk');
  lab.startServer(['-f', image]);
  const client = startClient(lab.world.host(2), ['-o', lab.scratch.loopDevice(small)]);
  await client.waitStatus(3);
  lab.scratch.assertCopy(small, before);
  tally.faults += 1;
  tally.print('device too small');
});

labTest('two clients on one host: two copies, but never one target', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 16 * mebibyte);
  const other = lab.scratch.path('other.img');
  lab.startServer(['-f', image, '--rate', '100M']);
  const first = lab.startClient(2);
  const second = startClient(lab.world.host(2), ['-o', other]);
  await first.waitFor('progress', ({ progress }) => progress.blocksReceived > 0);
  const third = lab.startClient(2);
  await third.waitStatus(3);
  tally.faults += 2;
  await Promise.all([first.waitStatus(0), second.waitStatus(0)]);
  tally.compare(lab.copyPath(2), image);
  tally.compare(other, image);
  tally.print('duplicate clients');
});

labTest('what is served here is no target here, by whatever name', 1, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const device = lab.scratch.loopDevice(image);
  // Another node of one device, as a container has: no lock of ours is seen through it.
  const node = lab.scratch.path('node');
  const numbers = runTool('stat', ['-c', '%Hr %Lr', device]).trim().split(' ');
  runTool('mknod', [node, 'b', ...numbers]);
  for (const source of [image, device]) {
    const server = lab.startServer(['-f', source]);
    await server.waitFor('serving');
    for (const target of source === device ? [image, device, node] : [image, device]) {
      for (const options of [['--dry-run'], ['--force'], ['--resume']]) {
        const client = startClient(lab.world.host(1), ['-o', target, ...options]);
        await client.waitStatus(3);
        assert.equal(client.last('error').code, 'BUSY');
        tally.faults += 1;
      }
    }
    server.kill('SIGTERM');
    await server.exited;
  }
  tally.print('source and target the same');
});

/** The target changes under a copy that is under way: it must end in a clear failure. */
function lostTargetTest(
  name: string,
  prepare: (lab: Lab) => { target: string; lose: () => void },
  expected: RegExp,
): void {
  labTest(name, 2, async (lab) => {
    const tally = new Tally();
    const image = lab.scratch.randomFile('disk.img', sizeBytes);
    const { target, lose } = prepare(lab);
    lab.startServer(['-f', image, '--rate', '100M']);
    const client = startClient(lab.world.host(2), ['-o', target]);
    await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 1000);
    lose();
    tally.faults += 1;
    await client.waitStatus(3);
    assert.match(client.last('error').message, expected);
    assert.equal(client.all('proven').length, 0, 'nothing is claimed');
    tally.print(name);
  });
}

lostTargetTest(
  'a device that is pulled out in the middle is no copy',
  (lab) => {
    const backing = lab.scratch.randomFile('stick', sizeBytes, 'stick');
    const target = lab.scratch.loopDevice(backing);
    return { target, lose: () => emptyDevice(target, backing) };
  },
  /has become smaller|input\/output error|pulled out|gone/,
);

lostTargetTest(
  'a device that shrinks in the middle is told as one',
  (lab) => {
    const backing = lab.scratch.randomFile('stick', sizeBytes, 'stick');
    const target = lab.scratch.loopDevice(backing);
    const lose = () => {
      truncateSync(backing, 2 * mebibyte);
      runTool('losetup', ['--set-capacity', target]);
    };
    return { target, lose };
  },
  /it has become smaller/,
);

lostTargetTest(
  'a file that is removed in the middle is no copy',
  (lab) => {
    const target = lab.copyPath(2);
    return { target, lose: () => rmSync(`${target}.part`) };
  },
  /was removed/,
);

lostTargetTest(
  'a file that is replaced in the middle is no copy',
  (lab) => {
    const target = lab.copyPath(2);
    const other = lab.scratch.randomFile('other.img', sizeBytes, 'other');
    return { target, lose: () => renameSync(other, `${target}.part`) };
  },
  /was replaced/,
);

labTest('where /dev is a folder like any other, files lie where they are put', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const folder = mkdtempSync('/multiclient-');
  const target = join(folder, 'copy.img');
  lab.startServer(['-f', image]);
  try {
    // What is left when nothing is mounted there, as in a bare chroot.
    const bare = 'umount --lazy --recursive /dev && exec "$@"';
    const start = (output: string) => {
      const program = [process.execPath, clientPath, '-i', 'e0', '-o', output];
      const args = ['--mount', 'sh', '-c', bare, 'sh', ...program];
      return lab.world.host(2).start(toolPath('unshare'), args);
    };
    const client = start(target);
    assert.equal((await client.exited).status, 0, client.stderr);
    lab.scratch.assertCopy(target, image);
    const mistyped = start('/dev/sdzz');
    assert.equal((await mistyped.exited).status, 3);
    assert.match(mistyped.stderr, /no device \/dev\/sdzz/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
