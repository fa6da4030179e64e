/** Packets that were damaged on their way, where no checksum of the network finds it. */

import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { labTest } from '../lab/lab.js';
import { runTool } from '../lab/tools.js';
import type { Host } from '../lab/world.js';
import { Tally } from './tally.js';

/** Offsets in a packet: of the common header, of what most types have there, and of payloads. */
const damagedBytes = [1, 3, 5, 9, 14, 17, 19, 22, 25, 27, 30, 37, 41, 60, 79, 88, 93];
const udpHeaderBytes = 8;

/**
 * Damages UDP packets that reach a host, one byte at a time. A veth pair leaves checksums to be
 * computed later, so nobody finds it, as with a router's bad memory or a card without checksums.
 *
 * @param blocksPerMille share of the group's packets
 * @param othersPerMille share of requests and answers
 */
function damagePackets(host: Host, blocksPerMille: number, othersPerMille: number): void {
  const rules = damagedBytes.flatMap((at, index) => {
    const place = `@th,${8 * (udpHeaderBytes + at)},8`;
    const share = (perMille: number) =>
      `numgen random mod ${damagedBytes.length * 1000} < ${perMille} `;
    const set = `${place} set ${(37 * index + 11) % 256}`;
    return [
      `udp dport 16000 ${share(blocksPerMille)} ${set}`,
      `udp dport != 16000 ${share(othersPerMille)} ${set}`,
    ];
  });
  const chain = `chain in {\ntype filter hook input priority 0\n${rules.join('\n')}\n}`;
  runTool(
    'ip',
    ['netns', 'exec', host.namespace, 'nft', '-f', '-'],
    `table inet damage {\n${chain}\n}\n`,
  );
}

labTest('bit errors behind good checksums: exact copies, and no false end', 4, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', 24 * chunkSizeBytes + 1);
  // Single packets, so that every hundredth is damaged, not every hundredth train.
  lab.world.host(1).setLink({ segmentationOffload: false });
  for (const host of lab.world.hosts) damagePackets(host, 10, 100);
  const server = lab.startServer(['-f', image, '--exit-after', '3', '--rate', '200M']);
  const numbers = [2, 3, 4];
  const clients = numbers.map((number) => lab.startClient(number, ['--give-up', '60']));
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  for (const number of numbers) tally.compare(lab.copyPath(number), image);
  const bad = clients.map((client) => client.last('proven').progress.packetsBad);
  tally.print('bit errors', `packets refused: ${bad.join(', ')}`);
});
