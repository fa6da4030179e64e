/** Single packets get lost, for each client others: all copies are exact all the same. */

import assert from 'node:assert/strict';
import { copyToAll, type Lab, labTest } from './lab.js';
import { leastBlocks } from './passes.js';
import type { ClientProgram } from './programs.js';
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
