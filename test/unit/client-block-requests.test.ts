import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockRequests } from '../../src/client/block-requests.js';
import { ChunkStates } from '../../src/client/copy/chunk-states.js';
import { Assembly } from '../../src/client/copy/partial-chunk.js';
import { Geometry } from '../../src/image/geometry.js';
import { type BlockRequest, decodeBlockRequest } from '../../src/protocol/from-client.js';
import { MAX_CONTROL_PACKET_BYTES } from '../../src/protocol/packet.js';
import { digestOf } from '../digest.js';
import { chunksAsked } from './client-driver.js';
import { BLOCK_SIZE, CHUNK_SIZE } from './server-driver.js';

const DIGEST = digestOf(Buffer.alloc(1));
const never = () => assert.fail('nothing should be given up');

class Bench {
  readonly states: ChunkStates;
  readonly assembly: Assembly;
  readonly requests: BlockRequests;
  now = 0;
  position = 1000;
  isServerIdle = false;

  constructor(chunks: number, slots = 8) {
    const geometry = new Geometry(chunks * CHUNK_SIZE, CHUNK_SIZE);
    this.states = new ChunkStates(geometry, digestOf, {
      holdsEarlierData: false,
      keepsDigests: false,
    });
    const memory = Array.from({ length: slots }, () => Buffer.alloc(CHUNK_SIZE));
    this.assembly = new Assembly(memory, never);
    this.requests = new BlockRequests(this.states, this.assembly);
  }

  have(...chunks: number[]): void {
    for (const chunk of chunks) this.states.stored(chunk, DIGEST);
  }

  /** Some blocks of a chunk arrive, the last one just now. */
  half(chunk: number, blocks: readonly number[]): void {
    const half = this.assembly.find(chunk) ?? this.assembly.open(chunk, 0, CHUNK_SIZE, BLOCK_SIZE)!;
    this.requests.halfBegun(this.now);
    for (const block of blocks) half.add(block, Buffer.alloc(BLOCK_SIZE), 0, BLOCK_SIZE);
    half.lastPosition = this.position++;
    half.lastMs = this.now;
  }

  /** Lets time pass. @returns the requests made meanwhile, with the time of each */
  run(forMs: number, delayMs = 0): (BlockRequest & { atMs: number })[] {
    const requests: (BlockRequest & { atMs: number })[] = [];
    const endMs = this.now + forMs;
    for (; this.now < endMs; this.now++) {
      if (this.now < this.requests.dueMs) continue;
      const context = { session: 1n, client: 5n, position: this.position };
      for (const bytes of this.requests.poll(this.now, context, this.isServerIdle, delayMs)) {
        assert(bytes.length <= MAX_CONTROL_PACKET_BYTES);
        requests.push({ ...decodeBlockRequest(bytes)!, atMs: this.now });
      }
    }
    return requests;
  }
}

test('all that is wanted is asked for at once, in few ranges', () => {
  const bench = new Bench(100_000);
  bench.have(0, 7, 8, 99_999);
  bench.requests.askAll(0, 0);
  const requests = bench.run(50);
  assert.equal(requests.length, 1);
  assert.deepEqual(requests[0]!.ranges, [
    { first: 1, count: 6 },
    { first: 9, count: 99_990 },
  ]);
  assert.equal(requests[0]!.asOfPosition, 1000);
});

test('what arrives before the request leaves is not asked for', () => {
  const bench = new Bench(6);
  bench.requests.askAll(0, 30);
  assert.deepEqual(bench.run(20), []);
  bench.have(0, 1);
  bench.states.storing(4);
  assert.deepEqual(chunksAsked(bench.run(50)), [2, 3, 5]);
});

test('much that is scattered is asked for turn by turn, not in one burst', () => {
  const bench = new Bench(40_000);
  bench.requests.askAll(0, 100);
  for (let chunk = 0; chunk < 40_000; chunk += 2) bench.have(chunk);
  const requests = bench.run(10_000);
  const wanted = Array.from({ length: 20_000 }, (_, index) => 2 * index + 1);
  assert.deepEqual(chunksAsked(requests), wanted);
  const perMs = new Map<number, number>();
  for (const { atMs } of requests) perMs.set(atMs, (perMs.get(atMs) ?? 0) + 1);
  assert(Math.max(...perMs.values()) <= 6, 'packets at once');
  const times = [...perMs.keys()];
  assert(
    times.every((time, index) => index === 0 || time - times[index - 1]! >= 5),
    'turns apart',
  );
});

test('property: what the pass went by is asked for, on both sides of its wrap', () => {
  const chunkCount = 30;
  const cursors = fc.array(fc.nat({ max: chunkCount }), { minLength: 2, maxLength: 8 });
  const had = fc.uniqueArray(fc.nat({ max: chunkCount - 1 }));
  fc.assert(
    fc.property(cursors, had, (list, chunks) => {
      const bench = new Bench(chunkCount);
      bench.have(...chunks);
      let from = list[0]!;
      bench.requests.passMoved(from, 0, 0);
      assert.deepEqual(bench.run(20), [], 'where the pass was before is not known');
      for (const cursor of list.slice(1)) {
        bench.requests.passMoved(cursor, bench.now, 0);
        const passed = (chunk: number) =>
          cursor >= from ? chunk >= from && chunk < cursor : chunk >= from || chunk < cursor;
        const lost = Array.from({ length: chunkCount }, (_, chunk) => chunk).filter(
          (chunk) => passed(chunk) && !chunks.includes(chunk),
        );
        assert.deepEqual(chunksAsked(bench.run(20)), lost);
        from = cursor;
      }
      bench.requests.reset();
      bench.requests.passMoved(0, bench.now, 0);
      assert.deepEqual(bench.run(20), [], 'a new session has a pass of its own');
    }),
    { numRuns: 50 },
  );
});

test('a cursor beyond the image is no harm', () => {
  const bench = new Bench(4);
  bench.requests.passMoved(0, 0, 0);
  bench.requests.passMoved(0xffffffff, 0, 0);
  assert.deepEqual(chunksAsked(bench.run(20)), [0, 1, 2, 3]);
});

test('an idle server is asked again and again, but not at every status', () => {
  const bench = new Bench(4);
  bench.isServerIdle = true;
  let requests = 0;
  for (let tick = 0; tick < 1000; tick += 5) {
    bench.requests.serverIdle(bench.now, 0);
    requests += bench.run(5).length;
  }
  assert(requests >= 5 && requests <= 25, `${requests} requests in a second`);
});

test(
  'a half chunk is left in peace while its blocks come, and asked for when the stream ' +
    'passed it',
  () => {
    const bench = new Bench(4);
    bench.half(1, [0]);
    assert.deepEqual(bench.run(15), [], 'its blocks may be on their way');
    bench.half(1, [2]);
    bench.position += 200;
    const requests = bench.run(30);
    assert.deepEqual(
      requests.map(({ ranges, halves }) => ({ ranges, halves })),
      [
        {
          ranges: [],
          halves: [
            {
              chunk: 1,
              runs: [
                { first: 1, count: 1 },
                { first: 3, count: 1 },
              ],
            },
          ],
        },
      ],
    );
    assert.deepEqual(bench.run(20), [], 'what was asked for needs its time');
    assert.equal(bench.run(100).length >= 1, true, 'then it is asked for again');
  },
);

test(
  'a half chunk is asked for when the server has nothing more to send, though nothing ' +
    'passed it',
  () => {
    const bench = new Bench(4);
    bench.half(2, [1]);
    bench.isServerIdle = true;
    const [request] = bench.run(40);
    assert.equal(request!.halves[0]!.chunk, 2);
  },
);

test('half chunks are looked through with the packets that come, and wake nobody between them', () => {
  const bench = new Bench(4);
  bench.half(1, [0]);
  bench.now += 5;
  bench.requests.moved(bench.now);
  assert.equal(bench.requests.dueMs, 30, 'so soon a look is not worth it');
  bench.now += 6;
  bench.requests.moved(bench.now);
  assert.equal(bench.requests.dueMs, bench.now);
  assert.deepEqual(bench.run(1), []);
  assert.equal(bench.requests.dueMs, 11 + 30, 'packets that stay away are not waited for longer');
});

test('an idle server is asked for the rest of a half chunk at once', () => {
  const bench = new Bench(4);
  bench.requests.askAll(0, 0);
  bench.run(50);
  bench.half(2, [1]);
  bench.isServerIdle = true;
  bench.requests.serverIdle(bench.now, 0);
  const [request] = bench.run(2);
  assert.equal(request!.halves[0]!.chunk, 2);
});

test('without half chunks and losses nothing is ever due', () => {
  const bench = new Bench(4);
  bench.half(2, [0, 1, 2]);
  bench.run(5);
  bench.assembly.abandon(bench.assembly.find(2)!);
  bench.have(2);
  assert.deepEqual(bench.run(200), []);
  assert.equal(bench.requests.dueMs, Number.POSITIVE_INFINITY);
});

test('a chunk that did not fit is asked for soon; one that lost its slot, with the next request', () => {
  const bench = new Bench(10);
  bench.requests.giveUp(3);
  assert.deepEqual(bench.run(100), []);
  bench.requests.lost(7, bench.now, 20);
  const [request] = bench.run(100);
  assert(request!.atMs >= 120 && request!.atMs <= 130);
  assert.deepEqual(chunksAsked([request!]), [3, 7]);
});

test('property: requests that are held back wait just so long', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2000 }), (delayMs) => {
      const bench = new Bench(10);
      bench.requests.askAll(0, delayMs);
      const [request] = bench.run(2100);
      assert.equal(request!.atMs, delayMs);
    }),
    { numRuns: 30 },
  );
});
