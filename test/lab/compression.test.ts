/** What shrinks travels compressed, holes as ranges; the copies are exact all the same. */

import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { copyToAll, type Lab, labTest } from './lab.js';
import { allocatedBytes } from './scratch.js';
import type { LinkOptions } from './world.js';

const mebibyte = 1 << 20;
const tebibyte = 2 ** 40;

/** Text that shrinks to less than half, between stretches that do not. */
function mixedImage(lab: Lab, name = 'mixed.img'): { image: string; bytes: Buffer } {
  const image = lab.scratch.path(name);
  let text = '';
  for (let i = 0; text.length < 12 * mebibyte; i++) text += `${(i * 7919) % 99_991} lines of log\n`;
  const random = lab.scratch.randomFile(`${name}.random`, 4 * mebibyte);
  const bytes = Buffer.concat([
    Buffer.from(text),
    readFileSync(random),
    Buffer.alloc(3 * mebibyte),
    Buffer.from(text.slice(0, mebibyte + 77)),
  ]);
  writeFileSync(image, bytes);
  return { image, bytes };
}

labTest('chunks are compressed where they shrink', 3, async (lab) => {
  const { image } = mixedImage(lab);
  for (const setting of ['auto', '1', '19']) {
    const { server } = await copyToAll(lab, image, [], ['--compress', setting]);
    const { wireBytes, imageBytes, ratio } = server.last('ended');
    assert.ok(wireBytes < 11 * mebibyte, `${wireBytes} bytes on the wire`);
    assert.equal(imageBytes, statSync(image).size);
    assert.equal(ratio, imageBytes / wireBytes);
    for (const number of [2, 3]) lab.scratch.remove(lab.copyPath(number));
  }
  const { server } = await copyToAll(lab, image, [], ['--compress', 'off']);
  assert.ok(server.last('ended').wireBytes > 17 * mebibyte);
});

const lossy: LinkOptions = { lossRatio: 0.05 };
const single: LinkOptions = { segmentationOffload: false };

labTest('compressed chunks are repaired like others', [single, lossy, lossy], async (lab) => {
  const { image } = mixedImage(lab);
  const { clients } = await copyToAll(lab, image);
  for (const client of clients) {
    const { packetsLost, packetsBad } = client.last('proven').progress;
    assert.ok(packetsLost > 0, 'the link did lose packets');
    assert.equal(packetsBad, 0);
  }
});

labTest('an image stored compressed is served as what it contains', 2, async (lab) => {
  const { image, bytes } = mixedImage(lab);
  const packed = lab.scratch.path('stored.img.gz');
  writeFileSync(packed, gzipSync(bytes, { level: 1 }));
  const server = lab.startServer(['-f', packed, '--exit-after', '1']);
  const client = lab.startClient(2);
  await Promise.all([server, client].map((program) => program.waitStatus(0)));
  lab.scratch.assertCopy(lab.copyPath(2), image);
  assert.equal(server.last('serving').name, 'stored.img');
  assert.equal(server.last('serving').sizeBytes, bytes.length);
  lab.scratch.remove(lab.copyPath(2));
  await copyToAll(lab, packed, [], ['--as-is']);
});

labTest('a terabyte with a mebibyte of data', 2, async (lab) => {
  const runs = [{ offsetBytes: tebibyte / 2 + 12_345, lengthBytes: mebibyte }];
  const image = lab.scratch.sparseFile('tera.img', tebibyte, runs);
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  const client = lab.startClient(2);
  await Promise.all([server, client].map((program) => program.waitStatus(0)));
  assert.equal(statSync(lab.copyPath(2)).size, tebibyte);
  // To compare a terabyte takes long; the proof of its digests is another test's matter.
  assert.ok(allocatedBytes(lab.copyPath(2)) <= 2 * mebibyte);
  assert.ok(server.last('ended').wireBytes < 2 * mebibyte);
});
