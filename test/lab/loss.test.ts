/** Single packets get lost, for each client others: all copies are exact all the same. */

import assert from 'node:assert/strict';
import { copyToAll, labTest } from './lab.js';
import { blocksOfChunks } from './passes.js';
import type { LinkOptions } from './world.js';

const mebibyte = 1 << 20;
const clientCount = 4;
const lossRatio = 0.02;
// Whole trains would be lost otherwise.
const server: LinkOptions = { segmentationOffload: false };
const lossy: LinkOptions = { lossRatio };

for (const [what, common] of [
  ['trains', []],
  ['plain sockets', ['--no-offload']],
] as const) {
  const hosts = [server, ...Array<LinkOptions>(clientCount).fill(lossy)];
  labTest(`2 % of packets lost on each of four clients, ${what}`, hosts, async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 16 * mebibyte + 99);
    const copied = await copyToAll(lab, image, [...common]);
    for (const client of copied.clients) {
      assert.ok(client.last('proven').progress.packetsLost > 0, 'the link did lose packets');
    }
    // Each block is lost for one of them or other with 8 %, and so again with what is repeated.
    const least = blocksOfChunks(copied.clients[0]!.last('server-found').image, Infinity);
    const { blocksSent } = copied.server.last('ended').progress;
    assert.ok(blocksSent < 1.3 * least, `${blocksSent} blocks sent for an image of ${least}`);
  });
}
