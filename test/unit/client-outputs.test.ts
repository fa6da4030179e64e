import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientOutput } from '../../src/client/outputs.js';
import { encodeFarewell } from '../../src/protocol/from-server.js';
import { ClientDriver, chunksAsked, SERVER } from './client-driver.js';
import { CHUNK_SIZE, CLIENT, contentOf, mapOf, SESSION } from './server-driver.js';

/** The kinds of what the machine wants now, with the last, which is `wait` or `end`. */
function kindsNow({ session, now }: ClientDriver, isMidway = false): ClientOutput['kind'][] {
  const kinds: ClientOutput['kind'][] = [];
  for (;;) {
    const { kind } = session.pollOutput(now, isMidway);
    kinds.push(kind);
    if (kind === 'wait' || kind === 'end') return kinds;
  }
}

test('the disk comes first, then packets, events, and the next step of the run', () => {
  const map = mapOf(2, [1]);
  const driver = new ClientDriver({ chunks: 2, target: { isBlank: false } });
  driver.run(1);
  driver.answer({ mapId: map.id });
  assert.deepEqual(kindsNow(driver), ['event', 'open', 'wait']);
  driver.begin();
  driver.send(0, contentOf(0));
  driver.sendMap(map);
  const kinds = kindsNow(driver);
  assert.deepEqual(kinds.slice(0, 2), ['store', 'store-zeros']);
  assert.equal(kinds.filter((kind) => kind === 'transmit').length, kinds.length - 4);
  assert.deepEqual(kinds.slice(-2), ['event', 'wait']);
  assert.deepEqual(kindsNow(driver), ['wait'], 'nothing twice');
});

test('in the midst of packets only the disk is given something to do', () => {
  const driver = new ClientDriver({ chunks: 2 });
  driver.join();
  driver.send(0, contentOf(0));
  driver.now += 5000;
  assert.deepEqual(kindsNow(driver, true), ['store', 'wait']);
  assert(kindsNow(driver).includes('transmit'), 'what was due waits for their end');
});

for (const willVerify of [false, true]) {
  test(`a run goes from open to end, ${willVerify ? 'with' : 'without'} verifying`, () => {
    const map = mapOf(1);
    const driver = new ClientDriver({ chunks: 1, target: { willVerify } });
    const { session } = driver;
    const steps: (string | null)[] = [];
    const noteStep = () => {
      driver.run(1);
      steps.push(driver.step);
      driver.step = null;
    };
    assert.throws(() => session.handleFinished(driver.now), /out of order/);
    driver.run(1);
    driver.answer({ mapId: map.id });
    noteStep();
    driver.begin();
    noteStep();
    driver.sendMap(map);
    driver.send(0, contentOf(0));
    driver.store();
    noteStep();
    if (willVerify) {
      session.handleSynced(driver.now);
      assert.equal(driver.look(), 1);
      noteStep();
    }
    session.handleFinished(driver.now);
    driver.run(1);
    assert.equal(driver.hasEnded, false);
    const farewell = encodeFarewell({ session: SESSION, client: CLIENT, isDropped: false });
    session.handleUnicast(farewell, SERVER.address, SERVER.port, driver.now);
    assert.equal(driver.hasEnded, true);
    assert.deepEqual(steps, ['open', null, ...(willVerify ? ['sync'] : []), 'finish']);
    assert.equal(session.goodbye(driver.now), null);
  });
}

test('packets wait while all memory is being stored, as many as there is room for', () => {
  const driver = new ClientDriver({ chunks: 4, slotCount: 1, target: { stashBytes: 500 } });
  const { session } = driver;
  driver.join();
  assert.equal(session.wantsPackets, true);
  driver.send(0, contentOf(0));
  assert.equal(session.wantsPackets, false, 'the only slot is full');
  const before = session.progress();
  // Four blocks of 44 bytes each: two chunks find room, the third does not all.
  for (const chunk of [1, 2, 3]) driver.send(chunk, contentOf(chunk));
  assert.deepEqual(session.progress(), before, 'they wait');
  driver.store();
  assert.equal(session.progress().blocksReceived, before.blocksReceived + 4);
  assert.equal(session.wantsPackets, false, 'others wait behind them');
  driver.store();
  driver.store();
  assert.deepEqual(
    driver.disk.subarray(0, 3 * CHUNK_SIZE),
    Buffer.concat([0, 1, 2].map(contentOf)),
  );
  driver.status({ isIdle: true });
  const { blockRequests } = driver.run(100);
  const halves = blockRequests.flatMap((request) => request.halves.map(({ chunk }) => chunk));
  assert.deepEqual([...new Set([...chunksAsked(blockRequests), ...halves])], [3]);
});

test('an address of IPv6 is the same with its scope and without', () => {
  const server = { address: 'fe80::1%eth0', port: 7500 };
  const driver = new ClientDriver({ chunks: 4 });
  driver.run(1);
  driver.answer({}, server);
  driver.begin();
  const [first, second, third] = [0, 1, 2].map((block) =>
    driver.block(contentOf(0), block, { chunk: 0 }),
  );
  driver.group(first!, 'fe80::1%eth0');
  driver.group(second!, 'fe80::1');
  driver.group(third!, 'fe80::2%eth0');
  const { blocksReceived, packetsBad } = driver.session.progress();
  assert.deepEqual([blocksReceived, packetsBad], [2, 1]);
});
