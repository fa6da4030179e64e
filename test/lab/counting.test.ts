/** `--exit-after` counts the machines that hold a copy. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { labTest } from './lab.js';

const mebibyte = 1 << 20;

labTest('a check and a second run count nothing, and nobody is cut off by them', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
  const server = lab.startServer(['-f', image, '--rate', '20M', '--exit-after', '2']);
  await lab.startClient(2).waitStatus(0);
  const other = lab.startClient(3);
  await other.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
  await lab.startClient(2, ['--check']).waitStatus(0);
  await lab.startClient(2, ['--resume']).waitStatus(0);
  await Promise.all([other.waitStatus(0), server.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(3), image);
  assert.equal(server.all('client-compared').length, 1);
  assert.deepEqual(
    server.all('client-done').map(({ doneCount }) => doneCount),
    [1, 1, 2],
  );
});

labTest('a machine that is written anew holds no copy until that one is proven', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const server = lab.startServer(['-f', image, '--exit-after', '2']);
  await lab.startClient(2).waitStatus(0);
  await lab.startClient(2, ['--force']).waitStatus(0);
  assert.equal(server.last('client-anew').doneCount, 0);
  assert.equal(server.last('client-done').doneCount, 1);
  server.kill('SIGTERM');
  await server.waitStatus(143);
});

labTest('who is in mid-transfer when the server leaves is named', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
  const server = lab.startServer(['-f', image, '--rate', '20M', '--exit-after', '1']);
  const first = lab.startClient(2);
  await first.waitFor('progress', ({ progress }) => progress.missingChunks === 4);
  const late = lab.startClient(3);
  await late.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
  await Promise.all([first.waitStatus(0), server.waitStatus(0)]);
  const { clients } = server.last('unfinished');
  assert.deepEqual(
    clients.map(({ address }) => address),
    [lab.world.host(3).address],
  );
});

labTest('a server that was killed goes on counting', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const args = ['-f', image, '--exit-after', '2'];
  const killed = lab.startServer(args);
  await lab.startClient(2).waitStatus(0);
  killed.kill('SIGKILL');
  await killed.exited;
  const server = lab.startServer(args);
  await server.waitFor('prepared');
  await Promise.all([lab.startClient(3).waitStatus(0), server.waitStatus(0)]);
  assert.equal(server.last('ended').doneCount, 2);
  assert.equal(existsSync(`${image}.copies`), false);
});
