import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReplayWindow, WINDOW_PACKETS } from '../../src/trust/replay-window.js';

const COUNTS = 2 ** 48;

test('property: each packet is taken once, and none that is far behind', () => {
  const starts = fc.oneof(fc.constantFrom(0, COUNTS - 40, COUNTS - 1), fc.nat({ max: COUNTS - 1 }));
  const steps = fc.oneof(
    fc.integer({ min: -70, max: 70 }),
    fc.constantFrom(-65, -64, -63, -33, -32, -31, 31, 32, 33, 63, 64, 65, 1000),
  );
  fc.assert(
    fc.property(starts, fc.array(steps, { maxLength: 200 }), (start, path) => {
      const window = new ReplayWindow();
      const taken = new Set<number>();
      let latest: number = 0;
      let first = true;
      for (const step of path) {
        // Counted without an end, beside the count that wraps.
        const place: number = first ? 0 : latest + step;
        const count: number = (((start + place) % COUNTS) + COUNTS) % COUNTS;
        const isDue: boolean = first || (!taken.has(place) && place > latest - WINDOW_PACKETS);
        assert.equal(window.isNew(1, count), isDue, `${place} after ${latest}`);
        assert.equal(window.take(1, count), isDue);
        assert(!window.take(1, count));
        taken.add(place);
        latest = first ? 0 : Math.max(latest, place);
        first = false;
      }
    }),
    { numRuns: 1000 },
  );
});

test('the first packet decides on the sender', () => {
  const window = new ReplayWindow();
  assert(window.isNew(7, 5) && window.take(7, 5));
  assert(!window.isNew(8, 6) && !window.take(8, 6));
  assert(window.take(7, 6));
});

test('what was sent before the beginning is old', () => {
  for (const next of [0, 1, 1000, COUNTS - 1]) {
    const window = new ReplayWindow();
    window.begin(3, next);
    for (let before = 1; before < 200; before++) {
      assert(!window.take(3, (next - before + COUNTS) % COUNTS), `${before} before ${next}`);
    }
    assert(!window.take(4, next));
    assert(window.take(3, next));
    assert(!window.take(3, next));
  }
});

test('looking takes nothing', () => {
  const window = new ReplayWindow();
  assert(window.isNew(1, 1) && window.isNew(2, 2));
  assert(window.take(2, 2));
  assert(window.isNew(2, 3) && window.isNew(2, 3));
  assert(window.take(2, 3));
});
