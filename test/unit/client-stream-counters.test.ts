import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamCounters } from '../../src/client/reports.js';

/** Positions after the first, and where in time each arrives; Infinity never does. */
const arrivals = fc.array(
  fc.oneof({ weight: 5, arbitrary: fc.nat(40) }, fc.constant(Number.POSITIVE_INFINITY)),
  { maxLength: 60 },
);

test('property: lost is what never arrived, in whatever order the rest came', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), arrivals, (first, delays) => {
      const counters = new StreamCounters(first);
      counters.seen(first, 100);
      const order = delays
        .map((delay, i) => ({ offset: i + 1, atMs: i + 1 + delay }))
        .filter(({ atMs }) => atMs < Number.POSITIVE_INFINITY)
        .sort((a, b) => a.atMs - b.atMs);
      let highest = 0;
      for (const { offset } of order) {
        counters.seen((first + offset) >>> 0, 100);
        highest = Math.max(highest, offset);
      }
      assert.equal(counters.packetsReceived, order.length + 1);
      assert.equal(counters.packetsLost, highest - order.length);
      assert.equal(counters.position, (first + highest + 1) >>> 0);
    }),
  );
});
