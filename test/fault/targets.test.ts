/** Targets that are full, that lie about being written, too small, or wanted twice. */

import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lab, labTest } from '../lab/lab.js';
import { startClient } from '../lab/programs.js';
import { SmallDisk } from './damage.js';
import { Tally } from './tally.js';

const mebibyte = 1 << 20;

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
      lab.startServer(['-f', image]);
      const start = () => startClient(lab.world.host(2), ['-o', copy, ...options]);
      const client = start();
      await client.waitStatus(3);
      assert.match(client.last('error').message, /no space/);
      assert.equal(lab.scratch.exists(copy), false, 'nothing is claimed');
      tally.faults += 1;
      disk.resize(16 * mebibyte);
      await start().waitStatus(0);
      tally.compare(copy, image);
      tally.print(`target full, ${how}`);
    },
  );
}

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
