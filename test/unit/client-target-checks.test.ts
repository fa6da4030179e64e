import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServerLiveness, Spread } from '../../src/client/timing.js';
import { ClientDriver, chunksAsked } from './client-driver.js';
import { CHUNK_SIZE, contentOf, mapOf } from './server-driver.js';

const CHUNKS = 8;
const ZEROS = [5, 6];
const map = mapOf(CHUNKS, ZEROS);
const image = Buffer.concat(
  [...Array(CHUNKS).keys()].map((chunk) =>
    ZEROS.includes(chunk) ? Buffer.alloc(CHUNK_SIZE) : contentOf(chunk),
  ),
);

/** Writes something wrong into a chunk on the disk. */
const spoil = (driver: ClientDriver, chunk: number) =>
  driver.disk.fill(0xbd, chunk * CHUNK_SIZE + 9);

function holder(target: { isCheckOnly?: boolean; willVerify?: boolean } = {}): ClientDriver {
  const driver = new ClientDriver({
    chunks: CHUNKS,
    target: { isBlank: false, holdsEarlierData: true, ...target },
  });
  image.copy(driver.disk);
  return driver;
}

/** A client with a proven copy that is to be read back. */
function verifier(): ClientDriver {
  const driver = holder({ willVerify: true });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  driver.look();
  driver.run(600);
  assert.equal(driver.session.isProven, true);
  return driver;
}

test('a target that holds the image already needs the block map, and not one block', () => {
  const driver = holder();
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  assert.equal(driver.look(), CHUNKS);
  assert.deepEqual(chunksAsked(driver.run(600).blockRequests), []);
  assert.equal(driver.session.isProven, true);
  assert.equal(driver.session.progress().keptBytes, CHUNKS * CHUNK_SIZE);
});

test('property: just what differs is asked for or zeroed, and the copy is whole', () => {
  const chunks = fc.uniqueArray(fc.nat({ max: CHUNKS - 1 }));
  fc.assert(
    fc.property(chunks, (spoilt) => {
      const driver = holder();
      for (const chunk of spoilt) {
        driver.disk.fill(0xbd, chunk * CHUNK_SIZE + 9, (chunk + 1) * CHUNK_SIZE);
      }
      driver.join({ mapId: map.id });
      driver.sendMap(map);
      driver.look();
      driver.look();
      driver.store();
      const wrong = [...spoilt].sort((a, b) => a - b).filter((chunk) => !ZEROS.includes(chunk));
      const asked = new Set<number>();
      for (let round = 0; round < CHUNKS && !driver.session.isProven; round++) {
        const { blockRequests } = driver.run(200);
        // Of what is there in another version, the checks of its blocks are asked for.
        const halves = blockRequests.flatMap((request) => request.halves);
        assert(halves.every(({ runs }) => runs.length === 0));
        const chunks = [...chunksAsked(blockRequests), ...halves.map(({ chunk }) => chunk)];
        for (const chunk of new Set(chunks)) {
          asked.add(chunk);
          driver.send(chunk, contentOf(chunk));
        }
        driver.store();
        driver.store();
      }
      assert.deepEqual(
        [...asked].sort((one, other) => one - other),
        wrong,
      );
      driver.run(600);
      assert.equal(driver.session.isProven, true);
      assert.deepEqual(driver.disk, image);
      assert.equal(driver.session.progress().differingChunks, spoilt.length);
    }),
    { numRuns: 40 },
  );
});

test('what cannot be read on the target is asked for', () => {
  const driver = holder();
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  driver.look((chunk) => chunk !== 3);
  assert.deepEqual(chunksAsked(driver.run(200).blockRequests), [3]);
});

test('a chunk that comes for others while the target is looked through is taken as it comes', () => {
  const driver = holder();
  spoil(driver, 7);
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  driver.send(7, contentOf(7));
  driver.look();
  driver.store();
  assert.deepEqual(chunksAsked(driver.run(600).blockRequests), []);
  assert.equal(driver.session.isProven, true);
  assert.deepEqual(driver.disk, image);
});

test('a comparison writes nothing, asks for nothing but the map, and names the difference', () => {
  const driver = holder({ isCheckOnly: true });
  spoil(driver, 7);
  const before = Buffer.from(driver.disk);
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  driver.send(7, contentOf(7));
  driver.status({ isIdle: true, mapId: map.id });
  driver.look();
  assert.deepEqual(chunksAsked(driver.run(600).blockRequests), []);
  driver.store();
  assert.deepEqual(driver.disk, before);
  assert.equal(driver.session.isCompared, true);
  assert.equal(driver.session.isProven, false);
  assert.equal(driver.session.progress().differingChunks, 1);
  assert.deepEqual(driver.differing, [{ first: 7, count: 1 }]);
});

test('a copy that reads back as it was written is done', () => {
  const driver = verifier();
  assert.equal(driver.step, 'sync');
  driver.session.handleSynced(driver.now);
  driver.run(1);
  assert.equal(driver.session.isProven, false);
  assert.equal(driver.look(), CHUNKS);
  driver.run(600);
  assert.equal(driver.session.isProven, true);
  assert.equal(driver.step, 'finish', 'nothing is left to read back');
});

test('what reads back wrong is fetched and read back once more; wrong again, the disk is at fault', () => {
  for (const isDiskBad of [false, true]) {
    const driver = verifier();
    spoil(driver, 7);
    assert.equal(driver.step, 'sync');
    driver.session.handleSynced(driver.now);
    driver.look();
    assert.deepEqual(chunksAsked(driver.run(300).blockRequests), [7]);
    driver.send(7, contentOf(7));
    driver.store();
    driver.run(600);
    assert.equal(driver.session.isProven, true);
    assert.equal(driver.step, 'sync');
    driver.session.handleSynced(driver.now);
    if (isDiskBad) spoil(driver, 7);
    assert.equal(driver.look(), 1, 'only what was wrong is read back again');
    driver.run(600);
    assert.equal(driver.session.failure?.code, isDiskBad ? 'VERIFY_FAILED' : undefined);
    assert.equal(driver.session.isProven, !isDiskBad);
  }
});

test('a machine that was suspended does not count its sleep as the silence of the server', () => {
  const liveness = new ServerLiveness(1000, 30_000, new Spread(() => 0), 0);
  for (let now = 0; now <= 20_000; now += 500) liveness.wake(now, now);
  assert.equal(liveness.isOver(20_000), false);
  const woke = 20_000 + 3_600_000;
  liveness.wake(woke, 20_500);
  assert.equal(liveness.isOver(woke), false);
  for (let now = woke; now <= woke + 9_000; now += 500) liveness.wake(now, now);
  assert.equal(liveness.isOver(woke + 9_000), false);
  assert.equal(liveness.isOver(woke + 10_000), true, '30 s of silence while awake');
});

test('a client that was held up by its disk does not take the packets that wait for silence', () => {
  const liveness = new ServerLiveness(1000, Number.POSITIVE_INFINITY, new Spread(() => 0), 0);
  let now = 0;
  for (let store = 0; store < 20; store++) {
    const dueMs = now + 300;
    // A write that takes 1.4 s: the turn comes so much too late.
    now += 1700;
    liveness.wake(now, dueMs);
    assert.equal(liveness.isQuiet(now), false, `after store ${store}`);
    // Now its packets are read.
    liveness.heard(now);
  }
  liveness.wake(now + 999, now + 999);
  assert.equal(liveness.isQuiet(now + 999), false);
  liveness.wake(now + 1001, now + 1001);
  assert.equal(liveness.isQuiet(now + 1001), true);
});
