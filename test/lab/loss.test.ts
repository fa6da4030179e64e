/** Single packets get lost, for each client others: all copies are exact all the same. */

import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { copyToAll, type Lab, labTest } from './lab.js';
import { leastBlocks } from './passes.js';
import type { ClientProgram } from './programs.js';
import { RunningProcess } from './running.js';
import type { LinkOptions } from './world.js';

const mebibyte = 1 << 20;
const lossy: LinkOptions = { lossRatio: 0.02 };
// Without this, whole trains would be lost.
const single: LinkOptions = { segmentationOffload: false };
const hosts = [single, lossy, lossy, lossy, lossy];

function assertLossy(clients: ClientProgram[]): void {
  for (const client of clients) {
    assert.ok(client.last('proven').progress.packetsLost > 0, 'the link did lose packets');
  }
}

function randomImage(lab: Lab): string {
  return lab.scratch.randomFile('disk.img', 16 * mebibyte + 99);
}

labTest('2 % of packets lost on each of four clients, plain sockets', hosts, async (lab) => {
  assertLossy((await copyToAll(lab, randomImage(lab), ['--no-offload'])).clients);
});

labTest('2 % of packets lost on each of four clients, trains', hosts, async (lab) => {
  assertLossy((await copyToAll(lab, randomImage(lab))).clients);
});

labTest('what is lost is sent again, and little else', hosts, async (lab) => {
  const image = randomImage(lab);
  // Slow, so that all come during the first pass and nothing but the link loses packets.
  const server = lab.startServer(['-f', image, '--rate', '30M', '--exit-after', '4']);
  await server.waitFor('serving');
  const clients = [2, 3, 4, 5].map((number) => lab.startClient(number));
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  assertLossy(clients);
  const least = leastBlocks(server, clients);
  const { blocksSent } = server.last('ended').progress;
  // One block in twelve is lost for one of them or other, and so on with what is repeated.
  assert.ok(blocksSent < 1.15 * least, `${blocksSent} blocks sent, least is ${least}`);
});

for (const outageMs of [50, 200]) {
  labTest(
    `${outageMs} ms of each second without a packet set no rate, for one of three`,
    4,
    async (lab) => {
      const image = lab.scratch.randomFile('disk.img', 40 << 20);
      const rule = 'ip netns exec "$0" nft add rule inet out c udp dport 16000 drop';
      const script = `
      ip netns exec "$0" nft 'table inet out { chain c { type filter hook input priority 0; }; }'
      while sleep ${(1000 - outageMs) / 1000}; do
        ${rule}; sleep ${outageMs / 1000}; ip netns exec "$0" nft flush chain inet out c
      done`;
      const bad = lab.world.host(2);
      const outages = new RunningProcess('bash', ['-c', script, bad.namespace]);
      bad.adopt(outages);
      const server = lab.startServer(['-f', image, '--rate', '80M', '--exit-after', '3']);
      const clients = [2, 3, 4].map((number) => lab.startClient(number));
      await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
      outages.kill('SIGKILL');
      for (const number of [2, 3, 4]) lab.scratch.assertCopy(lab.copyPath(number), image);
      const lost = clients[0]!.last('proven').progress.packetsLost;
      assert.ok(lost > 500, `${lost} packets lost: there were outages`);
      const rates = server.all('progress').map(({ progress }) => progress.rateBitsPerSecond);
      assert.ok(Math.min(...rates) > 0.8 * 80e6, `${Math.min(...rates)} bit/s`);
    },
  );
}

labTest(
  'a client that stands still again and again, and is waited for, loses nothing',
  2,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 64 * mebibyte);
    const options = ['--slow-clients', 'wait', '--rate', '300M', '--exit-after', '1'];
    const server = lab.startServer(['-f', image, ...options]);
    const client = lab.startClient(2);
    for (let chunk = 8; chunk <= 40; chunk += 8) {
      await client.waitFor('progress', ({ progress }) => progress.missingChunks < 64 - chunk);
      // As long as a slow disk takes for what a write has to wait for.
      client.kill('SIGSTOP');
      await setTimeout(1500);
      client.kill('SIGCONT');
    }
    await Promise.all([server.waitStatus(0), client.waitStatus(0)]);
    lab.scratch.assertCopy(lab.copyPath(2), image);
    const { packetsLost } = client.last('proven').progress;
    assert.equal(packetsLost, 0);
    const { blocksSent } = server.last('ended').progress;
    const least = leastBlocks(server, [client]);
    assert.ok(blocksSent < 1.1 * least, `${blocksSent} blocks sent, least is ${least}`);
  },
);
