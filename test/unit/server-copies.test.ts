import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Copies } from '../../src/server/clients/copies.js';

test('of the machines at one address one counts, and elsewhere each', () => {
  const copies = new Copies();
  assert.deepEqual(
    [1n, 2n, 1n, 3n].map((machine) => copies.add(machine, '10.0.0.1')),
    [true, false, false, false],
  );
  assert.equal(copies.add(4n, '10.0.0.2'), true);
  assert.equal(copies.count, 2);
  assert.deepEqual([copies.add(5n, null), copies.add(6n, null), copies.count], [true, true, 4]);
});

test('while one machine of an address holds a copy, it counts', () => {
  const copies = new Copies();
  copies.add(1n, '10.0.0.1');
  copies.add(2n, '10.0.0.1');
  assert.deepEqual([copies.remove(1n), copies.count], [true, 1]);
  assert.deepEqual([copies.remove(2n), copies.count], [true, 0]);
  assert.deepEqual([copies.remove(2n), copies.count], [false, 0]);
});

test('property: it counts the addresses of those that hold one, and those without', () => {
  const step = fc.record({
    machine: fc.bigInt({ min: 0n, max: 9n }),
    address: fc.constantFrom(null, 'a', 'b', 'c'),
    isRemoved: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const copies = new Copies();
      const model = new Map<bigint, string | null>();
      for (const { machine, address, isRemoved } of steps) {
        if (isRemoved) assert.equal(copies.remove(machine), model.delete(machine));
        else {
          copies.add(machine, address);
          model.set(machine, address);
        }
        const held = [...model.values()];
        const own = held.filter((at) => at === null).length;
        assert.equal(copies.count, own + new Set(held.filter((at) => at !== null)).size);
      }
    }),
  );
});
