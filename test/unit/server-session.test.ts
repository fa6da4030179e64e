import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BLOCK_HEADER_BYTES,
  blockOf,
  chunkOf,
  kindByteOf,
  positionOf,
  spaceOfKind,
} from '../../src/protocol/block.js';
import { ClientState } from '../../src/protocol/from-client.js';
import {
  decodeImageDescription,
  decodeNotice,
  decodeStatus,
  NoticeCode,
} from '../../src/protocol/from-server.js';
import { CODECS } from './protocol-packets.js';
import {
  BLOCK_SIZE,
  blocksOf,
  blocksOfChunks,
  CHUNK_SIZE,
  CLIENT,
  contentOf,
  PEER,
  SESSION,
  type Sent,
  ServerDriver,
} from './server-driver.js';

const range = (first: number, count: number) => ({ first, count });
const numbers = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => first + i);
const ofType = (sent: readonly Sent[], type: Sent['type']) =>
  sent.filter((packet) => packet.type === type);
const statusesOf = (sent: readonly Sent[]) =>
  ofType(sent, 'status').map(({ bytes }) => decodeStatus(bytes)!);

test('a map request is answered to who asked, and a status tells the group', () => {
  const driver = new ServerDriver({ chunks: 10 });
  driver.join();
  const sent = driver.run(1);
  const [answer] = ofType(sent, 'imageDescription');
  assert.deepEqual(answer!.to, PEER);
  assert.deepEqual(decodeImageDescription(answer!.bytes), {
    session: SESSION,
    client: CLIENT,
    imageSize: 10 * CHUNK_SIZE,
    chunkSize: CHUNK_SIZE,
    blockSize: BLOCK_SIZE,
    mapId: null,
    group: '239.255.76.67',
    port: 9000,
    otherSessions: 0,
    position: 1,
    sectorSizeBytes: 0,
    streamAddress: '',
    requestWindowMs: 1,
    reportIntervalMs: 20,
    isJoined: true,
    seal: null,
    name: 'disk.img',
  });
  assert.equal(ofType(sent, 'status')[0]!.to, null);
  assert.deepEqual(
    driver.events.map((event) => event.type),
    ['client-joined'],
  );
});

test('what is asked for goes out once, in order, every block in its place', () => {
  const driver = new ServerDriver({ chunks: 40, slotCount: 8, readMs: 3 });
  driver.join();
  driver.ask({ ranges: [range(0, 40)] });
  const blocks = driver.run(500).filter(({ type }) => type === 'block');
  assert.deepEqual(blocksOf(blocks), blocksOfChunks(numbers(0, 40)));
  for (const [index, { bytes, to }] of blocks.entries()) {
    const from = blockOf(bytes, 0) * BLOCK_SIZE;
    const expected = contentOf(chunkOf(bytes, 0)).subarray(from, from + BLOCK_SIZE);
    assert.deepEqual(bytes.subarray(BLOCK_HEADER_BYTES), expected);
    assert.equal(positionOf(bytes, 0), 1 + index);
    assert.equal(to, null);
  }
  const types = driver.events.map((event) => event.type);
  assert.deepEqual(types, ['client-joined', 'pass-begun', 'pass-ended']);
});

test('at the end of a pass a status says at once that the server is idle', () => {
  const driver = new ServerDriver({ chunks: 4 });
  driver.join();
  driver.ask({ ranges: [range(0, 4)] });
  const sent = driver.run(100);
  const last = sent.findLastIndex(({ type }) => type === 'block');
  const next = sent[last + 1]!;
  const status = decodeStatus(next.bytes)!;
  assert.equal(next.type, 'status');
  assert(next.atMs - sent[last]!.atMs <= 1);
  assert.deepEqual([status.isIdle, status.pendingChunks, status.position], [true, 0, 17]);
});

test('an idle server says so less and less, and nothing at all when nobody waits', () => {
  const driver = new ServerDriver({ chunks: 4 });
  driver.join();
  driver.ask({ ranges: [range(0, 4)] });
  driver.run(1000);
  let heard = 0;
  for (let second = 0; second < 20; second++) {
    driver.report({ position: 17 });
    heard += ofType(driver.run(1000), 'status').length;
  }
  assert(heard >= 10 && heard <= 30, `${heard} statuses in 20 s`);
  driver.report({ position: 17, state: ClientState.done });
  driver.run(2000);
  const types = new Set(driver.run(60_000).map(({ type }) => type));
  assert.deepEqual([...types], ['mapRequest'], 'it only looks for other servers');
});

test('zero chunks travel as ranges: those known from the map, and those found by reading', () => {
  const zeros = [3, 4, 5, 20];
  for (const isPrepared of [true, false]) {
    const driver = new ServerDriver({ chunks: 24, zeros });
    if (isPrepared) driver.prepare();
    driver.join();
    driver.ask({ ranges: [range(0, 24)] });
    const sent = driver.run(300);
    const data = numbers(0, 24).filter((chunk) => !zeros.includes(chunk));
    assert.deepEqual(blocksOf(sent), blocksOfChunks(data));
    const ranges = ofType(sent, 'zeroRanges');
    assert(ranges.length >= 1 && ranges.length <= 4);
  }
});

const spaceOf = ({ bytes }: Sent) => spaceOfKind(kindByteOf(bytes, 0));
const spacesOf = (sent: readonly Sent[]) => ofType(sent, 'block').map(spaceOf);
/** What was sent of a part of the map, from its packets. */
const partOf = (sent: readonly Sent[], space: number) =>
  Buffer.concat(
    ofType(sent, 'block')
      .filter((packet) => spaceOf(packet) === space)
      .map(({ bytes }) => bytes.subarray(BLOCK_HEADER_BYTES)),
  );

test('the block map is named when it is there, and its parts go ahead of the image', () => {
  const driver = new ServerDriver({ chunks: 50 });
  driver.join();
  driver.ask({ space: 2, ranges: [range(0, 1)] });
  assert.deepEqual(blocksOf(driver.run(50), 2), [], 'there is no map yet');
  driver.ask({ ranges: [range(0, 50)] });
  driver.prepare();
  driver.ask({ space: 2, ranges: [range(0, 1)] });
  driver.ask({ space: 1, ranges: [range(0, 1)] });
  const sent = driver.run(500);
  const map = driver.map.finish();
  assert.deepEqual(statusesOf(sent)[0]!.mapId, map.id);
  assert.deepEqual(partOf(sent, 2), map.root, 'once: it is not sent unasked after that');
  assert.deepEqual(partOf(sent, 1), map.page(0));
  const spaces = spacesOf(sent);
  assert.deepEqual(spaces, [...spaces].sort().reverse(), 'the root, its page, the image');
  assert.deepEqual(blocksOf(sent), blocksOfChunks(numbers(0, 50)));
});

test('the root of a map that clients wait for goes out unasked, behind the pass', () => {
  const driver = new ServerDriver({ chunks: 50 });
  driver.join();
  driver.ask({ ranges: [range(0, 50)] });
  const begun = driver.run(1);
  assert(blocksOf(begun).length < blocksOfChunks(numbers(0, 50)).length);
  driver.prepare();
  const sent = [...begun, ...driver.run(500)];
  assert.deepEqual(partOf(sent, 2), driver.map.finish().root);
  const spaces = spacesOf(sent);
  assert.deepEqual(spaces, [...spaces].sort());
  assert.deepEqual(partOf(driver.run(500), 2).length, 0);
});

test('the root of a map that nobody waits for stays here', () => {
  const driver = new ServerDriver({ chunks: 50 });
  driver.prepare();
  driver.join();
  assert.deepEqual(ofType(driver.run(500), 'block'), []);
});

test(
  'of a chunk that lacks little, just the missing blocks go out; one that lacks much goes ' +
    'whole',
  () => {
    const driver = new ServerDriver({ chunks: 10 });
    driver.join();
    driver.ask({
      halves: [
        { chunk: 7, runs: [range(2, 1)] },
        { chunk: 3, runs: [range(0, 2)] },
        { chunk: 5, runs: [range(0, 1), range(2, 2)] },
      ],
    });
    const blocks = blocksOf(driver.run(100));
    assert.deepEqual([...blocks].sort(), ['3/0', '3/1', '7/2', ...blocksOfChunks([5])].sort());
  },
);

test('a second client that asks for the same while it is on its way costs nothing', () => {
  const driver = new ServerDriver({ chunks: 20 });
  driver.join();
  driver.join(6n);
  driver.ask({ ranges: [range(0, 20)] });
  driver.ask({ client: 6n, ranges: [range(0, 20)] });
  const first = driver.run(2);
  driver.ask({ client: 6n, ranges: [range(0, 20)] });
  const all = [...first, ...driver.run(200)];
  driver.ask({ client: 6n, ranges: [range(0, 20)] });
  assert.deepEqual(blocksOf([...all, ...driver.run(200)]), blocksOfChunks(numbers(0, 20)));
});

test('more repairs than there is memory for are served all the same, and the pass goes on', () => {
  const driver = new ServerDriver({ chunks: 64, slotCount: 4, readMs: 1 });
  driver.join();
  driver.ask({ halves: numbers(0, 12).map((chunk) => ({ chunk, runs: [range(1, 1)] })) });
  driver.ask({ ranges: [range(20, 30)] });
  const blocks = blocksOf(driver.run(2000));
  const expected = [
    ...numbers(0, 12).map((chunk) => `${chunk}/1`),
    ...blocksOfChunks(numbers(20, 30)),
  ];
  assert.deepEqual([...blocks].sort(), expected.sort());
});

test('chunks that cannot be read are left out, and the rest is sent', () => {
  const driver = new ServerDriver({ chunks: 12, broken: [0, 5, 11] });
  driver.join();
  driver.ask({ ranges: [range(0, 12)], halves: [] });
  driver.ask({ halves: [{ chunk: 5, runs: [range(0, 1)] }] });
  const good = numbers(0, 12).filter((chunk) => ![0, 5, 11].includes(chunk));
  const sent = driver.run(300);
  assert.deepEqual(blocksOf(sent), blocksOfChunks(good));
  assert.equal(statusesOf(sent).at(-1)!.isIdle, true);
});

test(
  'a client that comes back after a silence learns where the stream is, and gets what it ' +
    'missed',
  () => {
    const driver = new ServerDriver({ chunks: 4 });
    driver.join();
    driver.ask({ ranges: [range(0, 4)] });
    driver.run(20_000);
    // It saw nothing of it: as of its position, all is still to come.
    driver.ask({ ranges: [range(0, 4)] });
    const [status] = statusesOf(driver.run(1000));
    assert.equal(status?.position, 17);
    driver.ask({ asOfPosition: status!.position, ranges: [range(0, 4)] });
    assert.deepEqual(blocksOf(driver.run(1000)), blocksOfChunks(numbers(0, 4)));
  },
);

test('a report of the end is answered every time, and announced once', () => {
  const driver = new ServerDriver({ chunks: 4 });
  driver.join();
  for (let repeat = 0; repeat < 3; repeat++) {
    driver.report({ state: ClientState.done });
    const [farewell] = ofType(driver.run(10), 'farewell');
    assert.deepEqual(farewell!.to, PEER);
  }
  driver.join(6n);
  driver.report({ client: 6n, state: ClientState.failed });
  driver.run(10);
  const ends = driver.events.filter(
    ({ type }) => type === 'client-done' || type === 'client-failed',
  );
  assert.deepEqual(
    ends.map(({ type }) => type),
    ['client-done', 'client-failed'],
  );
  assert.equal(driver.session.doneCount, 1);
});

test('a request that comes after the report of the end takes no copy back', () => {
  const driver = new ServerDriver({ chunks: 4 });
  driver.join();
  driver.ask({ ranges: [range(0, 4)] });
  driver.run(50);
  driver.report({ state: ClientState.done });
  driver.ask({ ranges: [range(0, 1)] });
  driver.run(50);
  assert.equal(driver.session.doneCount, 1);
  assert.equal(driver.events.filter(({ type }) => type === 'client-anew').length, 0);
});

test('who stops while clients wait says so; otherwise there is nobody to tell', () => {
  const driver = new ServerDriver({ chunks: 4 });
  assert.equal(driver.session.goodbye(0), null);
  driver.join();
  const notice = decodeNotice(driver.session.goodbye(0)!)!;
  assert.deepEqual([notice.session, notice.code], [SESSION, NoticeCode.leaving]);
  driver.report({ state: ClientState.done });
  assert.equal(driver.session.goodbye(0), null);
});

test('packets of other sessions, torn packets and other noise are counted, and do nothing', () => {
  const driver = new ServerDriver({ chunks: 4 });
  driver.join();
  driver.run(10);
  const bad = () => driver.session.progress(0).packetsBad;
  driver.ask({ session: SESSION + 1n, ranges: [range(0, 4)] });
  driver.report({ session: SESSION + 1n, state: ClientState.done });
  assert.equal(bad(), 2);
  for (const noise of [Buffer.alloc(0), Buffer.alloc(40), Buffer.from('MC')]) driver.handle(noise);
  assert.equal(bad(), 5);
  assert.deepEqual(blocksOf(driver.run(100)), []);
  assert.equal(driver.session.doneCount, 0);
});

test('property: no datagram makes the server throw, or send without end', () => {
  const packets = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    ...CODECS.map(({ values, encode }) =>
      values.map((value) => encode({ ...value, session: SESSION })),
    ),
  );
  fc.assert(
    fc.property(fc.array(packets, { maxLength: 12 }), (list) => {
      const driver = new ServerDriver({ chunks: 6, slotCount: 4 });
      let sent = 0;
      for (const bytes of list) {
        driver.handle(bytes);
        sent += driver.run(5).length;
      }
      assert(sent <= 200 + list.length * 30, `${sent} packets`);
    }),
    { numRuns: 60 },
  );
});

test('property: an answer has at most three times the bytes of the request that caused it', () => {
  const requests = fc.oneof(
    ...CODECS.map(({ values, encode }) =>
      values.map((value) => encode({ ...value, session: SESSION, client: CLIENT })),
    ),
  );
  const driver = new ServerDriver({ chunks: 6, name: 'n'.repeat(300) });
  driver.join();
  driver.run(100);
  fc.assert(
    fc.property(requests, (request) => {
      driver.handle(request);
      const answers = driver.run(5).filter(({ to }) => to !== null && to.address === PEER.address);
      for (const { bytes } of answers) {
        assert(bytes.length <= 3 * request.length, `${bytes.length} for ${request.length}`);
      }
    }),
  );
});

test('no client can have seen what was not sent: its report and request count for nothing', () => {
  const driver = new ServerDriver({ chunks: 50, firstPosition: 2 ** 32 - 5 });
  driver.join();
  const [status] = statusesOf(driver.run(1));
  const ahead = (status!.position + 1) >>> 0;
  driver.report({ position: ahead, missingChunks: 7 });
  driver.ask({ asOfPosition: ahead, ranges: [range(0, 4)] });
  assert.deepEqual(blocksOf(driver.run(50)), []);
  assert.equal(driver.session.progress(driver.now).clients[0]!.missingChunks, 50);
  driver.report({ position: status!.position, missingChunks: 7 });
  driver.ask({ asOfPosition: status!.position, ranges: [range(0, 4)] });
  assert.deepEqual(blocksOf(driver.run(50)), blocksOfChunks(numbers(0, 4)));
  assert.equal(driver.session.progress(driver.now).clients[0]!.missingChunks, 7);
});

test('the last word of a client that forged blocks led ahead of the stream counts', () => {
  const driver = new ServerDriver({ chunks: 5 });
  driver.join();
  driver.run(1);
  driver.report({ position: 1_000_000, state: ClientState.done });
  assert.equal(driver.session.doneCount, 1);
});
