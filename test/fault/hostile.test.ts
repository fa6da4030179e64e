/**
 * Somebody floods one side with forged packets while a copy is made: it is made all the same,
 * and neither program grows or ends. `FAULT_SEED=N` to repeat what was sent.
 */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { type Lab, labTest } from '../lab/lab.js';
import {
  type ClientProgram,
  type ServerProgram,
  startClient,
  startServer,
} from '../lab/programs.js';
import type { RunningProcess } from '../lab/running.js';
import type { AttackOptions, AttackResult } from './attacker.js';
import type { GluttonNews, GluttonOptions } from './glutton.js';
import { faultSeed, Tally } from './tally.js';

const mebibyte = 1 << 20;
const sizeBytes = 24 * mebibyte;
const clientPort = 40_000;
/** Both programs take about 150 MiB, most of it Node's and their pools. */
const mostMemoryBytes = 400 * mebibyte;
const packetsPerSecond = 50_000;
const lastsMs = 3000;
const seed = faultSeed();
const attackerPath = fileURLToPath(new URL('./attacker.js', import.meta.url));
const gluttonPath = fileURLToPath(new URL('./glutton.js', import.meta.url));

type Aim = Pick<AttackOptions, 'aim' | 'spoofed'>;

/** Lets host 3 loose. @returns what it says it has done */
async function attack(lab: Lab, aim: Aim, server: { group: string; port: number }) {
  const [serverHost, clientHost, host] = lab.world.hosts;
  const options: AttackOptions = {
    seed,
    ...aim,
    ownAddress: host!.address,
    server: { address: serverHost!.address, port: 7500 },
    client: { address: clientHost!.address, port: clientPort },
    group: server.group,
    port: server.port,
    packetsPerSecond,
    lastsMs,
    chunkCount: sizeBytes / chunkSizeBytes,
  };
  const running = host!.start(process.execPath, [attackerPath, JSON.stringify(options)]);
  const { status } = await running.waitExit(30_000);
  assert.equal(status, 0, running.describe());
  return JSON.parse(running.lines.at(-1)!) as AttackResult;
}

/** A transfer of about the time of the attack, which begins when blocks flow. */
function hostileTest(
  name: string,
  aim: Aim,
  after: (lab: Lab, image: string, tally: Tally) => Promise<void> = async () => {},
): void {
  labTest(name, 3, async (lab) => {
    process.stdout.write(`FAULT_SEED=${seed}\n`);
    const tally = new Tally();
    const image = lab.scratch.randomFile('disk.img', sizeBytes);
    const watched = { watchMemory: true };
    const args = ['-f', image, '--rate', '80M'];
    const server = startServer(lab.world.host(1), args, watched);
    const output = ['-o', lab.copyPath(2), '-f', `${clientPort}`];
    const client = startClient(lab.world.host(2), output, watched);
    await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 500);
    const { sent, elapsedMs, knowsSession } = await attack(lab, aim, server.last('serving'));
    assert.ok(knowsSession, 'the attacker heard the group');
    await client.waitStatus(0);
    tally.badSent = sent;
    for (const program of [client, server]) tally.take(program);
    tally.compare(lab.copyPath(2), image);
    await after(lab, image, tally);
    assert.equal(server.exit, null, 'the server serves on');
    server.kill('SIGTERM');
    await server.waitStatus(143);
    tally.print(name, ...figures(sent, elapsedMs, [client, server]));
    for (const program of [client, server]) {
      assert.ok(program.peakMemoryBytes < mostMemoryBytes, `${program.peakMemoryBytes} bytes`);
    }
  });
}

function figures(sent: number, elapsedMs: number, programs: { peakMemoryBytes: number }[]) {
  const peaks = programs.map(({ peakMemoryBytes }) => Math.round(peakMemoryBytes / mebibyte));
  const rate = Math.round(sent / elapsedMs);
  return [`${rate}k packets/s`, `peak memory of client and server ${peaks.join(' and ')} MiB`];
}

/** Another client comes when the attack is over, and is served as any. */
async function lateClient(lab: Lab, image: string, tally: Tally): Promise<void> {
  const late: ClientProgram = startClient(lab.world.host(2), ['-o', lab.scratch.path('late.img')]);
  await late.waitStatus(0, 30_000);
  tally.compare(lab.scratch.path('late.img'), image);
}

hostileTest('a flood of forged requests', { aim: 'server', spoofed: null }, lateClient);
hostileTest('a flood at the client', { aim: 'client', spoofed: null });
hostileTest("a flood at the client in the server's name", { aim: 'client', spoofed: '10.77.0.1' });

/** Waits until it asked so many times more. */
async function askedMore(glutton: RunningProcess, times: number): Promise<void> {
  const asked = () =>
    (JSON.parse(glutton.lines.at(-1) ?? '{"askedCount":0}') as GluttonNews).askedCount;
  const wanted = asked() + times;
  await glutton.waitUntil(`${wanted} requests`, () => asked() >= wanted || undefined);
}

/** What the server has sent by its next word. */
async function wireBytesNow(server: ServerProgram): Promise<number> {
  const heard = server.events.length;
  const { progress } = await server.waitFor(
    'progress',
    (event) => server.events.indexOf(event) >= heard,
  );
  return progress.wireBytes;
}

labTest('one host that is one invented client after the other', 3, async (lab) => {
  const tally = new Tally();
  const [serverHost, , host] = lab.world.hosts;
  const imageBytes = 4 * mebibyte;
  const image = lab.scratch.randomFile('disk.img', imageBytes);
  const server = lab.startServer(['-f', image]);
  await server.waitFor('serving');
  const options: GluttonOptions = {
    server: { address: serverHost!.address, port: 7500 },
    chunkCount: imageBytes / chunkSizeBytes,
  };
  const glutton = host!.start(process.execPath, [gluttonPath, JSON.stringify(options)]);
  await server.waitFor('notice', ({ text }) => text.includes(host!.address));
  await askedMore(glutton, 300);
  const images = [(await wireBytesNow(server)) / imageBytes];
  await askedMore(glutton, 1000);
  images.push((await wireBytesNow(server)) / imageBytes);
  await lab.startClient(2).waitStatus(0);
  tally.compare(lab.copyPath(2), image);
  await askedMore(glutton, 300);
  images.push((await wireBytesNow(server)) / imageBytes);
  const [first, second, third] = images as [number, number, number];
  // 64 chunks, 8 times the image and what a last request asked for. Then an image a minute: one at
  // most.
  assert.ok(first > 20 && first < 28, `${first} images were sent`);
  assert.ok(second - first < 1.2, `${second - first} images more`);
  assert.ok(third - first < 2.5, `${third - first} images more with the real client's`);
  assert.equal(server.all('notice').length, 1, 'the operator is told once');
  tally.print('invented clients', `images sent: ${images.map((n) => n.toFixed(2)).join(', ')}`);
});
