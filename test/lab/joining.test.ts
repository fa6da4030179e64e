/** Clients come when they like; each gets all of the image, and few blocks are sent twice. */

import assert from 'node:assert/strict';
import { labTest } from './lab.js';
import { blocksOfChunks, cursorAt, leastBlocks } from './passes.js';

const mebibyte = 1 << 20;
/** Blocks sent may exceed the least possible by so much. */
const wasteRatio = 1.05;

labTest('before the server, during the pass, and after the others are done', 4, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 24 * mebibyte + 11);
  const early = lab.startClient(2);
  await early.waitFor('listening');
  const server = lab.startServer(['-f', image, '--rate', '50M', '--exit-after', '3']);
  await server.waitFor('progress', ({ progress }) => progress.cursorChunk > 6);
  const during = lab.startClient(3);
  await Promise.all([early.waitStatus(0), during.waitStatus(0)]);
  await server.waitFor('client-done', (event) => event.doneCount === 2);
  const after = lab.startClient(4);
  await Promise.all([after.waitStatus(0), server.waitStatus(0)]);
  for (const number of [2, 3, 4]) lab.scratch.assertCopy(lab.copyPath(number), image);

  const found = during.last('server-found');
  assert.ok(found.timeMs < early.last('proven').timeMs, 'the second came during the pass');
  const missed = cursorAt(server, found.timeMs);
  const whole = blocksOfChunks(found.image, found.image.chunkCount);
  const least = 2 * whole + blocksOfChunks(found.image, missed);
  const { blocksSent } = server.last('ended').progress;
  assert.ok(blocksSent <= wasteRatio * least, `${blocksSent} blocks sent, least is ${least}`);
});

labTest('twenty clients that miss different parts cost little more than one', 21, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 24 * mebibyte);
  const numbers = lab.world.hosts.slice(1).map((host) => host.number);
  const waiting = numbers.slice(0, 12).map((number) => lab.startClient(number));
  for (const client of waiting) await client.waitFor('listening');
  const server = lab.startServer(['-f', image, '--rate', '20M', '--exit-after', '20']);
  await server.waitFor('progress', ({ progress }) => progress.blocksSent > 0);
  // They start together, but the machine lets them in one by one, while blocks already flow.
  const coming = numbers.slice(12).map((number) => lab.startClient(number));
  await Promise.all([server, ...waiting, ...coming].map((program) => program.waitStatus(0)));
  for (const number of numbers) lab.scratch.assertCopy(lab.copyPath(number), image);

  const least = leastBlocks(server, [...waiting, ...coming]);
  const { blocksSent } = server.last('ended').progress;
  assert.ok(blocksSent <= wasteRatio * least, `${blocksSent} blocks sent, least is ${least}`);
});
