import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ByteRun, UsedMap } from '../../src/image/used-map.js';

const SIZE = 60;
const place = fc.integer({ min: 0, max: SIZE + 10 });
const run = fc.record({ start: place, end: place });
const runs = fc.array(run, { maxLength: 12 });

/** One boolean for each byte. */
function naive(given: readonly ByteRun[]): boolean[] {
  return Array.from({ length: SIZE }, (_, at) =>
    given.some(({ start, end }) => start <= at && at < end),
  );
}

/** The runs of bytes that are `isUsed`, within bounds. */
function runsOf(bytes: readonly boolean[], isUsed: boolean, from = 0, to = SIZE): ByteRun[] {
  const found: ByteRun[] = [];
  for (let at = from; at < Math.min(to, SIZE); at++) {
    if (bytes[at] !== isUsed) continue;
    const last = found.at(-1);
    if (last?.end === at) last.end = at + 1;
    else found.push({ start: at, end: at + 1 });
  }
  return found;
}

function unusedOf(map: UsedMap, from: number, to: number): ByteRun[] {
  const found: ByteRun[] = [];
  map.forEachUnused(from, to, (start, end) => found.push({ start, end }));
  return found;
}

const property = (
  name: string,
  check: (map: UsedMap, bytes: boolean[], from: number, to: number) => void,
) =>
  test(`property: ${name}`, () => {
    const bound = fc.integer({ min: 0, max: SIZE });
    fc.assert(
      fc.property(runs, bound, bound, (given, from, to) => {
        check(UsedMap.of(SIZE, given), naive(given), from, to);
      }),
    );
  });

property('runs are merged, sorted and clipped', (map, bytes, from, to) => {
  assert.deepEqual([...map.runs()], runsOf(bytes, true));
  assert.deepEqual([...map.runs(from, to)], runsOf(bytes, true, from, to));
  assert.equal(map.runCount, runsOf(bytes, true).length);
  assert.equal(map.usedBytes, bytes.filter((isUsed) => isUsed).length);
  assert.equal(map.usedBytes + map.unusedBytes, SIZE);
});

property('unused runs are what is between', (map, bytes, from, to) => {
  assert.deepEqual(unusedOf(map, from, to), runsOf(bytes, false, from, to));
});

property('a range is free, used, or neither', (map, bytes, from, to) => {
  const range = bytes.slice(from, Math.max(from, to));
  assert.equal(
    map.isFree(from, to),
    range.every((isUsed) => !isUsed),
  );
  assert.equal(
    map.isUsed(from, to),
    range.every((isUsed) => isUsed),
  );
});

test('property: all but the unused, and the union of two', () => {
  fc.assert(
    fc.property(runs, runs, (one, other) => {
      const bytes = naive(one).map((isUsed) => !isUsed);
      assert.deepEqual([...UsedMap.allBut(SIZE, one).runs()], runsOf(bytes, true));
      const both = UsedMap.of(SIZE, one).union(UsedMap.of(SIZE, other));
      assert.deepEqual([...both.runs()], runsOf(naive([...one, ...other]), true));
      assert(both.equals(UsedMap.of(SIZE, [...other, ...one])));
    }),
  );
});

test('maps differ in size, in runs, and in where runs end', () => {
  const map = UsedMap.of(10, [{ start: 1, end: 3 }]);
  assert(!map.equals(UsedMap.of(11, [{ start: 1, end: 3 }])));
  assert(!map.equals(UsedMap.of(10, [{ start: 1, end: 4 }])));
  assert(!map.equals(UsedMap.whole(10)));
  assert.throws(() => map.union(UsedMap.whole(11)), RangeError);
});

test('places beyond 32 bits are kept exactly; nonsense is refused', () => {
  const far = 2 ** 45 + 512;
  const map = UsedMap.of(2 ** 46, [{ start: far, end: far + 1 }]);
  assert(!map.isFree(far, far + 1) && map.isFree(far + 1, 2 ** 46) && map.isFree(0, far));
  for (const start of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => UsedMap.of(10, [{ start, end: 2 }]), RangeError);
  }
});
