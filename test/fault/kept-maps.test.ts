/** Block maps that are older than the image: no copy of what was there before is called proven. */

import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { onCleanup } from '../lab/cleanup.js';
import { type Lab, labTest } from '../lab/lab.js';
import { runTool } from '../lab/tools.js';
import { overwrite } from './damage.js';
import { Tally } from './tally.js';

const chunkCount = 6;
const zeroChunk = 3;
/** Longer than two writes may share one time stamp. */
const settledMs = 60;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Random content, with one chunk of zeros that is no hole. */
function makeImage(lab: Lab, path: string): void {
  const source = lab.scratch.randomFile('source.img', chunkCount * chunkSizeBytes);
  const file = openSync(source, 'r+');
  writeSync(file, Buffer.alloc(chunkSizeBytes), 0, chunkSizeBytes, zeroChunk * chunkSizeBytes);
  closeSync(file);
  if (path !== source) copyFileSync(source, path);
}

async function serveOnce(lab: Lab, image: string) {
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  const client = lab.startClient(2);
  const [served, copied] = await Promise.all([server.waitExit(), client.waitExit()]);
  return { server, client, served: served.status, copied: copied.status };
}

/** Puts data where zeros were, and all times back that can be. */
function changeZeros(image: string): void {
  const { atime, mtime } = statSync(image);
  overwrite(image, zeroChunk * chunkSizeBytes, 4096);
  utimesSync(image, atime, mtime);
}

labTest('on exFAT, where times can be put back, what is there now is served', 2, async (lab) => {
  const tally = new Tally();
  const disk = lab.scratch.path('exfat.disk');
  writeFileSync(disk, '');
  truncateSync(disk, 64 << 20);
  runTool('mkfs.exfat', [disk]);
  const folder = lab.scratch.path('exfat');
  mkdirSync(folder);
  const device = lab.scratch.loopDevice(disk);
  runTool('mount.exfat-fuse', [device, folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  try {
    const image = `${folder}/lab.img`;
    makeImage(lab, image);
    const prepare = lab.startServer(['-f', image, '--prepare']);
    assert.notEqual((await prepare.waitExit()).status, 0, 'no map can be relied on here');
    assert.equal((await serveOnce(lab, image)).copied, 0);
    assert.equal(existsSync(`${image}.blockmap`), false);
    lab.scratch.remove(lab.copyPath(2));
    changeZeros(image);
    tally.faults += 1;
    assert.deepEqual(await serveOnce(lab, image).then(({ copied }) => copied), 0);
    tally.compare(lab.copyPath(2), image);
    tally.print('exFAT');
  } finally {
    unmount();
  }
});

labTest(
  'a map whose key was forged to fit proves nothing of what it calls zeros',
  2,
  async (lab) => {
    const tally = new Tally();
    const image = lab.scratch.path('lab.img');
    makeImage(lab, image);
    await sleep(settledMs);
    await lab.startServer(['-f', image, '--prepare']).waitStatus(0);
    const forged = readFileSync(`${image}.blockmap`);
    changeZeros(image);
    tally.faults += 1;
    await sleep(settledMs);
    // The key of the image as it is now, taken from a map that is made of it, before the old map.
    lab.scratch.remove(`${image}.blockmap`);
    await lab.startServer(['-f', image, '--prepare']).waitStatus(0);
    const keyBytes = forged.indexOf('MCBMAPF1');
    assert.ok(keyBytes > 0);
    readFileSync(`${image}.blockmap`).copy(forged, 0, 0, keyBytes);
    writeFileSync(`${image}.blockmap`, forged);

    assert.equal((await serveOnce(lab, image)).copied, 0);
    tally.compare(lab.copyPath(2), image);
    tally.print('forged key');
  },
);

labTest(
  'a kept map with another digest than the image ends both sides, but not twice',
  2,
  async (lab) => {
    const tally = new Tally();
    const image = lab.scratch.path('lab.img');
    makeImage(lab, image);
    await sleep(settledMs);
    await lab.startServer(['-f', image, '--prepare']).waitStatus(0);
    const old = readFileSync(`${image}.blockmap`);
    overwrite(image, 5 * chunkSizeBytes + 17, 100);
    tally.faults += 1;
    await sleep(settledMs);
    lab.scratch.remove(`${image}.blockmap`);
    await lab.startServer(['-f', image, '--prepare']).waitStatus(0);
    readFileSync(`${image}.blockmap`).copy(old, 0, 0, old.indexOf('MCBMAPF1'));
    writeFileSync(`${image}.blockmap`, old);

    const { server, served, copied, client } = await serveOnce(lab, image);
    assert.deepEqual([served, copied], [4, 4]);
    const place = new RegExp(`bytes ${5 * chunkSizeBytes} to ${6 * chunkSizeBytes - 1}`);
    assert.match(server.last('error').message, place);
    assert.match(client.last('error').message, place);
    assert.equal(existsSync(lab.copyPath(2)), false);

    assert.deepEqual(await serveOnce(lab, image).then(({ copied }) => copied), 0);
    tally.compare(lab.copyPath(2), image);
    tally.print('other digest');
  },
);

labTest('a byte written to a device while it is served ends both sides', 3, async (lab) => {
  const tally = new Tally();
  const backing = lab.scratch.randomFile('disk.img', 64 * chunkSizeBytes);
  const device = lab.scratch.loopDevice(backing);
  const server = lab.startServer(['-f', device]);
  await server.waitFor('prepared');
  await lab.startClient(2).waitStatus(0);
  const place = 20 * chunkSizeBytes + 12_345;
  overwrite(device, place, 1);
  tally.faults += 1;
  const client = lab.startClient(3);
  await Promise.all([server.waitStatus(4), client.waitStatus(4)]);
  const chunk = `bytes ${20 * chunkSizeBytes} to ${21 * chunkSizeBytes - 1}`;
  assert.ok(client.last('error').message.includes(chunk), client.last('error').message);
  assert.ok(server.last('error').message.includes(chunk), server.last('error').message);
  tally.print('device');
});

labTest('a file written to with its time set back ends both sides', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 16 * chunkSizeBytes);
  const server = lab.startServer(['-f', image, '--rate', '60M']);
  const client = lab.startClient(2);
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 2000);
  const { atime, mtime } = statSync(image);
  overwrite(image, 14 * chunkSizeBytes, 1);
  utimesSync(image, atime, mtime);
  tally.faults += 1;
  await Promise.all([server.waitStatus(4), client.waitStatus(4)]);
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false);
  tally.print('time set back');
});
