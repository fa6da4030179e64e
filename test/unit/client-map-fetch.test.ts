import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkStates } from '../../src/client/copy/chunk-states.js';
import { CheckQueue } from '../../src/client/copy/target-checks.js';
import { MapFetch } from '../../src/client/map-fetch.js';
import { type BlockMap, BlockMapBuilder } from '../../src/image/block-map.js';
import { CHUNKS_PER_PAGE, Geometry } from '../../src/image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  Encoding,
  type EncodingId,
  encodingOfKind,
  positionOf,
  Space,
  type SpaceId,
} from '../../src/protocol/block.js';
import { type BlockRequest, decodeBlockRequest } from '../../src/protocol/from-client.js';
import { packetLength } from '../../src/protocol/packet.js';
import type { Run } from '../../src/protocol/run.js';
import { MapSender } from '../../src/server/stream/map-sender.js';
import { Train } from '../../src/server/stream/train.js';
import { digestOf } from '../digest.js';
import { writeBlockHeader } from './block-header.js';

const BLOCK_SIZE = 100;
const CONTEXT = { session: 1n, client: 5n, position: 77 };
/** Five pages: 0, 2 and 4 hold data, 1 and 3 are all zeros. */
const geometry = new Geometry((4 * CHUNKS_PER_PAGE + 9) * 16, 16);

function makeMap(): BlockMap {
  const builder = new BlockMapBuilder(geometry, digestOf);
  for (const page of [0, 2, 4]) {
    for (const slot of [0, 3, 8]) {
      builder.setData(page * CHUNKS_PER_PAGE + slot, digestOf(Buffer.of(page, slot)));
    }
  }
  builder.setZeroRange(0, geometry.chunkCount);
  return builder.finish();
}

const FRESH = { holdsEarlierData: false, keepsDigests: false };
const map = makeMap();
const ROOT = -1;
const bytesOf = (page: number) => (page === ROOT ? map.root : map.page(page)!);

class Bench {
  readonly fetch: MapFetch;
  now = 0;
  position = 10;

  constructor(readonly copy = new ChunkStates(geometry, digestOf, FRESH)) {
    this.fetch = new MapFetch(copy);
  }

  /** What a turn asks for: the space, and pages. */
  asked(): { space: SpaceId; ranges: Run[] }[] {
    return this.fetch.turn(this.now, CONTEXT).map((packet) => {
      const { space, ranges, asOfPosition } = decodeBlockRequest(packet)!;
      assert.equal(asOfPosition, CONTEXT.position);
      return { space, ranges };
    });
  }

  block(page: number, block: number, bytes = bytesOf(page), kind = 0): boolean {
    const space = page === ROOT ? Space.mapRoot : Space.mapPage;
    const payload = bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
    const chunk = page === ROOT ? 0 : page;
    const encoding = encodingOfKind(kind) as EncodingId;
    const numbers = { session: 1n, chunk, block, position: this.position++ };
    const header = { ...numbers, encodedLength: bytes.length, space, encoding, variant: 0 };
    // It lies somewhere in a larger buffer.
    const packet = Buffer.alloc(3 + BLOCK_HEADER_BYTES + payload.length);
    writeBlockHeader(packet, 3, header, payload.length);
    payload.copy(packet, 3 + BLOCK_HEADER_BYTES);
    return this.fetch.take(packet, 3, packet.length - 3, BLOCK_SIZE, this.now);
  }

  /** All blocks of a part. @returns whether one of them completed it */
  part(page: number, bytes = bytesOf(page)): boolean {
    let isComplete = false;
    for (let block = 0; block < blockCountOf(bytes.length, BLOCK_SIZE); block++) {
      isComplete = this.block(page, block, bytes) || isComplete;
    }
    return isComplete;
  }
}

test('nothing is asked for before the id is known; then the root, then the pages that hold data', () => {
  const { fetch, copy } = new Bench();
  const bench = new Bench();
  assert.equal(fetch.dueMs, Number.POSITIVE_INFINITY);
  assert.deepEqual(fetch.turn(0, CONTEXT), []);
  assert.equal(copy.map, null);
  bench.copy.beginMap(map.id);
  assert(bench.fetch.dueMs <= 0);
  assert.deepEqual(bench.asked(), [{ space: Space.mapRoot, ranges: [{ first: 0, count: 1 }] }]);
  assert.equal(bench.part(ROOT), true);
  const pages = [0, 2, 4].map((first) => ({ first, count: 1 }));
  assert.deepEqual(bench.asked(), [{ space: Space.mapPage, ranges: pages }]);
  for (const page of [4, 0, 2]) {
    assert.equal(bench.part(page), true);
    assert.equal(bench.fetch.lastPart, page);
  }
  assert.equal(bench.copy.map!.isComplete, true);
  assert.equal(bench.fetch.dueMs, Number.POSITIVE_INFINITY);
});

test('what does not come is asked for again, but not while parts are coming in', () => {
  const bench = new Bench();
  bench.copy.beginMap(map.id);
  bench.asked();
  assert(bench.fetch.dueMs > 0 && bench.fetch.dueMs <= 1000);
  bench.now = bench.fetch.dueMs;
  assert.equal(bench.asked().length, 1);
  for (; bench.now < 5000; bench.now += 10) {
    bench.block(ROOT, 0);
    assert(bench.fetch.dueMs > bench.now);
  }
  bench.fetch.hurry(bench.now);
  assert.equal(bench.fetch.dueMs, bench.now);
});

test('property: parts are put together from blocks in any order, repeated and mixed', () => {
  const all = [0, 2, 4].flatMap((page) =>
    Array.from({ length: blockCountOf(bytesOf(page).length, BLOCK_SIZE) }, (_, block) => ({
      page,
      block,
    })),
  );
  const orders = fc.tuple(
    fc.shuffledSubarray(all, { minLength: all.length }),
    fc.subarray(all, { maxLength: 6 }),
  );
  fc.assert(
    fc.property(orders, ([order, repeated]) => {
      const bench = new Bench();
      bench.copy.beginMap(map.id);
      bench.part(ROOT);
      let completed = 0;
      for (const { page, block } of [...repeated, ...order]) {
        if (bench.block(page, block)) completed++;
      }
      assert.equal(completed, 3);
      assert.equal(bench.copy.map!.isComplete, true);
    }),
    { numRuns: 30 },
  );
});

test('a forged part is found out when it is whole, and the true one is taken after it', () => {
  const bench = new Bench();
  bench.copy.beginMap(map.id);
  const forgedRoot = Buffer.from(map.root);
  forgedRoot[30]! ^= 1;
  assert.equal(bench.part(ROOT, forgedRoot), false);
  assert.equal(bench.copy.map!.hasRoot, false);
  assert.equal(bench.part(ROOT), true);
  const forgedPage = Buffer.from(map.page(2)!);
  forgedPage[520]! ^= 1;
  assert.equal(bench.part(2, forgedPage), false);
  // Of another length, it cannot be mixed with the true one either.
  bench.block(2, 0, Buffer.concat([forgedPage, Buffer.alloc(32)]));
  assert.equal(bench.part(2), true);
});

test('parts that cannot be are not collected', () => {
  const bench = new Bench();
  const before = () => bench.fetch.dueMs;
  assert.equal(bench.block(ROOT, 0), false, 'no id is known yet');
  bench.copy.beginMap(map.id);
  bench.asked();
  bench.now += 50;
  const dueMs = before();
  bench.block(0, 0);
  bench.block(ROOT, 0, Buffer.alloc(map.root.length + 32));
  bench.block(ROOT, 0, map.root, Encoding.zstd << 4);
  assert.equal(before(), dueMs, 'pages before the root, a root of another length, compressed');
  bench.part(ROOT);
  bench.now += 50;
  const dueThen = before();
  bench.block(5, 0, bytesOf(0));
  bench.block(1, 0, bytesOf(0));
  bench.block(2, 0, Buffer.alloc(1024 + 4096 * 32 + 1));
  assert.equal(before(), dueThen, 'past the last page, a page of zeros, longer than any page');
});

test('a new session begins parts anew, since blocks may be cut otherwise', () => {
  const bench = new Bench();
  bench.copy.beginMap(map.id);
  bench.part(ROOT);
  bench.block(0, 0);
  bench.fetch.clear(9);
  assert.equal(bench.fetch.dueMs, 9);
  const blocks = blockCountOf(bytesOf(0).length, BLOCK_SIZE);
  for (let block = 1; block < blocks; block++) assert.equal(bench.block(0, block), false);
  assert.equal(bench.block(0, 0), true);
});

test('only what was lost of a page comes again, once it was passed', () => {
  const bench = new Bench();
  bench.copy.beginMap(map.id);
  bench.part(ROOT);
  bench.asked();
  const blocks = blockCountOf(bytesOf(0).length, BLOCK_SIZE);
  for (let block = 0; block < blocks; block++) {
    if (block !== 1 && block !== 4 && block !== 5) bench.block(0, block);
  }
  const halvesAt = (position: number): BlockRequest['halves'] =>
    bench.fetch
      .turn(bench.now, { ...CONTEXT, position })
      .flatMap((packet) => decodeBlockRequest(packet)!.halves);
  assert.deepEqual(halvesAt(bench.position), [], 'it may still be on its way');
  bench.now += 150;
  const runs = [
    { first: 1, count: 1 },
    { first: 4, count: 2 },
  ];
  assert.deepEqual(halvesAt(bench.position), [{ chunk: 0, runs }]);
  assert.deepEqual(halvesAt(bench.position + 500), [], 'what was asked for is on its way');
  bench.block(0, 1);
  bench.block(0, 5);
  assert.equal(bench.block(0, 4), true);
});

/** A map of so many pages that are full of digests. */
function fullMap(pages: number): BlockMapBuilder {
  const builder = new BlockMapBuilder(new Geometry(pages * CHUNKS_PER_PAGE * 16, 16), digestOf);
  const digest = Buffer.alloc(32, 7);
  for (let chunk = 0; chunk < pages * CHUNKS_PER_PAGE; chunk++) {
    digest.writeUInt32BE(chunk);
    builder.setData(chunk, digest);
  }
  return builder;
}

for (const { pages, loss, most } of [
  { pages: 12, loss: 0.08, most: 1.3 },
  { pages: 48, loss: 0.08, most: 1.3 },
  { pages: 48, loss: 0.3, most: 1.9 },
]) {
  test(`a map of ${pages} pages at ${loss * 100} % loss costs at most ${most} times its size`, () => {
    const builder = fullMap(pages);
    const whole = builder.finish();
    const blockSize = 1444;
    const served = new MapSender(builder, blockSize);
    served.setMap(whole, false);
    const train = new Train(1n, blockSize);
    const copy = new ChunkStates(whole.geometry, digestOf, {
      holdsEarlierData: false,
      keepsDigests: false,
    });
    copy.beginMap(whole.id);
    const fetch = new MapFetch(copy);
    const out = Buffer.alloc(65_536);
    let random = 1;
    const isLost = () => {
      random = (random * 48_271) % 0x7fffffff;
      return random / 0x7fffffff < loss;
    };
    let position = 1;
    let seen = 1;
    let sentBytes = 0;
    let now = 0;
    for (; !copy.map!.isComplete; now++) {
      assert(now < 60_000, `${copy.map!.pagesHad} of ${pages} pages after a minute`);
      if (now >= fetch.dueMs) {
        for (const packet of fetch.turn(now, { ...CONTEXT, position: seen })) {
          if (!isLost()) served.ask(decodeBlockRequest(packet)!, seen);
        }
      }
      train.begin(out, 30_000);
      position = served.fill(train, position);
      // A status tells the position of a stream that rests.
      if (train.packets === 0) seen = position;
      for (let at = 0; at < train.length; ) {
        const length = packetLength(out, at, train.length);
        const end = at + length;
        sentBytes += length - BLOCK_HEADER_BYTES;
        if (!isLost()) {
          fetch.take(out, at, length, blockSize, now);
          seen = positionOf(out, at) + 1;
        }
        at = end;
      }
    }
    const mapBytes = pages * whole.page(0)!.length + whole.root.length;
    assert(sentBytes <= most * mapBytes, `${(sentBytes / mapBytes).toFixed(2)} times the map`);
  });
}

test('before there is a map, who may hold some of the image fetches the pages that are made', () => {
  const options = { holdsEarlierData: true, usesEarlyPages: true, keepsDigests: false };
  const bench = new Bench(new ChunkStates(geometry, digestOf, options));
  const { copy, fetch } = bench;
  assert.deepEqual(bench.asked(), [{ space: Space.mapPage, ranges: [{ first: 0, count: 5 }] }]);
  const checking = new CheckQueue(copy, true);
  assert.equal(checking.poll(), null, 'nothing is known of what should be there');
  const lie = Buffer.from(bytesOf(2));
  lie[lie.length - 1]! ^= 1;
  assert.equal(bench.part(0), true);
  assert.equal(fetch.lastPart, 0);
  assert.equal(bench.part(2, lie), true, 'nobody can tell yet');
  // Of page 0 the target holds chunk 0 and the zeros, of page 2 what the true page says.
  for (let order = checking.poll(); order !== null; order = checking.poll()) {
    const { first, count } = order;
    if (!checking.ended(order, count > 1)) continue;
    const page = Math.floor(first / CHUNKS_PER_PAGE);
    const slot = first % CHUNKS_PER_PAGE;
    const isHeld = [0, 3, 8].includes(slot) && (page === 2 || slot === 0);
    const digest = isHeld ? digestOf(Buffer.of(page, slot)) : null;
    for (let chunk = first; chunk < first + count; chunk++) copy.checked(chunk, digest);
  }
  const second = 2 * CHUNKS_PER_PAGE;
  const wanted: number[] = [];
  copy.forEachWanted(0, (first, count) => {
    for (let chunk = first; chunk < first + count; chunk++) wanted.push(chunk);
    return true;
  });
  assert.deepEqual(wanted, [3, 8, second + 8], 'what differs from the pages, be they true or not');
  assert.equal(copy.provenCount, 0);
  copy.beginMap(map.id);
  fetch.clear(0);
  assert.equal(bench.part(ROOT), true);
  copy.adoptEarlyPages();
  assert.equal(copy.map!.hasPage(0), true, 'it need not come again');
  assert.equal(copy.map!.hasPage(2), false, 'it was a lie');
  copy.judgePage(0);
  assert.equal(copy.provenCount, CHUNKS_PER_PAGE - 2);
  assert.equal(bench.part(2), true);
  copy.judgePage(2);
  assert.equal(copy.provenCount, 2 * CHUNKS_PER_PAGE - 3);
});
