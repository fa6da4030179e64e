import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientState, decodeReport } from '../../src/protocol/from-client.js';
import { encodeFarewell, encodeNotice, encodeZeroRanges } from '../../src/protocol/from-server.js';
import { PacketType, writeHeader } from '../../src/protocol/packet.js';
import { digestOf } from '../digest.js';
import { ClientDriver, chunksAsked, SERVER } from './client-driver.js';
import { CHUNK_SIZE, CLIENT, contentOf, mapOf, SESSION } from './server-driver.js';

const numbers = (count: number) => [...Array(count).keys()];

const codeOf = (driver: ClientDriver) => driver.session.failure?.code;

/** A client that has received and proven its whole image. */
function provenClient(giveUpMs = Number.POSITIVE_INFINITY): ClientDriver {
  const map = mapOf(2);
  const driver = new ClientDriver({ chunks: 2, config: { giveUpMs } });
  driver.join({ mapId: map.id });
  driver.sendMap(map);
  for (const chunk of numbers(2)) driver.send(chunk, contentOf(chunk));
  driver.store();
  driver.run(20);
  assert.equal(driver.session.isProven, true);
  return driver;
}

test('a client asks for servers until one answers, then for the whole image', () => {
  const driver = new ClientDriver({ chunks: 10 });
  assert.equal(driver.run(3500).mapRequests, 3);
  driver.answer();
  assert.equal(driver.session.serverAddress, SERVER.address);
  driver.begin();
  assert.deepEqual(chunksAsked(driver.run(50).blockRequests), numbers(10));
});

test('a copy is proven when every chunk is stored and fits the block map, in whatever order', () => {
  const map = mapOf(6, [2, 3]);
  const zeros = encodeZeroRanges({
    isFree: false,
    session: SESSION,
    position: 1,
    ranges: [{ first: 2, count: 2 }],
  });
  const steps: ((driver: ClientDriver) => void)[] = [
    (driver) => driver.sendMap(map),
    (driver) => driver.group(zeros),
    (driver) => driver.send(0, contentOf(0)),
    (driver) => driver.send(1, contentOf(1)),
    (driver) => driver.send(5, contentOf(5)),
    (driver) => driver.send(4, contentOf(4)),
  ];
  const image = Buffer.concat(
    numbers(6).map((chunk) =>
      map.kindOf(chunk) === 'zero' ? Buffer.alloc(CHUNK_SIZE) : contentOf(chunk),
    ),
  );
  for (let turn = 0; turn < steps.length; turn++) {
    for (const isBlank of [true, false]) {
      const driver = new ClientDriver({ chunks: 6, target: { isBlank } });
      if (!isBlank) driver.disk.fill(0xff);
      driver.join({ mapId: map.id });
      for (const step of [...steps.slice(turn), ...steps.slice(0, turn)]) {
        step(driver);
        driver.store();
        driver.run(5);
        if (driver.session.isProven) assert.deepEqual(driver.disk, image);
      }
      driver.run(600);
      assert.equal(driver.session.isProven, true);
      assert.deepEqual(driver.disk, image);
    }
  }
});

test('a chunk half received is asked for block by block when the server has no more to send', () => {
  const driver = new ClientDriver({ chunks: 4 });
  driver.join();
  driver.run(100);
  const content = contentOf(2);
  for (const block of [0, 3]) driver.group(driver.block(content, block, { chunk: 2 }));
  for (const chunk of [0, 3]) driver.send(chunk, contentOf(chunk));
  driver.status({ isIdle: true });
  const { blockRequests } = driver.run(50);
  assert.deepEqual(chunksAsked(blockRequests), [1]);
  const halves = blockRequests.flatMap((request) => request.halves);
  assert.deepEqual(halves, [{ chunk: 2, runs: [{ first: 1, count: 2 }] }]);
  assert(blockRequests.every((request) => request.asOfPosition === driver.position));
});

test('what the pass went by is asked for at once, what lies ahead is waited for', () => {
  const driver = new ClientDriver({ chunks: 20 });
  driver.join();
  driver.status({ isIdle: false, cursor: 0 });
  for (const chunk of [0, 1, 3, 6, 7]) driver.send(chunk, contentOf(chunk));
  driver.store();
  driver.status({ isIdle: false, cursor: 8 });
  assert.deepEqual(chunksAsked(driver.run(50).blockRequests), [2, 4, 5]);
  driver.status({ isIdle: false, cursor: 8 });
  assert.deepEqual(chunksAsked(driver.run(50).blockRequests), []);
});

test(
  'when the channel is quiet, everything is asked for again, and whether the server is the ' +
    'same',
  () => {
    const driver = new ClientDriver({ chunks: 4, config: { timeoutMs: 300 } });
    driver.join();
    driver.send(1, contentOf(1));
    driver.store();
    driver.run(250);
    const { mapRequests, blockRequests } = driver.run(400);
    assert(mapRequests >= 1 && mapRequests <= 2);
    assert.deepEqual(chunksAsked(blockRequests), [0, 2, 3]);
    assert(driver.takeEvents().some(({ type }) => type === 'quiet'));
  },
);

test('an answer of the same session tells where the stream is', () => {
  const driver = new ClientDriver({ chunks: 4 });
  driver.join();
  driver.run(100);
  driver.answer({ position: 500 });
  driver.status({ isIdle: true, position: 500 });
  const { blockRequests } = driver.run(200);
  assert(blockRequests.length > 0);
  assert(blockRequests.every((request) => request.asOfPosition === 500));
});

test('a server that was started again is carried on with, if it serves the same image', () => {
  const map = mapOf(4);
  for (const isSame of [true, false]) {
    const driver = new ClientDriver({ chunks: 4 });
    driver.join({ mapId: map.id });
    driver.sendMap(map);
    for (const chunk of [0, 1]) driver.send(chunk, contentOf(chunk));
    driver.store();
    const foreign = Buffer.alloc(16);
    writeHeader(foreign, 0, PacketType.status, 16, SESSION + 1n);
    driver.run(300);
    driver.group(foreign);
    assert.equal(driver.run(10).mapRequests, 1);
    driver.answer({ session: SESSION + 1n, mapId: isSame ? map.id : digestOf(map.id) });
    if (isSame) {
      const { blockRequests } = driver.run(50);
      assert.deepEqual(chunksAsked(blockRequests), [2, 3]);
      assert(blockRequests.every((request) => request.session === SESSION + 1n));
      assert.equal(driver.session.failure, null);
    } else {
      driver.run(1600);
      assert.equal(driver.session.failure?.code, 'OTHER_IMAGE');
    }
  }
});

test('a map id binds nobody before its root is in: a forged one gives way to the true one', () => {
  const map = mapOf(4);
  const driver = new ClientDriver({ chunks: 4 });
  driver.join({ mapId: digestOf(map.id) });
  driver.status({ mapId: map.id });
  driver.sendMap(map);
  driver.status({ mapId: map.id });
  for (const chunk of numbers(4)) driver.send(chunk, contentOf(chunk));
  driver.store();
  driver.run(600);
  assert.equal(driver.session.isProven, true);
});

test('a server that never sent anything may have moved; one that did is not mistaken for another', () => {
  const moved = { address: '10.0.0.2', port: 7500 };
  for (const hasSent of [false, true]) {
    const driver = new ClientDriver({ chunks: 4 });
    driver.join();
    if (hasSent) driver.send(0, contentOf(0));
    driver.answer({ session: SESSION + 1n }, moved);
    assert.equal(driver.session.serverAddress, (hasSent ? SERVER : moved).address);
    assert.equal(driver.session.failure, null);
  }
});

test('a server that fell silent for long may have moved, and its successor is found', () => {
  const map = mapOf(4);
  const moved = { address: '10.0.0.2', port: 7500 };
  for (const isSame of [true, false]) {
    const driver = new ClientDriver({ chunks: 4 });
    driver.join({ mapId: map.id });
    driver.sendMap(map);
    driver.send(0, contentOf(0));
    driver.store();
    driver.run(12_000);
    driver.answer({ session: SESSION + 1n, mapId: isSame ? map.id : digestOf(map.id) }, moved);
    assert.equal(driver.session.serverAddress, (isSame ? moved : SERVER).address);
    assert.equal(driver.session.failure, null);
    if (!isSame) continue;
    assert.deepEqual(chunksAsked(driver.run(50).blockRequests), [1, 2, 3]);
  }
});

test('a finished client reports until it hears a farewell, and not for ever', () => {
  const heard = provenClient();
  heard.session.handleFinished(heard.now);
  const { reports } = heard.run(10);
  assert.equal(reports[0]!.state, ClientState.done);
  assert.deepEqual([reports[0]!.missingChunks, reports[0]!.provenChunks], [0, 2]);
  const farewell = encodeFarewell({ session: SESSION, client: CLIENT, isDropped: false });
  heard.session.handleUnicast(farewell, '10.0.0.99', 7500, heard.now);
  assert.equal(heard.hasEnded, false, 'from somebody else');
  heard.session.handleUnicast(farewell, SERVER.address, SERVER.port, heard.now);
  assert.equal(heard.hasEnded, true);

  const unheard = provenClient();
  unheard.session.handleFinished(unheard.now);
  const sent = unheard.run(10_000).reports.length;
  assert(sent >= 3 && sent <= 20, `${sent} reports`);
  assert.equal(unheard.hasEnded, true);
});

test('who is said to be dropped asks, and believes it when nothing else is said', () => {
  const farewell = encodeFarewell({ session: SESSION, client: CLIENT, isDropped: true });
  for (const isTrue of [true, false]) {
    const driver = new ClientDriver({ chunks: 4 });
    driver.run(1);
    driver.answer();
    driver.begin();
    driver.session.handleUnicast(farewell, SERVER.address, SERVER.port, driver.now);
    assert(driver.run(1000).mapRequests >= 4, 'answers may be lost');
    assert.equal(codeOf(driver), undefined);
    if (!isTrue) driver.answer();
    driver.run(2000);
    assert.equal(codeOf(driver), isTrue ? 'DROPPED' : undefined);
  }
});

test('a client that is done tells a server that was just started again', () => {
  const map = mapOf(2);
  for (const isSame of [true, false]) {
    const driver = provenClient();
    driver.session.handleFinished(driver.now);
    const sent = driver.run(2000);
    assert(sent.mapRequests > 0, 'it looks for the server');
    driver.answer({ session: SESSION + 1n, mapId: isSame ? map.id : digestOf(map.id) });
    const { reports } = driver.run(1500);
    assert(reports.length > 0);
    const session = isSame ? SESSION + 1n : SESSION;
    for (const report of reports) {
      assert.deepEqual([report.session, report.state], [session, ClientState.done]);
    }
    assert.equal(driver.session.failure, null);
  }
});

test('a client gives up on a server that is not heard of, but not on its own slow disk', () => {
  const lonely = new ClientDriver({ chunks: 4, config: { giveUpMs: 5000 } });
  lonely.run(4900);
  assert.equal(codeOf(lonely), undefined);
  lonely.run(300);
  assert.equal(codeOf(lonely), 'NO_SERVER');

  const opening = new ClientDriver({ chunks: 4, config: { giveUpMs: 5000 } });
  opening.run(1);
  opening.answer();
  opening.run(60_000);
  assert.equal(opening.session.failure, null, 'while the target is opened');
  opening.begin();
  opening.run(100);
  assert.equal(opening.session.failure, null, 'when it is open');

  const unicastOnly = new ClientDriver({ chunks: 4, config: { giveUpMs: 5000 } });
  unicastOnly.join();
  for (let seconds = 0; seconds < 6; seconds++) {
    unicastOnly.answer();
    unicastOnly.run(1000);
  }
  assert.equal(codeOf(unicastOnly), 'NO_SERVER', 'answers that bring nothing are no progress');
  assert.match(unicastOnly.session.failure!.message, /answers, but nothing of its image came/);

  const fed = new ClientDriver({ chunks: 20, config: { giveUpMs: 5000 } });
  fed.join();
  for (let chunk = 0; chunk < 6; chunk++) {
    fed.run(2000);
    fed.send(chunk, contentOf(chunk));
  }
  assert.equal(fed.session.failure, null, 'a block now and then is');

  const preparing = new ClientDriver({
    chunks: 4,
    config: { giveUpMs: 5000 },
    target: { holdsEarlierData: true },
  });
  preparing.join();
  for (let seconds = 0; seconds < 10; seconds++) {
    preparing.status({ mapId: null });
    preparing.run(1000);
  }
  assert.equal(preparing.session.failure, null, 'while the server makes the map to look by');

  const syncing = provenClient(5000);
  syncing.run(60_000);
  assert.equal(syncing.session.failure, null, 'while the copy is synced');
});

test('a changed source ends the copy once its stream has ended', () => {
  const notice = { session: SESSION, first: 0, count: 0, text: 'changed' };
  const changed = new ClientDriver({ chunks: 4 });
  changed.join();
  changed.group(encodeNotice({ ...notice, code: 2 }));
  changed.run(1400);
  assert.equal(codeOf(changed), undefined, 'anybody may say so');
  changed.send(0, contentOf(0));
  changed.run(1400);
  assert.equal(codeOf(changed), undefined, 'the stream goes on');
  changed.run(200);
  assert.equal(codeOf(changed), 'SOURCE_CHANGED');

  const served = new ClientDriver({ chunks: 4 });
  served.join();
  served.group(encodeNotice({ ...notice, code: 2 }));
  for (let second = 0; second < 11; second++) {
    served.status({});
    served.run(1000);
  }
  served.run(10_000);
  assert.equal(codeOf(served), undefined, 'a stream that goes on for long refutes it');
});

test('chunks that cannot be read are asked for once more, and named at the end', () => {
  const notice = { session: SESSION, first: 0, count: 0, text: 'changed' };
  const unreadable = new ClientDriver({ chunks: 4 });
  unreadable.join();
  unreadable.group(encodeNotice({ ...notice, code: 3, first: 2, count: 1 }));
  for (const chunk of [0, 1, 3]) {
    assert.equal(codeOf(unreadable), undefined);
    unreadable.send(chunk, contentOf(chunk));
    unreadable.store();
  }
  assert.deepEqual(chunksAsked(unreadable.run(50).blockRequests), [2], 'asked for once more');
  unreadable.group(encodeNotice({ ...notice, code: 3, first: 2, count: 1 }));
  unreadable.run(1400);
  assert.equal(codeOf(unreadable), undefined);
  unreadable.run(200);
  assert.equal(codeOf(unreadable), 'UNREADABLE');
  assert.match(unreadable.session.failure!.message, /128-191/);
});

test('a forged notice that a chunk cannot be read ends nothing', () => {
  const forged = new ClientDriver({ chunks: 4 });
  forged.join();
  const notice = { session: SESSION, code: 3, first: 2, count: 1, text: 'unreadable' } as const;
  forged.group(encodeNotice(notice));
  for (const chunk of [0, 1, 3]) {
    forged.send(chunk, contentOf(chunk));
    forged.store();
  }
  assert.deepEqual(chunksAsked(forged.run(50).blockRequests), [2]);
  forged.group(encodeNotice(notice));
  forged.run(500);
  forged.send(2, contentOf(2));
  forged.store();
  forged.run(5000);
  assert.equal(codeOf(forged), undefined);
  assert.deepEqual(forged.disk, Buffer.concat([0, 1, 2, 3].map(contentOf)));
});

test('why a client failed reaches the server as one line', () => {
  const driver = new ClientDriver({ chunks: 2 });
  driver.join();
  const cause = new Error('there are several disks:\n  /dev/sda\n  /dev/sdb');
  const { bytes } = driver.session.goodbye(driver.now, cause)!;
  const { reason } = decodeReport(bytes)!;
  assert.equal(reason, 'there are several disks: / /dev/sda / /dev/sdb');
});
