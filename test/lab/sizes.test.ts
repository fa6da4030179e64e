/** Images of awkward sizes: around a block, a chunk and 4 GiB. */

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { copyToAll, labTest } from './lab.js';
import { allocatedBytes } from './scratch.js';

const gibibyte = 2 ** 30;

labTest('sizes around one block and one chunk', 2, async (lab) => {
  const copy = lab.copyPath(2);
  const copyOne = async (sizeBytes: number) => {
    const image = lab.scratch.randomFile(`${sizeBytes}.img`, sizeBytes);
    const { server } = await copyToAll(lab, image);
    lab.scratch.remove(copy);
    return server.last('serving').blockSizeBytes;
  };
  const blockSizeBytes = await copyOne(1);
  for (const around of [blockSizeBytes, chunkSizeBytes]) {
    for (const sizeBytes of [around - 1, around, around + 1]) await copyOne(sizeBytes);
  }
  await copyOne(1_000_003);
});

labTest('an image of zeros alone', 2, async (lab) => {
  const sizeBytes = 8 * chunkSizeBytes + 1;
  const { server } = await copyToAll(lab, lab.scratch.sparseFile('zeros.img', sizeBytes, []));
  assert.equal(server.last('ended').progress.blocksSent, 0);
  assert.equal(statSync(lab.copyPath(2)).size, sizeBytes);
});

labTest('6 GiB with holes, and data on both sides of 4 GiB', 2, async (lab) => {
  const sizeBytes = 6 * gibibyte + 777;
  const image = lab.scratch.sparseFile('sparse.img', sizeBytes, [
    { offsetBytes: 0, lengthBytes: 1_000_000 },
    { offsetBytes: 4 * gibibyte - 1000, lengthBytes: 5_000_000 },
    { offsetBytes: sizeBytes - 100_000, lengthBytes: 100_000 },
  ]);
  await copyToAll(lab, image);
  assert.ok(allocatedBytes(lab.copyPath(2)) < 32 * chunkSizeBytes, 'the copy keeps the holes');
});
