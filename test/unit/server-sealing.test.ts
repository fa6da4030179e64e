import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientSealing } from '../../src/client/sealing.js';
import { BLOCK_HEADER_BYTES } from '../../src/protocol/block.js';
import { decodeBlockChecks } from '../../src/protocol/block-checks.js';
import {
  type BlockRequest,
  ClientState,
  encodeBlockRequest,
  encodeMapRequest,
  encodeReport,
} from '../../src/protocol/from-client.js';
import {
  decodeImageDescription,
  decodeZeroRanges,
  encodeNotice,
} from '../../src/protocol/from-server.js';
import { decodeLocked } from '../../src/protocol/locked.js';
import type { PacketTypeName } from '../../src/protocol/packet.js';
import { ServerSealing } from '../../src/server/sealing.js';
import { isSealed } from '../../src/trust/control-seal.js';
import {
  BLOCK_SIZE,
  BLOCKS_PER_CHUNK,
  blocksOf,
  CLIENT,
  type DriverOptions,
  PEER,
  SESSION,
  type Sent,
  ServerDriver,
} from './server-driver.js';

const SECRET = Buffer.alloc(32, 0x5e);
const nonceOf = (fill: number): Buffer => Buffer.alloc(12, fill);

const newSealing = (): ServerSealing =>
  new ServerSealing(SESSION, {
    secret: SECRET,
    streamSalt: Buffer.alloc(16, 7),
    nonces: {
      answers: nonceOf(1),
      doorAnswers: nonceOf(2),
      doorRequests: nonceOf(3),
      group: nonceOf(4),
    },
  });

const newClient = (secret = SECRET, fill = 9): ClientSealing =>
  new ClientSealing({ secret, drawNonce: () => nonceOf(fill) });

const mapRequest = (session = 0n): Buffer =>
  encodeMapRequest({ client: CLIENT, machine: 1n, isServer: false, host: 'pc', session });

const doneReport = (position = 1): Buffer =>
  encodeReport({
    session: SESSION,
    client: CLIENT,
    position,
    packetsReceived: 0,
    packetsLost: 0,
    clockUs: 0,
    missingChunks: 0,
    provenChunks: 4,
    receiveBufferBytes: 0,
    state: ClientState.done,
  });

/** A server with a key, and a client that has found it and joined. */
function joined(options: Partial<DriverOptions> = {}): {
  driver: ServerDriver;
  client: ClientSealing;
  join: Buffer;
} {
  const driver = new ServerDriver({ chunks: 4, sealing: newSealing(), ...options });
  const client = newClient();
  driver.handle(client.seal(mapRequest()));
  const answer = driver.run(5).find(({ type }) => type === 'imageDescription')!;
  const description = decodeImageDescription(client.openAnswer(answer.bytes)!)!;
  assert.equal(description.isJoined, false);
  client.begin(description);
  const join = client.seal(mapRequest(SESSION));
  driver.handle(join);
  return { driver, client, join };
}

const typesOf = (driver: ServerDriver): string[] => driver.events.map(({ type }) => type);
const badOf = (driver: ServerDriver): number => driver.session.progress(driver.now).packetsBad;

test('nobody joins at the door: a recorded map request is answered, and no more', () => {
  const driver = new ServerDriver({ chunks: 4, sealing: newSealing() });
  const request = newClient().seal(mapRequest());
  for (let time = 0; time < 3; time++) driver.handle(request, { address: '10.6.6.6', port: 1 });
  const sent = driver.run(20);
  assert.equal(sent.filter(({ type }) => type === 'imageDescription').length, 3);
  assert.deepEqual(typesOf(driver), []);
});

test('all that leaves is sealed; who joined is told so', () => {
  const { driver, client } = joined();
  const sent = driver.run(50);
  assert.ok(sent.length >= 2);
  for (const { bytes, type } of sent) assert.ok(isSealed(bytes), type);
  const answer = sent.find(({ type }) => type === 'imageDescription')!;
  assert.equal(decodeImageDescription(client.openAnswer(answer.bytes)!)!.isJoined, true);
  assert.deepEqual(typesOf(driver), ['client-joined']);
  const status = sent.filter(({ type }) => type === 'status').at(-1)!;
  assert.notEqual(client.openGroup(status.bytes), null);
  assert.equal(client.openGroup(status.bytes), null, 'once');
});

test('a report counts once; recorded, reflected and plain ones do not', () => {
  const { driver, client, join } = joined();
  const report = client.seal(doneReport());
  driver.handle(report);
  assert.equal(driver.session.doneCount, 1);
  const before = badOf(driver);
  const again = [report, join, doneReport(), mapRequest(SESSION)];
  for (const bytes of again) driver.handle(bytes, { address: '10.6.6.6', port: 1 });
  for (const { bytes } of driver.run(100)) driver.handle(bytes);
  assert.equal(driver.session.doneCount, 1);
  assert.ok(badOf(driver) >= before + again.length);
  assert.deepEqual(typesOf(driver), ['client-joined', 'client-done']);
});

test('the last word of a client that forged blocks led ahead of the stream counts', () => {
  const { driver, client } = joined();
  driver.handle(client.seal(doneReport(1_000_000)));
  assert.equal(driver.session.doneCount, 1);
});

test('zero ranges and checks that are longer than a block packet leave in one piece', () => {
  const zeros = [0, 2, 4, 6, 8];
  const { driver, client } = joined({ chunks: 10, zeros });
  driver.prepare();
  const ask = (request: Pick<BlockRequest, 'ranges' | 'halves'>) => {
    const base = { session: SESSION, client: CLIENT, asOfPosition: 1, space: 0 as const };
    driver.handle(client.seal(encodeBlockRequest({ ...base, ...request })));
    return driver.run(50);
  };
  const openOnly = (sent: Sent[], type: PacketTypeName): Buffer => {
    const packets = sent.filter((packet) => packet.type === type);
    assert.equal(packets.length, 1, type);
    assert.ok(packets[0]!.bytes.length > BLOCK_HEADER_BYTES + BLOCK_SIZE);
    return client.openGroup(packets[0]!.bytes)!;
  };
  const first = ask({ ranges: [{ first: 0, count: 10 }], halves: [] });
  const ranges = decodeZeroRanges(openOnly(first, 'zeroRanges'))!.ranges;
  assert.deepEqual(
    ranges,
    zeros.map((chunk) => ({ first: chunk, count: 1 })),
  );
  assert.equal(blocksOf(first).length, 5 * BLOCKS_PER_CHUNK);
  const second = ask({ ranges: [], halves: [{ chunk: 1, runs: [] }] });
  const { chunk, checks } = decodeBlockChecks(openOnly(second, 'blockChecks'))!;
  assert.deepEqual([chunk, checks.length], [1, BLOCKS_PER_CHUNK]);
});

test('with a key, every machine counts, wherever it is', () => {
  const { driver } = joined();
  driver.session.knowCopy(11n, PEER.address);
  driver.session.knowCopy(12n, PEER.address);
  assert.equal(driver.session.doneCount, 2);
});

test('who has no key, or another one, is told that it is locked, at most 20 times a second', () => {
  const driver = new ServerDriver({ chunks: 4, sealing: newSealing() });
  const other = newClient(Buffer.alloc(32, 1));
  let locked = 0;
  for (let time = 0; time < 200; time++) {
    driver.handle(time % 2 === 0 ? mapRequest() : other.seal(mapRequest()));
    for (const { type, bytes } of driver.run(10)) {
      if (type === 'status' || type === 'mapRequest') continue;
      assert.deepEqual([type, decodeLocked(bytes)], ['locked', { session: SESSION }]);
      locked++;
    }
  }
  assert.ok(locked >= 20 && locked <= 62, `${locked} in two seconds`);
  assert.deepEqual(typesOf(driver), []);
});

test('a client takes nothing from before it came, and nothing of another session', () => {
  const sealing = newSealing();
  const notice = encodeNotice({ session: SESSION, code: 2, first: 0, count: 0, text: 'changed' });
  const early = sealing.seal(notice, true);
  const client = newClient();
  const { streamSalt, groupSender, groupCount } = sealing;
  const seal = { streamSalt, groupSender, groupCount };
  const description = { session: SESSION, seal } as Parameters<ClientSealing['begin']>[0];
  client.begin(description);
  const late = sealing.seal(notice, true);
  assert.equal(client.openGroup(early), null);
  assert.equal(client.openGroup(notice), null, 'not sealed at all');
  assert.deepEqual(client.openGroup(late), notice);
  assert.equal(client.openAnswer(late), null, 'to the group, and not to one');
  const other = newClient();
  other.begin({ ...description, session: SESSION + 1n });
  assert.equal(other.openGroup(sealing.seal(notice, true)), null);
});
