/** `--exit-after` counts the machines that hold a copy. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { labTest } from './lab.js';
import { startClient } from './programs.js';

const mebibyte = 1 << 20;

labTest('a check and a second run count nothing, and nobody is cut off by them', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
  const server = lab.startServer(['-f', image, '--rate', '20M', '--exit-after', '2']);
  await lab.startClient(2).waitStatus(0);
  const other = lab.startClient(3);
  await other.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
  // However long the two take, the other one is not done before.
  other.kill('SIGSTOP');
  await lab.startClient(2, ['--check']).waitStatus(0);
  await lab.startClient(2, ['--resume']).waitStatus(0);
  other.kill('SIGCONT');
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

labTest(
  'who only tries is no failure, and who fails before it begins has nothing',
  3,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
    const report = lab.scratch.path('report.jsonl');
    const server = lab.startServer(['-f', image, '--report', report]);
    await lab.startClient(2, ['--dry-run']).waitStatus(0);
    await server.waitFor('client-looked');
    const small = lab.scratch.loopDevice(lab.scratch.randomFile('small.disk', mebibyte));
    await startClient(lab.world.host(3), ['-o', small]).waitStatus(3);
    const { client } = await server.waitFor('client-failed');
    assert.equal(client.missingChunks, 4);
    server.kill('SIGINT');
    await server.waitStatus(130);
    assert.match(server.last('error').message, /no client was under way/);
    const addressOf = (number: number) => lab.world.host(number).address;
    assert.deepEqual(
      server.last('summary').clients.map(({ address }) => address),
      [addressOf(3)],
    );
    const rows = readFileSync(report, 'utf8').trim().split('\n');
    assert.deepEqual(
      rows.map((line) => JSON.parse(line)).map(({ verdict, bytes }) => [verdict, bytes]),
      [['failed', 0]],
    );
  },
);

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

labTest('who waits for another number of machines counts from zero', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const first = lab.startServer(['-f', image, '--exit-after', '2']);
  await lab.startClient(2).waitStatus(0);
  first.kill('SIGTERM');
  await first.waitStatus(143);
  const second = lab.startServer(['-f', image, '--exit-after', '1']);
  await second.waitFor('prepared');
  await lab.startClient(3).waitStatus(0);
  await second.waitStatus(0);
  assert.equal(second.last('ended').doneCount, 1);
});
