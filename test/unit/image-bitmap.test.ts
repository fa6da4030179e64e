import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitmap, countBits, type RangeVisitor } from '../../src/image/bitmap.js';

interface Range {
  first: number;
  count: number;
}

/** What a bitmap should be, done the slow way. */
class NaiveBitmap {
  readonly bits: boolean[];

  constructor(length: number) {
    this.bits = new Array(length).fill(false);
  }

  next(from: number, wanted: boolean): number {
    return this.bits.findIndex((bit, index) => index >= from && bit === wanted);
  }

  fill(first: number, count: number, value: boolean): number {
    let changed = 0;
    for (let index = first; index < first + count; index += 1) {
      if (this.bits[index] !== value) changed += 1;
      this.bits[index] = value;
    }
    return changed;
  }

  count(first: number, count: number): number {
    return this.bits.slice(first, first + count).filter(Boolean).length;
  }

  ranges(from: number, wanted: boolean): Range[] {
    const ranges: Range[] = [];
    for (let index = from; index < this.bits.length; index += 1) {
      if (this.bits[index] !== wanted) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last.first + last.count === index) last.count += 1;
      else ranges.push({ first: index, count: 1 });
    }
    return ranges;
  }
}

interface Command {
  kind: 'set' | 'clear' | 'setRange' | 'clearRange';
  /** Places as fractions of the length, so that they shrink along with it. */
  from: number;
  to: number;
}

const lengths = fc.oneof(
  fc.constantFrom(0, 1, 2, 31, 32, 33, 63, 64, 65, 95, 96, 97, 128),
  fc.integer({ min: 0, max: 300 }),
);
const fraction = fc.integer({ min: 0, max: 1000 });
const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'clear', 'setRange', 'clearRange'),
    from: fraction,
    to: fraction,
  }),
  { maxLength: 24 },
);

function apply(command: Command, bitmap: Bitmap, naive: NaiveBitmap): void {
  const { length } = bitmap;
  const a = Math.floor((command.from * length) / 1000);
  const b = Math.floor((command.to * length) / 1000);
  const first = Math.min(a, b);
  const count = Math.abs(a - b);
  const value = command.kind === 'set' || command.kind === 'setRange';
  if (command.kind === 'setRange') {
    assert.equal(bitmap.setRange(first, count), naive.fill(first, count, value));
  } else if (command.kind === 'clearRange') {
    assert.equal(bitmap.clearRange(first, count), naive.fill(first, count, value));
  } else if (a < length) {
    const changed = value ? bitmap.set(a) : bitmap.clear(a);
    assert.equal(changed, naive.fill(a, 1, value) === 1);
  }
}

test('property: a bitmap behaves like an array of booleans', () => {
  fc.assert(
    fc.property(lengths, commands, (length, list) => {
      const bitmap = new Bitmap(length);
      const naive = new NaiveBitmap(length);
      for (const command of list) {
        apply(command, bitmap, naive);
        assert.equal(bitmap.count, naive.count(0, length));
      }
      assert.equal(bitmap.isEmpty, naive.next(0, true) === -1);
      assert.equal(bitmap.isFull, naive.next(0, false) === -1);
      for (let index = 0; index < length; index += 1) {
        if (bitmap.has(index) !== naive.bits[index]) assert.fail(`bit ${index}`);
      }
      for (let from = 0; from <= length + 33; from += 1) {
        if (bitmap.nextSet(from) !== naive.next(from, true)) assert.fail(`set from ${from}`);
        if (bitmap.nextClear(from) !== naive.next(from, false)) assert.fail(`clear from ${from}`);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});

/** The first `most` ranges that a walk shows. */
function collect(most: number, walk: (visitor: RangeVisitor) => void): Range[] {
  const ranges: Range[] = [];
  walk((first, count) => {
    ranges.push({ first, count });
    return ranges.length < most;
  });
  return ranges;
}

test('property: ranges are found, counted and put back', () => {
  fc.assert(
    fc.property(
      lengths,
      commands,
      fraction,
      fc.integer({ min: 1, max: 9 }),
      (length, list, start, most) => {
        const bitmap = new Bitmap(length);
        const naive = new NaiveBitmap(length);
        for (const command of list) apply(command, bitmap, naive);
        const from = Math.floor((start * length) / 1000);
        const set = naive.ranges(from, true);
        const clear = naive.ranges(from, false);
        const foundSet = collect(most, (visitor) => bitmap.forEachSetRange(from, visitor));
        assert.deepEqual(foundSet, set.slice(0, most));
        const foundClear = collect(most, (visitor) => bitmap.forEachClearRange(from, visitor));
        assert.deepEqual(foundClear, clear.slice(0, most));
        assert.equal(
          bitmap.countRange(from, length - from),
          set.reduce((sum, range) => sum + range.count, 0),
        );
        const word = from - (from % 32);
        const bytes = Buffer.alloc(Math.ceil((length - word) / 32) * 4);
        bitmap.writeRange(word, length - word, bytes);
        const written = Array.from(
          { length: bytes.length * 8 },
          (_, i) => ((bytes[i >> 3]! >> (i & 7)) & 1) === 1,
        );
        const padding = new Array(bytes.length * 8 - (length - word)).fill(false);
        assert.deepEqual(written, [...naive.bits.slice(word), ...padding]);
        const copy = new Bitmap(length);
        bitmap.forEachSetRange(0, (first, count) => {
          assert.equal(copy.setRange(first, count), count);
        });
        assert.equal(copy.count, bitmap.count);
        for (let index = 0; index < length; index += 1) {
          if (copy.has(index) !== bitmap.has(index)) assert.fail(`bit ${index}`);
        }
      },
    ),
    { seed: 1, numRuns: 200 },
  );
});

test('property: bits of a word are counted', () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (word) => {
      const digits = (word >>> 0).toString(2).replaceAll('0', '');
      assert.equal(countBits(word), digits.length);
    }),
    { seed: 1 },
  );
});

test('a walk over ranges stops when told, and may change what it was shown', () => {
  const bitmap = new Bitmap(200);
  bitmap.setRange(40, 10);
  bitmap.setRange(100, 64);
  const seen: number[][] = [];
  bitmap.forEachClearRange(5, (first, count) => {
    seen.push([first, count]);
    bitmap.setRange(first, count);
    return seen.length < 2;
  });
  assert.deepEqual(seen, [
    [5, 35],
    [50, 50],
  ]);
  bitmap.forEachSetRange(0, (first, count) => {
    seen.push([first, count]);
    bitmap.clearRange(first, count);
  });
  assert.deepEqual(seen.at(-1), [5, 159]);
  assert(bitmap.isEmpty);
});

test('a bitmap for the largest image is searched to its end', () => {
  const length = 2 ** 25;
  const bitmap = new Bitmap(length);
  assert.equal(bitmap.setRange(0, length - 1), length - 1);
  assert.equal(bitmap.nextClear(0), length - 1);
  assert.equal(bitmap.clearRange(1, length - 1), length - 2);
  bitmap.set(length - 1);
  assert.equal(bitmap.nextSet(1), length - 1);
});

test('numbers outside the bitmap are refused and change nothing', () => {
  const bitmap = new Bitmap(40);
  for (const index of [-1, 40, 63, 2 ** 32, 0.5, Number.NaN]) {
    assert.throws(() => bitmap.has(index), RangeError);
    assert.throws(() => bitmap.set(index), RangeError);
    assert.throws(() => bitmap.clear(index), RangeError);
  }
  for (const [first, count] of [
    [-1, 2],
    [0, 41],
    [39, 2],
    [0, -1],
    [0.5, 1],
    [41, 0],
    [2 ** 32, 1],
  ] as const) {
    assert.throws(() => bitmap.setRange(first, count), RangeError);
    assert.throws(() => bitmap.clearRange(first, count), RangeError);
    assert.throws(() => bitmap.countRange(first, count), RangeError);
    assert.throws(() => bitmap.writeRange(first, count, Buffer.alloc(64)), RangeError);
  }
  assert.throws(() => bitmap.writeRange(8, 8, Buffer.alloc(64)), RangeError, 'within a word');
  assert.throws(() => bitmap.nextSet(-1), RangeError);
  assert.throws(() => bitmap.nextClear(Number.NaN), RangeError);
  assert(bitmap.isEmpty);
  for (const length of [-1, 1.5, 2 ** 31, Number.NaN]) {
    assert.throws(() => new Bitmap(length), RangeError);
  }
});
