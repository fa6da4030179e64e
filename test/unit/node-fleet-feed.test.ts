import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FleetFeed } from '../../src/node/web/fleet-feed.js';
import { ClientState } from '../../src/protocol/from-client.js';
import { ExpectedMachines } from '../../src/server/clients/expected-machines.js';
import { PEER, ServerDriver } from './server-driver.js';

const CHUNKS = 8;
const peerOf = (id: bigint) => ({ ...PEER, port: PEER.port + Number(id) });

/** A feed of a server with clients 1 to `count`, that has told what there is so far. */
function feedOf(count: number) {
  const driver = new ServerDriver({ chunks: CHUNKS });
  driver.prepare();
  const feed = new FleetFeed({
    version: '1.0',
    session: driver.session,
    image: { name: 'lab.img', path: '/lab.img', sizeBytes: 512, chunkCount: CHUNKS },
    wantedCount: null,
    expected: new ExpectedMachines(['host-1', 'pc-99']),
    now: () => driver.now,
    wallClock: () => new Date(driver.now),
  });
  const path = { path: '/lab.img', name: 'lab.img', sizeBytes: 512, transport: 'plain' };
  const place = { group: '239.1.1.1', port: 1, serverPort: 2, interface: 'e0', blockSizeBytes: 16 };
  feed.note({ type: 'serving', ...path, ...place, ceilingBitsPerSecond: null });
  for (let id = 1n; id <= BigInt(count); id++) {
    driver.join(id, peerOf(id));
    driver.run(1);
    driver.report({ client: id, missingChunks: CHUNKS }, peerOf(id));
  }
  for (const event of driver.events.splice(0)) feed.note(event);
  return { driver, feed };
}

test('the first change tells all, the next only what is new', () => {
  const { driver, feed } = feedOf(3);
  const first = feed.change();
  assert.equal(first.clients.length, 3);
  assert.equal(first.cells, '.'.repeat(CHUNKS));
  assert.deepEqual(
    first.log.map(({ event, host }) => [event, host]),
    [
      ['serving', undefined],
      ['client-joined', 'host-1'],
      ['client-joined', 'host-2'],
      ['client-joined', 'host-3'],
    ],
  );
  const second = feed.change();
  assert.deepEqual([second.clients, second.gone, second.log], [[], [], []]);
  assert.equal('cells' in second || 'expected' in second, false);

  driver.run(50);
  driver.report({ client: 2n, missingChunks: 2 }, peerOf(2n));
  driver.session.drop(3n, driver.now);
  const third = feed.change();
  assert.deepEqual(
    third.clients.map(({ host, progressRatio }) => [host, progressRatio]),
    [
      ['host-2', 0.75],
      ['host-3', 0],
    ],
  );
  assert.deepEqual(third.gone, []);
});

test('the state has those first that need a look, and is not used up by being told', () => {
  const { driver, feed } = feedOf(3);
  driver.run(50);
  driver.report({ client: 3n, missingChunks: 5, state: ClientState.failed }, peerOf(3n));
  const hostsOf = () => feed.state().clients.map(({ host }) => host);
  assert.deepEqual(hostsOf(), ['host-3', 'host-1', 'host-2']);
  assert.deepEqual(hostsOf(), ['host-3', 'host-1', 'host-2']);
  assert.equal(feed.state().log.length, 4);
  assert.deepEqual(feed.state().expected?.count, 2);
});

test('the curve has a point a second', () => {
  const { driver, feed } = feedOf(1);
  for (let i = 0; i < 21; i++) {
    const progress = { ...driver.session.progress(driver.now), wireBytes: 1000 * i };
    feed.note({ type: 'progress', progress });
    driver.now += 200;
  }
  const { seconds, bitsPerSecond } = feed.state().history;
  assert.equal(seconds.length, 4);
  assert.deepEqual(new Set(bitsPerSecond), new Set([40_000]));
});
