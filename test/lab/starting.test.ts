/** What starts a server's stream, and what ends its run. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { labTest } from './lab.js';

const mebibyte = 1 << 20;
const chunks = 8;

labTest('all that are waited for share one pass, and say that they wait', 5, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', chunks * mebibyte);
  const args = ['--wait-for', '4', '--wait', '60', '--exit-after', '4'];
  const server = lab.startServer(['-f', image, ...args]);
  await server.waitFor('waiting');
  const clients = [];
  for (const number of [2, 3, 4]) {
    // Shorter than they wait: a server that waits is no reason to give up.
    const client = lab.startClient(number, ['--give-up', '1']);
    clients.push(client);
    await client.waitFor('progress', ({ progress }) => progress.state === 'waiting');
  }
  await server.waitFor('progress', ({ progress }) => progress.awaitedClients === 1);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(server.last('progress').progress.blocksSent, 0);
  clients.push(lab.startClient(5));
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  const { reason, clientCount } = server.last('started');
  assert.deepEqual([reason, clientCount], ['clients', 4]);
  const { blockSizeBytes } = server.last('serving');
  const least = chunks * Math.ceil(mebibyte / blockSizeBytes);
  const { blocksSent } = server.last('ended').progress;
  assert(blocksSent < 1.1 * least, `${blocksSent} blocks, of ${least}`);
  for (const number of [2, 3, 4, 5]) lab.scratch.assertCopy(lab.copyPath(number), image);
});

labTest('a time starts those that are there', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const server = lab.startServer([
    '-f',
    image,
    '--wait-for',
    '10',
    '--wait',
    '1',
    '--exit-after',
    '1',
  ]);
  await Promise.all([server.waitStatus(0), lab.startClient(2).waitStatus(0)]);
  assert.deepEqual(
    [server.last('started').reason, server.last('started').clientCount],
    ['time', 1],
  );
});

labTest('a run ends when the last one is gone, and says who has no copy', 4, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', chunks * mebibyte);
  const list = lab.scratch.path('lab.txt');
  writeFileSync(list, 'Desk-2\npc-that-never-came # a remark\n');
  const args = ['--exit-after', '3', '--gone-after', '1', '--rate', '20M'];
  const server = lab.startServer(['-f', image, ...args, '--expect-clients', list]);
  const [first, failing, dying] = [2, 3, 4].map((number) =>
    lab.startClient(number, ['--label', `desk-${number}`]),
  );
  await dying!.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
  await failing!.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
  dying!.kill('SIGKILL');
  failing!.kill('SIGTERM');
  await Promise.all([first!.waitStatus(0), server.waitStatus(16)]);
  assert.equal(server.last('ended').doneCount, 1);
  assert.deepEqual(server.last('expected').lacking, ['pc-that-never-came']);
  const { identity } = server.last('client-done').client;
  assert.equal(identity.label, 'desk-2');
  assert.match(identity.mac ?? '', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  assert.match(
    server.last('error').message,
    /^only 1 of the 3 machines .* holds a copy; .*, pc-that-never-came;/,
  );
});
