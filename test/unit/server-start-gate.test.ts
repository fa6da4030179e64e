import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientState } from '../../src/protocol/from-client.js';
import { decodeFarewell, decodeStatus } from '../../src/protocol/from-server.js';
import type { FleetMember } from '../../src/server/events.js';
import { StartGate } from '../../src/server/start-gate.js';
import {
  blocksOf,
  CLIENT,
  type DriverOptions,
  PEER,
  SESSION,
  ServerDriver,
} from './server-driver.js';

const CHUNKS = 8;
const whole = { ranges: [{ first: 0, count: CHUNKS }] };

test('without rules, nothing is held', () => {
  const gate = new StartGate(null);
  assert.deepEqual([gate.isHeld, gate.hold, gate.awaitedClients], [false, null, null]);
});

test('ten clients start it, or sixty seconds after the first of them', () => {
  const rules = { clients: 10, waitMs: 60_000 };
  const byCount = new StartGate(rules);
  assert.equal(byCount.update(0, 9), null);
  assert.equal(byCount.awaitedClients, 1);
  assert.equal(byCount.update(1000, 10), 'clients');
  assert.equal(byCount.awaitedClients, null);

  const byTime = new StartGate(rules);
  assert.equal(byTime.update(500_000, 0), null);
  assert.equal(byTime.dueMs, Number.POSITIVE_INFINITY);
  assert.equal(byTime.update(600_000, 1), null);
  assert.equal(byTime.dueMs, 660_000);
  assert.equal(byTime.update(659_999, 9), null);
  assert.equal(byTime.update(660_000, 9), 'time');
});

test('a time starts it, whoever is there', () => {
  const gate = new StartGate({ atMs: 5000 });
  assert.equal(gate.awaitedClients, 0);
  assert.equal(gate.update(4999, 30), null);
  assert.equal(gate.update(5000, 0), 'time');
  assert.equal(gate.update(6000, 0), null);
});

test('the operator starts what waits, and pauses what runs', () => {
  const gate = new StartGate({});
  assert.equal(gate.update(1e9, 1000), null);
  assert.equal(gate.start(), true);
  assert.equal(gate.start(), false);
  assert.equal(gate.isHeld, false);
  assert.equal(gate.pause(), true);
  assert.deepEqual([gate.hold, gate.awaitedClients], ['paused', 0]);
  assert.equal(gate.resume(), true);
  assert.equal(gate.resume(), false);
  assert.equal(gate.isHeld, false);
});

/** A server, with clients 1 to `count` that ask for everything. */
function withClients(count: number, options: Partial<DriverOptions> = {}): ServerDriver {
  const driver = new ServerDriver({ chunks: CHUNKS, ...options });
  driver.prepare();
  for (let id = 1n; id <= BigInt(count); id++) join(driver, id);
  return driver;
}

const peerOf = (id: bigint) => ({ ...PEER, port: PEER.port + Number(id) });

function join(driver: ServerDriver, id: bigint): void {
  driver.join(id, peerOf(id));
  driver.run(1);
  driver.ask({ client: id, ...whole }, peerOf(id));
  driver.report({ client: id, missingChunks: CHUNKS }, peerOf(id));
}

const typesOf = ({ events }: ServerDriver) => events.map(({ type }) => type);

test('clients wait, and are told for how many more', () => {
  const driver = withClients(2, { start: { clients: 3 } });
  const held = driver.run(2000);
  assert.deepEqual(blocksOf(held), []);
  const statuses = held.filter(({ type }) => type === 'status');
  assert(statuses.length >= 4, `${statuses.length} statuses`);
  assert.equal(decodeStatus(statuses.at(-1)!.bytes)?.awaitedClients, 1);
  assert.equal(driver.session.progress(driver.now).state, 'waiting');
  // Those that wait are still here when the last one comes.
  for (const id of [1n, 2n]) driver.report({ client: id, missingChunks: CHUNKS }, peerOf(id));
  join(driver, 3n);
  assert.equal(blocksOf(driver.run(1000)).length, 4 * CHUNKS);
  const started = driver.events.find(({ type }) => type === 'started');
  assert.deepEqual(started, { type: 'started', reason: 'clients', clientCount: 3 });
});

test('a client that only asked what there is does not count', () => {
  const driver = withClients(1, { start: { clients: 2 } });
  driver.join(2n, peerOf(2n));
  assert.deepEqual(blocksOf(driver.run(1000)), []);
});

test('what waits is started by time, without a packet from anybody', () => {
  const driver = withClients(1, { start: { clients: 10, waitMs: 1500 } });
  assert.deepEqual(blocksOf(driver.run(1400)), []);
  driver.report({ client: 1n, missingChunks: CHUNKS }, peerOf(1n));
  assert.equal(blocksOf(driver.run(1000)).length, 4 * CHUNKS);
});

test('a paused server sends nothing until it goes on', () => {
  const driver = withClients(1, { ceilingBytesPerMs: 1 });
  const before = blocksOf(driver.run(200)).length;
  assert(before > 0 && before < 4 * CHUNKS, `${before} blocks`);
  driver.session.pause(driver.now);
  assert.deepEqual(blocksOf(driver.run(500)), []);
  assert.equal(driver.session.progress(driver.now).state, 'paused');
  driver.session.resume(driver.now);
  driver.session.setRate(Number.POSITIVE_INFINITY);
  let after = 0;
  for (let i = 0; i < 3; i++) {
    driver.report({ client: 1n, missingChunks: CHUNKS }, peerOf(1n));
    after += blocksOf(driver.run(1000)).length;
  }
  assert.equal(before + after, 4 * CHUNKS);
  assert.deepEqual(
    typesOf(driver).filter((type) => ['paused', 'resumed', 'rate-set'].includes(type)),
    ['paused', 'resumed', 'rate-set'],
  );
});

test('a client that is dropped is told so, whatever it sends', () => {
  const driver = withClients(1, { ceilingBytesPerMs: 1 });
  driver.run(20);
  assert.equal(driver.session.drop(9n, driver.now), false);
  assert.equal(driver.session.drop(1n, driver.now), true);
  driver.report({ client: 1n, missingChunks: 1 }, peerOf(1n));
  driver.join(1n, peerOf(1n));
  const farewells = driver.run(20).filter(({ type }) => type === 'farewell');
  assert.deepEqual(
    farewells.map(({ bytes }) => decodeFarewell(bytes)),
    Array(3).fill({ session: SESSION, client: 1n, isDropped: true }),
  );
  const { fleet } = driver.session;
  const [member] = fleet.members(driver.now);
  assert.deepEqual([member!.state, member!.reason], ['failed', 'dropped by the operator']);
  // It is not waited for, and not forgotten.
  assert.equal(fleet.isOver(1, 1e6, driver.now), true);
  assert.deepEqual(fleet.withoutCopy(driver.now), [member]);
});

test('a client that is dropped makes the server send nothing more', () => {
  const driver = withClients(1, { ceilingBytesPerMs: 1 });
  driver.run(20);
  driver.session.drop(1n, driver.now);
  driver.run(5 * CHUNKS * 100);
  driver.ask({ client: 1n, ...whole }, peerOf(1n));
  assert.deepEqual(blocksOf(driver.run(200)), []);
});

test('the rate waits no longer for a client that is released, and the end does not either', () => {
  const driver = withClients(2, { waitForSlow: true });
  driver.run(20);
  assert.equal(driver.session.fleet.isOver(2, 1000, driver.now), false);
  assert.equal(driver.session.release(1n, driver.now), true);
  driver.run(100);
  assert.deepEqual(
    driver.session.fleet
      .members(driver.now)
      .map(({ followed, isReleased }) => [followed, isReleased]),
    [
      [false, true],
      [true, false],
    ],
  );
  driver.report({ client: 2n, position: 1, state: ClientState.done }, peerOf(2n));
  assert.equal(driver.session.fleet.isOver(2, 1000, driver.now), true);
});

test('the run is over when the last one is done, failed or gone', () => {
  const driver = withClients(3);
  driver.run(20);
  driver.report({ client: 1n, state: ClientState.done }, peerOf(1n));
  driver.report({ client: 2n, state: ClientState.failed }, peerOf(2n));
  assert.equal(driver.session.fleet.isOver(3, 1000, driver.now), false);
  driver.run(1500);
  assert.equal(driver.session.fleet.isOver(3, 1000, driver.now), true, 'the third is silent');
  assert.equal(driver.session.fleet.isOver(4, 1000, driver.now), false, 'a fourth never came');
  assert.deepEqual(
    driver.session.fleet.withoutCopy(driver.now).map(({ host }) => host),
    ['host-2', 'host-3'],
  );
});

const NOTHING = { missingChunks: 0, provenChunks: 0, receiveBufferBytes: 0 };
const LEFT = { ...NOTHING, state: ClientState.leaving };

test('who leaves before it begins is told of once, and counts for nothing', () => {
  const driver = withClients(1);
  driver.join(7n, peerOf(7n));
  driver.run(20);
  const { fleet } = driver.session;
  assert.equal(driver.session.progress(driver.now).underWayCount, 2);
  driver.report({ client: 7n, ...LEFT }, peerOf(7n));
  driver.run(20);
  assert.equal(typesOf(driver).filter((type) => type === 'client-looked').length, 1);
  assert(!typesOf(driver).includes('client-failed'));
  const hostsOf = (members: FleetMember[]) => members.map(({ host }) => host);
  for (const members of [fleet.members(driver.now), fleet.withoutCopy(driver.now)]) {
    assert.deepEqual(hostsOf(members), ['host-1']);
  }
  assert.equal(driver.session.progress(driver.now).underWayCount, 1);
});

test('who only asked is under way for some seconds, here for half a minute, and then gone', () => {
  const driver = new ServerDriver({ chunks: CHUNKS });
  driver.prepare();
  driver.join();
  const { session } = driver;
  const { fleet } = session;
  const shown = () => {
    const { clients, underWayCount } = session.progress(driver.now);
    const here = fleet.members(driver.now).length;
    return [
      clients.map(({ state }) => state),
      here,
      underWayCount,
      fleet.takers(driver.now).length,
    ];
  };
  driver.now = 5000;
  assert.deepEqual(shown(), [['joined'], 1, 1, 1]);
  driver.now = 11_000;
  assert.deepEqual(shown(), [['joined'], 1, 0, 0]);
  assert.deepEqual([fleet.withoutCopy(driver.now), fleet.underWay(driver.now)], [[], []]);
  driver.now = 31_000;
  assert.deepEqual(shown(), [[], 0, 0, 0]);
});

test('events come out before the answers to what caused them', () => {
  const driver = new ServerDriver({ chunks: 1 });
  driver.join(CLIENT);
  const out = Buffer.alloc(65_536);
  const kinds: string[] = [];
  for (;;) {
    const output = driver.session.pollOutput(0, out);
    if (output.kind === 'wait') break;
    kinds.push(output.kind === 'event' ? output.event.type : output.kind);
  }
  assert(kinds.indexOf('client-joined') < kinds.indexOf('transmit'), kinds.join(' '));
});
