/**
 * Every byte of a packet of every type is changed, one at a time, and sent to where it belongs
 * under the true sender's address, while a copy is made: the copies are exact, and each such packet
 * counts as bad. `FAULT_SEED=N` to repeat which bits were changed.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ProbeAnswering } from '../../src/doctor/probe-answering.js';
import { DEFAULT_CHUNK_SIZE_BYTES as chunkSizeBytes } from '../../src/image/geometry.js';
import { blockOf, kindByteOf } from '../../src/protocol/block.js';
import { decodeMapRequest } from '../../src/protocol/from-client.js';
import { encodeFarewell, encodeNotice, NoticeCode } from '../../src/protocol/from-server.js';
import { PacketType, packetSession, packetType } from '../../src/protocol/packet.js';
import { parseKeyFile } from '../../src/trust/key-file.js';
import { type Lab, labTest } from '../lab/lab.js';
import { type ClientProgram, type ServerProgram, startClient } from '../lab/programs.js';
import { runTool } from '../lab/tools.js';
import { Random } from '../sim/random.js';
import { blocksAhead, flipsOf, Insider } from './flips.js';
import { type Heard, Overhearing } from './overhearing.js';
import type { SpooferOptions } from './spoofer.js';
import { faultSeed, Tally } from './tally.js';

const serverPort = 7500;
const clientPort = 40_000;
/** Two that copy, one that is led astray, one that strangers use, one that attacks. */
const [first, second, victim, strangers, attacker] = [2, 3, 4, 5, 6];
const chunkCount = 12;
/** Somebody's public key, who signed nothing here. */
const publicKey = 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3';
const seed = faultSeed();
const spooferPath = fileURLToPath(new URL('./spoofer.js', import.meta.url));

interface Session {
  lab: Lab;
  server: ServerProgram;
  clients: ClientProgram[];
  overhearing: Overhearing;
  /** Null in the open. */
  insider: Insider | null;
  random: Random;
}

const isTo =
  (address: string, port: number) =>
  ({ to }: Heard): boolean =>
    to.address === address && to.port === port;

/** The first packet of a type, or the next one, that fits. */
function hear(
  { overhearing }: Session,
  type: number,
  fits: (heard: Heard) => boolean = () => true,
): Promise<Heard> {
  return overhearing.waitFor(
    `a packet of type ${type}`,
    (heard) => packetType(heard.bytes, 0) === type && fits(heard),
  );
}

/** One packet of each type, as it passed by, but for checks of blocks, which nobody needs yet. */
async function overhear(session: Session): Promise<Heard[]> {
  const { lab, insider } = session;
  const { address: serverAddress } = lab.world.host(1);
  const { address } = lab.world.host(first);
  const { group, port } = session.server.last('serving');
  const { mapRequest, statementRequest, blockRequest, report, block, ...others } = PacketType;
  const { imageDescription, statement, farewell, locked, status, zeroRanges } = others;
  const ofType = (type: number, fits?: (heard: Heard) => boolean) => hear(session, type, fits);
  const isFromFirst = ({ from }: Heard) => from.address === address && from.port === clientPort;
  const isToGroup = isTo(group, port);
  const isJoining = ({ bytes }: Heard) => packetSession(bytes, 0) !== 0n;
  const wanted = [
    ofType(mapRequest, isFromFirst),
    ofType(blockRequest, isFromFirst),
    ofType(report, isFromFirst),
    ofType(imageDescription, isTo(address, clientPort)),
    ofType(status, isToGroup),
    ofType(zeroRanges, isToGroup),
    // Whole blocks of raw chunks of the image.
    ofType(block, ({ bytes }) => kindByteOf(bytes, 0) === 0 && blockOf(bytes, 0) === 0),
    ofType(statementRequest),
    ofType(statement),
    ofType(farewell),
  ];
  if (insider !== null) {
    wanted.push(ofType(mapRequest, (heard) => isFromFirst(heard) && isJoining(heard)));
    wanted.push(ofType(locked));
  }
  const packets = await Promise.all(wanted);
  return packets.map((heard) => {
    if (isToGroup(heard)) return heard;
    // Strangers have left: what was said to or by them is told where it can do harm.
    const isRequest = heard.from.address !== serverAddress;
    const to = isRequest
      ? { address: serverAddress, port: serverPort }
      : { address, port: clientPort };
    return { ...heard, to };
  });
}

/** The last words of a server: what a client ends by, if they are true. */
function lastWords({ insider }: Session, heard: Heard[]): Heard[] {
  const find = (type: number) => heard.find(({ bytes }) => packetType(bytes, 0) === type)!;
  const [request, status, farewell] = [
    find(PacketType.mapRequest),
    find(PacketType.status),
    find(PacketType.farewell),
  ];
  const session = packetSession(status.bytes, 0);
  const plain = insider === null ? request.bytes : insider.open(request.bytes);
  const { client } = decodeMapRequest(plain)!;
  const dropped = encodeFarewell({ session, client, isDropped: true });
  const code = NoticeCode.sourceChanged;
  const changed = encodeNotice({ session, code, first: 0, count: 0, text: 'changed' });
  return [
    { ...farewell, bytes: insider?.anew(farewell.bytes, dropped) ?? dropped },
    { ...status, bytes: insider?.anew(status.bytes, changed) ?? changed },
  ];
}

/** Packets as they were heard; with a key also as none was heard yet, which have to be opened. */
function oldAndNew({ insider }: Session, heard: Heard): Heard[] {
  const isPlain = [PacketType.block, PacketType.locked].some(
    (type) => packetType(heard.bytes, 0) === type,
  );
  if (insider === null || isPlain) return [heard];
  return [heard, { ...heard, bytes: insider.anew(heard.bytes) }];
}

const ascending = (a: number, b: number): number => a - b;

/** What a program has counted by its last word. */
function lastBad(program: ServerProgram | ClientProgram): number {
  for (const event of program.events.toReversed()) {
    if ('progress' in event) return event.progress.packetsBad;
  }
  return 0;
}

/** What the system dropped on a host before a program could count it. */
function droppedAt({ lab }: Session, host: number, ports: number[]): number {
  const { namespace } = lab.world.host(host);
  const table = runTool('ip', ['netns', 'exec', namespace, 'cat', '/proc/net/udp']);
  const rows = table.trim().split('\n').slice(1);
  const fields = rows.map((row) => row.trim().split(/\s+/));
  const ours = fields.filter(([, local]) => ports.includes(Number.parseInt(local!.slice(-4), 16)));
  return ours.reduce((sum, row) => sum + Number(row.at(-1)), 0);
}

/** Sends all packets, each under its sender's address. */
async function spoof({ lab }: Session, packets: Heard[]): Promise<void> {
  const host = lab.world.host(attacker);
  const path = lab.scratch.path('spoofed.json');
  const options: SpooferOptions = {
    ownAddress: host.address,
    packets: packets.map(({ bytes, from, to }) => ({ from, to, bytes: bytes.toString('hex') })),
  };
  writeFileSync(path, JSON.stringify(options));
  const running = host.start(process.execPath, [spooferPath, path]);
  await running.waitStatus(0);
  assert.equal(running.lines.at(-1), `${packets.length}`);
}

/**
 * Whether a changed packet counts as bad where it comes. A block is as good as its chunk's digest;
 * what has become a probe is for the doctor's answers, and counts nowhere.
 */
const mustCount = ({ bytes }: Heard): boolean =>
  packetType(bytes, 0) !== PacketType.block && !ProbeAnswering.isProbe(bytes);

/** Sends changed packets, and waits until all are counted. @returns how many the system dropped */
async function spoofCounted(session: Session, sent: Heard[]): Promise<number> {
  const { lab, server, clients } = session;
  const { group, port } = server.last('serving');
  const programs = [server, ...clients];
  const hosts = [1, first, second];
  const ports = [[serverPort], [clientPort, port], [clientPort, port]];
  const dropped = () => hosts.map((host, index) => droppedAt(session, host, ports[index]!));
  const before = { bad: programs.map(lastBad), dropped: dropped() };
  await spoof(session, sent);
  const drops = dropped().map((count, index) => count - before.dropped[index]!);
  await Promise.all(
    programs.map((program, index) => {
      const { address } = lab.world.host(hosts[index]!);
      const isTaken = ({ to }: Heard) =>
        to.address === address || (to.address === group && program !== server);
      const count = sent.filter((packet) => isTaken(packet) && mustCount(packet)).length;
      const floor = before.bad[index]! + count - drops[index]!;
      const what = `${floor} bad packets`;
      return program.waitUntil(what, () => lastBad(program) >= floor || undefined);
    }),
  );
  return drops.reduce((sum, count) => sum + count, 0);
}

/** That nothing happened means something: the same, unchanged, ends a client. */
async function dropVictim(
  session: Session,
  insider: Insider,
  client: ClientProgram,
): Promise<void> {
  const { address } = session.lab.world.host(victim);
  const request = await hear(
    session,
    PacketType.mapRequest,
    ({ from }) => from.address === address,
  );
  const farewell = await hear(session, PacketType.farewell);
  const id = decodeMapRequest(insider.open(request.bytes))!.client;
  const number = packetSession(farewell.bytes, 0);
  const dropped = encodeFarewell({ session: number, client: id, isDropped: true });
  const bytes = insider.anew(farewell.bytes, dropped);
  await spoof(session, [{ ...farewell, bytes, to: { address, port: clientPort } }]);
  await client.waitStatus(5);
  assert.equal(client.last('error').code, 'DROPPED');
}

/** Lets the server send as fast as it can. */
async function hasten({ lab, server }: Session): Promise<void> {
  const { url } = await server.waitFor('page');
  const script = `const { status } = await fetch('${url}api/rate', { method: 'POST',
    body: '{"bitsPerSecond":null}', headers: { 'content-type': 'application/json' } });
    process.exit(status === 200 ? 0 : 1);`;
  const running = lab.world.host(1).start(process.execPath, ['--input-type=module', '-e', script]);
  await running.waitStatus(0);
}

/** Programs that ask what the two copies never ask, and are gone again. */
async function visit(session: Session, key: string[]): Promise<void> {
  const { lab, insider } = session;
  const host = lab.world.host(strangers);
  const from = (port: number) => ['-o', lab.scratch.path(`stranger-${port}`), '-f', `${port}`];
  const leaver = startClient(host, [...from(clientPort), ...key]);
  const asker = startClient(host, [...from(clientPort + 1), '--trust', publicKey, ...key]);
  const outsider = insider === null ? null : startClient(host, from(clientPort + 2));
  await leaver.waitFor('progress', ({ progress }) => progress.blocksReceived > 0);
  await hear(session, PacketType.statement);
  if (outsider !== null) await hear(session, PacketType.locked);
  for (const program of [leaver, asker, outsider]) program?.kill('SIGTERM');
  for (const program of [leaver, asker, outsider]) await program?.waitExit();
}

/** A session in which two copies begin. */
async function begin(lab: Lab, image: string, keyPath: string | null): Promise<Session> {
  const key = keyPath === null ? [] : ['--key', keyPath];
  const overhearing = await Overhearing.start(lab.world.host(1));
  // Slow enough for the copies to last as long as all that follows.
  const args = ['-f', image, '--compress', 'off', '--rate', '2M', '--exit-after', '2'];
  const server = lab.startServer([...args, '--web', '0', ...key]);
  await server.waitFor('prepared');
  const from = ['-f', `${clientPort}`];
  const clients = [first, second].map((host) => lab.startClient(host, [...from, ...key]));
  const session = { lab, server, clients, overhearing, random: new Random(seed, 'flips') };
  const { bytes } = await hear({ ...session, insider: null }, PacketType.status);
  const secret = keyPath === null ? null : parseKeyFile(readFileSync(keyPath, 'utf8'));
  const insider = secret === null ? null : new Insider(secret, packetSession(bytes, 0));
  const whole = { ...session, insider };
  await visit(whole, key);
  return whole;
}

/** Changes every byte of a packet of each type. @returns the types, and how many were dropped */
async function flipAll(
  session: Session,
): Promise<{ types: Set<number>; sent: number; dropped: number }> {
  const { random } = session;
  const heard = await overhear(session);
  const control = heard.filter(({ bytes }) => packetType(bytes, 0) !== PacketType.block);
  const changed = [
    ...control.flatMap((packet) => oldAndNew(session, packet)),
    ...lastWords(session, heard),
  ];
  const flipped = changed.flatMap((packet) => flipsOf(packet, random));
  let dropped = await spoofCounted(session, flipped);
  const block = heard.find((packet) => !control.includes(packet))!;
  // All blocks of the chunk that is sent last: it comes out wrong, and their checks are asked for.
  const blocks = [...flipsOf(block, random), ...blocksAhead(block, chunkCount - 1, random)];
  await spoof(session, blocks);
  const checks = oldAndNew(session, await hear(session, PacketType.blockChecks));
  const flippedChecks = checks.flatMap((packet) => flipsOf(packet, random));
  dropped += await spoofCounted(session, flippedChecks);
  const types = new Set([...changed, ...checks, block].map(({ bytes }) => packetType(bytes, 0)));
  return { types, sent: flipped.length + blocks.length + flippedChecks.length, dropped };
}

for (const isSealed of [true, false]) {
  const what = isSealed ? 'with a key' : 'without a key';
  labTest(`${what}: every byte of every type is changed, two machines`, 6, async (lab) => {
    process.stdout.write(`FAULT_SEED=${seed}\n`);
    const { scratch } = lab;
    const runs = [
      { offsetBytes: 0, lengthBytes: chunkSizeBytes },
      { offsetBytes: 3 * chunkSizeBytes, lengthBytes: 9 * chunkSizeBytes },
    ];
    const image = scratch.sparseFile('disk.img', chunkCount * chunkSizeBytes, runs);
    const keyPath = isSealed ? scratch.path('lab.secret') : null;
    if (keyPath !== null) await lab.startServer(['--new-key', keyPath]).waitStatus(0);
    const session = await begin(lab, image, keyPath);
    const { server, clients, overhearing, insider } = session;
    const withKey = ['-f', `${clientPort}`, '--key', `${keyPath}`];
    const astray = insider === null ? null : lab.startClient(victim, withKey);
    const { types, sent, dropped } = await flipAll(session);
    for (const client of clients) {
      const { missingChunks } = client.last('progress').progress;
      assert.ok(missingChunks > 0, 'the copy is still being made');
    }
    const { probe, probeAnswer, locked, ...spoken } = PacketType;
    const wanted = [...Object.values(spoken), ...(isSealed ? [locked] : [])];
    assert.deepEqual([...types].sort(ascending), wanted.sort(ascending));
    if (astray !== null) await dropVictim(session, insider!, astray);
    await hasten(session);
    for (const program of [...clients, server]) await program.waitStatus(0);
    await overhearing.stop();

    const tally = new Tally();
    tally.faults = sent;
    tally.badSent = sent;
    for (const host of [first, second]) tally.compare(lab.copyPath(host), image);
    for (const program of [...clients, server]) tally.take(program);
    tally.print(what, `dropped by the system ${dropped}`);
    const addressesOf = (numbers: number[]) =>
      numbers.map((number) => lab.world.host(number).address).sort();
    const hosts = server.all('client-joined').map(({ client }) => client.address);
    // In the open, whoever asks what is served has joined.
    const others = isSealed ? [victim, strangers] : [strangers, strangers];
    const known = addressesOf([first, second, ...others]);
    assert.deepEqual(hosts.sort(), known, 'nobody else joined');
    const done = server.all('client-done').map(({ doneCount }) => doneCount);
    assert.deepEqual(done, [1, 2]);
    const failed = server.all('client-failed').map(({ client }) => client.address);
    const left = addressesOf(isSealed ? [victim, strangers] : [strangers]);
    assert.deepEqual(failed.sort(), left, 'and nobody else left');
  });
}
