import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Assembly, PartialChunk, PayloadCopier } from '../../src/client/copy/partial-chunk.js';
import { blockCountOf, blockLengthOf } from '../../src/protocol/block.js';
import { checksOfBlocks } from '../../src/protocol/block-checks.js';
import type { Run } from '../../src/protocol/run.js';

const MAX_BYTES = 1200;

const slotsOf = (count: number) => Array.from({ length: count }, () => Buffer.alloc(MAX_BYTES));
const never = () => assert.fail('nothing should be given up');

/** The block numbers that runs stand for. */
const blocksOf = (runs: readonly Run[]): number[] =>
  runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));

test('property: blocks in any order, some twice, make the chunk whole when the last is in', () => {
  const sizes = fc.record({
    encodedLength: fc.integer({ min: 1, max: MAX_BYTES }),
    blockSize: fc.integer({ min: 16, max: 90 }),
    order: fc.array(fc.nat(), { maxLength: 150 }),
    offset: fc.nat({ max: 20 }),
  });
  const partial = new PartialChunk(0, Buffer.alloc(MAX_BYTES), new PayloadCopier());
  fc.assert(
    fc.property(sizes, ({ encodedLength, blockSize, order, offset }) => {
      const chunk = Buffer.from(Array.from({ length: encodedLength }, (_, at) => (at * 31) & 255));
      const count = blockCountOf(encodedLength, blockSize);
      // Used before, for chunks of other sizes: nothing of them is left.
      partial.begin(1, 0, encodedLength, blockSize);
      partial.bytes.fill(0);
      assert.equal(partial.blockCount, count);
      const had = new Set<number>();
      const rest = Array.from({ length: count }, (_, block) => block);
      for (const block of [...order.map((number) => number % count), ...rest]) {
        const length = blockLengthOf(encodedLength, blockSize, block);
        const from = block * blockSize;
        const packet = Buffer.alloc(offset + length + 5, 0xff);
        chunk.copy(packet, offset, from, from + length);
        assert.equal(partial.add(block, packet, offset, offset + length), !had.has(block));
        had.add(block);
        const missing = rest.filter((number) => !had.has(number));
        assert.deepEqual(blocksOf(partial.missingRuns(1000)), missing);
        assert.equal(partial.isComplete, missing.length === 0);
        assert.equal(partial.isHalf, missing.length > 0);
      }
      assert.deepEqual(partial.bytes.subarray(0, encodedLength), chunk);
    }),
    { numRuns: 60 },
  );
});

test('missing blocks come as runs, and no more of them than were asked for', () => {
  const partial = new PartialChunk(0, Buffer.alloc(MAX_BYTES), new PayloadCopier());
  partial.begin(1, 0, 1000, 100);
  for (const block of [0, 3, 4, 8]) partial.add(block, Buffer.alloc(100), 0, 100);
  const runs = [
    { first: 1, count: 2 },
    { first: 5, count: 3 },
    { first: 9, count: 1 },
  ];
  assert.deepEqual(partial.missingRuns(9), runs);
  assert.deepEqual(partial.missingRuns(2), runs.slice(0, 2));
});

test('a slot serves one chunk from its first block until it is released', () => {
  const assembly = new Assembly(slotsOf(2), never);
  const first = assembly.open(10, 0, 100, 50)!;
  assert.equal(assembly.find(10), first);
  assert.deepEqual([assembly.openCount, assembly.freeCount], [1, 1]);
  assembly.close(first);
  assert.equal(assembly.find(10), undefined);
  assert.deepEqual([assembly.openCount, assembly.freeCount], [0, 1], 'it is being stored');
  const second = assembly.open(11, 0, 100, 50)!;
  assert.notEqual(second.bytes, first.bytes);
  assembly.close(second);
  assert.equal(assembly.isExhausted, true);
  assert.equal(assembly.open(12, 0, 100, 50), null);
  assembly.release(first.slot);
  assert.equal(assembly.isExhausted, false);
  assert.equal(assembly.open(12, 0, 100, 50)?.slot, first.slot);
});

test('without a free slot, the half chunk that waited longest gives up its own', () => {
  for (const start of [1000, 0xfffffff0]) {
    const givenUp: number[] = [];
    const assembly = new Assembly(slotsOf(3), (chunk) => givenUp.push(chunk));
    for (const [index, chunk] of [7, 8, 9].entries()) {
      assembly.open(chunk, 0, 100, 50)!.lastPosition = (start + index * 10) >>> 0;
    }
    assembly.find(7)!.lastPosition = (start + 50) >>> 0;
    assert.deepEqual(givenUp, []);
    const opened = assembly.open(10, 0, 100, 50)!;
    assert.deepEqual(givenUp, [8], `positions from ${start} on`);
    assert.equal(assembly.find(8), undefined);
    assert.equal(assembly.find(10), opened);
    assert.equal(opened.isHalf, false, 'nothing is left of the chunk before');
  }
});

test('what is dropped frees its slot at once', () => {
  const assembly = new Assembly(slotsOf(4), never);
  for (const chunk of [1, 2, 3]) assembly.open(chunk, 0, 100, 50);
  assembly.abandon(assembly.find(2)!);
  assert.deepEqual([assembly.openCount, assembly.freeCount], [2, 2]);
  assembly.clear();
  assert.deepEqual([assembly.openCount, assembly.freeCount], [0, 4]);
  assert.deepEqual([...assembly.halves()], []);
});

test('property: chunks never share a slot, and the slots never grow in number', () => {
  const acts = fc.array(
    fc.tuple(fc.constantFrom('open', 'close', 'release', 'abandon'), fc.nat({ max: 9 })),
    { maxLength: 100 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), acts, (count, list) => {
      const assembly = new Assembly(slotsOf(count), () => {});
      const storing = new Map<number, number>();
      for (const [act, chunk] of list) {
        const partial = assembly.find(chunk);
        if (act === 'open' && partial === undefined) assembly.open(chunk, 0, 100, 50);
        if (act === 'abandon' && partial !== undefined) assembly.abandon(partial);
        if (act === 'close' && partial !== undefined && !storing.has(chunk)) {
          assembly.close(partial);
          storing.set(chunk, partial.slot);
        }
        const slot = storing.get(chunk);
        if (act === 'release' && slot !== undefined) {
          assembly.release(slot);
          storing.delete(chunk);
        }
        const used = [...assembly.halves()].map((half) => half.slot);
        used.push(...storing.values());
        assert.equal(new Set(used).size, used.length);
        assert.equal(used.length + assembly.freeCount, count);
        assert.equal(assembly.openCount, used.length - storing.size);
      }
    }),
  );
});

test('payloads come over whole from memory that is used again, wherever they lie in it', () => {
  const memories = [0, 1].map(() => Buffer.alloc(8192));
  const place = fc.record({ memory: fc.nat(1), start: fc.nat(6000), length: fc.nat(2000) });
  fc.assert(
    fc.property(fc.array(place, { maxLength: 40 }), (places) => {
      const copier = new PayloadCopier();
      const copy = Buffer.alloc(2100);
      for (const [i, { memory, start, length }] of places.entries()) {
        const from = memories[memory]!.fill(i + 1, start, start + length);
        copy.fill(0);
        copier.copy(from, start, start + length, copy, 7);
        const expected = Buffer.alloc(copy.length);
        from.copy(expected, 7, start, start + length);
        assert.deepEqual(copy, expected);
      }
    }),
  );
});

test('buffers that hold one packet each do not make it forget the memory that is used again', () => {
  const memory = Buffer.alloc(8192, 1);
  let views = 0;
  memory.subarray = (start, end) => {
    views++;
    return Buffer.prototype.subarray.call(memory, start, end);
  };
  const copier = new PayloadCopier();
  const copy = Buffer.alloc(1000);
  const places = [28, 1500, 3000];
  const round = () => {
    copier.copy(Buffer.alloc(1028, 2), 28, 1028, copy, 0);
    assert.deepEqual(copy, Buffer.alloc(1000, 2));
    for (const start of places) copier.copy(memory, start, start + 1000, copy, 0);
    assert.deepEqual(copy, Buffer.alloc(1000, 1));
  };
  round();
  round();
  const before = views;
  for (let i = 0; i < 5; i++) round();
  assert.equal(views, before);
});

test('blocks in doubt are told apart by their checks, whatever came once more', () => {
  const content = Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 31) & 255));
  const all = () => checksOfBlocks(content, 1000, 100, 0);
  const damaged = () => {
    const partial = new PartialChunk(0, Buffer.alloc(MAX_BYTES), new PayloadCopier());
    partial.begin(1, 0, 1000, 100);
    for (let block = 0; block < 10; block++) {
      const packet = Buffer.from(content.subarray(block * 100, block * 100 + 100));
      if (block === 3 || block === 9) packet[17]! ^= 4;
      partial.add(block, packet, 0, 100);
    }
    assert.equal(partial.isComplete, true);
    partial.doubt();
    assert.equal(partial.isComplete, false);
    return partial;
  };

  const checked = damaged();
  checked.check(0, all().slice(0, 5));
  assert.equal(checked.isDoubted, true);
  checked.check(5, [...all().slice(5), 77]);
  assert.equal(checked.isDoubted, false);
  assert.deepEqual(blocksOf(checked.missingRuns(10)), [3, 9]);
  checked.add(3, content, 300, 400);
  checked.add(9, content, 900, 1000);
  assert.equal(checked.isComplete, true);
  assert.deepEqual(checked.bytes.subarray(0, 1000), content);

  const renewed = damaged();
  for (let block = 0; block < 10; block++) {
    assert.equal(renewed.add(block, content, block * 100, block * 100 + 100), true);
  }
  assert.equal(renewed.isComplete, true);
  assert.deepEqual(renewed.bytes.subarray(0, 1000), content);
});

test('what was begun for one server is no half chunk of the next, whose blocks differ', () => {
  const assembly = new Assembly(slotsOf(4), never);
  const stored = assembly.open(1, 0, 1000, 100)!;
  assembly.close(stored);
  const loaded = assembly.take(2, 0, 1000, 100)!;
  assembly.clear();
  assembly.doubt(stored.slot);
  assembly.taken(loaded.slot, 0);
  assert.equal(assembly.openCount, 0);
  assert.equal(assembly.freeCount, 4);
  const next = assembly.take(2, 0, 1000, 500)!;
  assembly.taken(next.slot, 0);
  assert.equal(assembly.find(2)!.blockCount, 2);
});
