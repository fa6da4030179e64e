/** Real block devices, by way of loop devices, as source and as target. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { labTest } from './lab.js';
import { startClient } from './programs.js';
import { checkFilesystem, sha256OfFile } from './scratch.js';

const mebibyte = 1 << 20;

labTest('from one device to devices as large and larger', 3, async (lab) => {
  const { scratch, world } = lab;
  const sizeBytes = 24 * mebibyte;
  const image = scratch.ext4Image('disk.img', sizeBytes, 12 * mebibyte);
  // Old content, so that zero chunks of the image must really be written.
  const fits = scratch.loopDevice(scratch.randomFile('fits.disk', sizeBytes));
  const largerFile = scratch.randomFile('larger.disk', sizeBytes + mebibyte);
  const larger = scratch.loopDevice(largerFile);
  const tail = readFileSync(largerFile).subarray(sizeBytes);

  const clients = [
    startClient(world.host(2), ['-o', fits]),
    startClient(world.host(3), ['-o', larger]),
  ];
  const server = lab.startServer(['-f', scratch.loopDevice(image), '--exit-after', '2']);
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));

  assert.equal(server.last('serving').sizeBytes, sizeBytes);
  assert.equal(await sha256OfFile(fits), await sha256OfFile(image));
  checkFilesystem(fits);
  scratch.assertCopy(larger, image, sizeBytes);
  assert.ok(readFileSync(largerFile).subarray(sizeBytes).equals(tail), 'the rest is untouched');
});

labTest('a device that is too small is refused and left alone', 2, async (lab) => {
  const { scratch, world } = lab;
  const image = scratch.randomFile('disk.img', 4 * mebibyte);
  const smallFile = scratch.randomFile('small.disk', 2 * mebibyte);
  const before = await sha256OfFile(smallFile);
  lab.startServer(['-f', image]);
  const client = startClient(world.host(2), ['-o', scratch.loopDevice(smallFile)]);
  await client.waitStatus(3);
  assert.equal(await sha256OfFile(smallFile), before);
});
