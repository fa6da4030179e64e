/**
 * Attackers on the segment while eight machines are imaged, with and without a key, each with
 * 50,000 packets a second where the machine has cores for it: all copies are exact, and nobody ends
 * who should not. `FAULT_SEED=N` to repeat what was sent.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { PacketType } from '../../src/protocol/packet.js';
import { type Lab, labTest } from '../lab/lab.js';
import { type ServerProgram, startClient } from '../lab/programs.js';
import type { AttackOptions, AttackResult } from './attacker.js';
import { faultSeed, Tally } from './tally.js';

const mebibyte = 1 << 20;
const sizeBytes = 16 * mebibyte;
const clientPort = 40_000;
const clientHosts = [2, 3, 4, 5, 6, 7, 8, 9];
const [towardsClients, towardsServer] = [10, 11];
const packetsPerSecond = 50_000;
const lastsMs = 3000;
/** Each attacker has sent so many, however slow the machine is. */
const leastSent = 10_000;
/** Slow enough for the copies to last as long as the attacks. */
const rate = ['--rate', '40M'];
const seed = faultSeed();
const attackerPath = fileURLToPath(new URL('./attacker.js', import.meta.url));

/** Lets a host loose. @returns what it says it has done */
async function attack(
  lab: Lab,
  host: number,
  server: ServerProgram,
  options: Partial<AttackOptions>,
): Promise<AttackResult> {
  const { group, port } = server.last('serving');
  const all: AttackOptions = {
    seed: seed + host,
    aim: 'server',
    spoofed: null,
    ownAddress: lab.world.host(host).address,
    server: { address: lab.world.host(1).address, port: 7500 },
    client: { address: lab.world.host(2).address, port: clientPort },
    group,
    port,
    packetsPerSecond,
    lastsMs,
    chunkCount: sizeBytes / chunkSizeBytes,
    ...options,
  };
  const running = lab.world.host(host).start(process.execPath, [attackerPath, JSON.stringify(all)]);
  const { status } = await running.waitExit(60_000);
  assert.equal(status, 0, running.describe());
  return JSON.parse(running.lines.at(-1)!) as AttackResult;
}

/** Eight machines copy while two hosts attack. @returns what the attackers did */
async function copyUnderAttack(
  lab: Lab,
  image: string,
  server: ServerProgram,
  common: string[],
  options: Partial<AttackOptions>,
): Promise<{ results: AttackResult[]; tally: Tally }> {
  const tally = new Tally();
  const clients = clientHosts.map((host) =>
    startClient(lab.world.host(host), ['-o', lab.copyPath(host), '-f', `${clientPort}`, ...common]),
  );
  await clients[0]!.waitFor('progress', ({ progress }) => progress.blocksReceived > 200);
  const results = await Promise.all([
    attack(lab, towardsClients, server, {
      ...options,
      aim: 'client',
      spoofed: lab.world.host(1).address,
    }),
    attack(lab, towardsServer, server, { ...options, aim: 'server' }),
  ]);
  for (const client of clients) await client.waitStatus(0, 90_000);
  for (const host of clientHosts) {
    tally.compare(lab.copyPath(host), image);
    lab.scratch.remove(lab.copyPath(host));
  }
  for (const program of [...clients, server]) tally.take(program);
  tally.badSent = results.reduce((sum, { sent }) => sum + sent, 0);
  for (const { knowsSession, sent } of results) {
    assert.ok(knowsSession, 'the attacker heard the group');
    assert.ok(sent >= leastSent, `${sent} packets were sent`);
  }
  const types = new Set(results.flatMap((result) => result.types));
  for (const [name, type] of Object.entries(PacketType)) assert.ok(types.has(type), name);
  return { results, tally };
}

const rateOf = ({ sent, elapsedMs }: AttackResult) => `${Math.round(sent / elapsedMs)}k packets/s`;

labTest(
  'with a key: recorded, reflected, forged packets of each type, eight machines',
  11,
  async (lab) => {
    process.stdout.write(`FAULT_SEED=${seed}\n`);
    const { scratch } = lab;
    const image = scratch.randomFile('disk.img', sizeBytes);
    const keyPath = scratch.path('lab.secret');
    await lab.startServer(['--new-key', keyPath]).waitStatus(0);
    const key = ['--key', keyPath];
    // A whole session that somebody records, with the same key.
    const recordTo = scratch.path('recorded');
    const first = lab.startServer(['-f', image, '--rate', '60M', ...key]);
    await first.waitFor('serving');
    const recording = attack(lab, towardsClients, first, { isSealed: true, recordTo });
    await lab.startClient(2, key).waitStatus(0);
    await recording;
    scratch.remove(lab.copyPath(2));
    first.kill('SIGTERM');
    await first.waitExit();

    const exitAfter = ['--exit-after', `${clientHosts.length}`];
    const server = lab.startServer(['-f', image, ...rate, ...exitAfter, ...key]);
    await server.waitFor('serving');
    const options = { isSealed: true, replayFrom: recordTo };
    const { results, tally } = await copyUnderAttack(lab, image, server, key, options);
    await server.waitStatus(0);
    const done = server.all('client-done');
    assert.deepEqual(
      done.map(({ doneCount }) => doneCount),
      clientHosts.map((_, index) => index + 1),
    );
    assert.equal(server.all('client-joined').length, clientHosts.length, 'nobody else joined');
    assert.equal(server.all('client-failed').length, 0);
    tally.print('sealed, eight machines', ...results.map(rateOf));
  },
);

labTest('without a key: forged packets of each type, eight machines', 11, async (lab) => {
  process.stdout.write(`FAULT_SEED=${seed}\n`);
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const server = lab.startServer(['-f', image, ...rate]);
  await server.waitFor('serving');
  const { results, tally } = await copyUnderAttack(lab, image, server, [], {});
  // Some lines of the server may still be on their way.
  const isLast = ({ doneCount }: { doneCount: number }) => doneCount >= clientHosts.length;
  await server.waitFor('client-done', isLast);
  const { doneCount } = server.last('client-done');
  assert.ok(doneCount <= clientHosts.length + 1, `${doneCount} copies are counted`);
  assert.equal(server.exit, null, 'the server serves on');
  tally.print('in the open, eight machines', ...results.map(rateOf));
});
