/** What goes wrong on either side has its exit status, and touches nothing it should not. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { labTest } from './lab.js';

const mebibyte = 1 << 20;

labTest('a source that cannot be served', 1, async (lab) => {
  await lab.startServer(['-f', lab.scratch.path('missing.img')]).waitStatus(4);
  await lab.startServer(['-f', lab.scratch.randomFile('empty.img', 0)]).waitStatus(4);
  await lab.startServer(['-f', lab.scratch.folder]).waitStatus(4);
});

labTest('a file that is named with -o is replaced, but only by a proven copy', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const copy = lab.copyPath(2);
  writeFileSync(copy, 'precious');
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  await lab.startClient(2, ['-s', '7599', '--give-up', '1']).waitStatus(5);
  assert.equal(readFileSync(copy, 'utf8'), 'precious');
  await Promise.all([lab.startClient(2), server].map((one) => one.waitStatus(0)));
  lab.scratch.assertCopy(copy, image);
});

labTest('an interface that is not there', 1, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  await lab.startServer(['-f', image, '-i', 'e9']).waitStatus(7);
  await lab.startClient(1, ['-i', 'e9']).waitStatus(7);
});

labTest('interrupted in the middle, both end with 130 and no copy is claimed', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 16 * mebibyte);
  const server = lab.startServer(['-f', image, '--rate', '20M']);
  const client = lab.startClient(2);
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 0);
  client.kill('SIGINT');
  await client.waitStatus(130);
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false);
  server.kill('SIGINT');
  await server.waitStatus(130);
});

labTest('interrupted while it waits for a server', 1, async (lab) => {
  const client = lab.startClient(1);
  await client.waitFor('listening');
  client.kill('SIGTERM');
  await client.waitStatus(143);
});
