import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Run } from '../../src/protocol/run.js';
import { type Repair, RepairQueue } from '../../src/server/stream/repair-queue.js';

const BLOCKS = 20;

function wantedOf(queue: RepairQueue): Map<number, number[]> {
  const wanted = new Map<number, number[]>();
  for (const { chunk, blocks } of queue.values()) {
    wanted.set(
      chunk,
      [...blocks].sort((a, b) => a - b),
    );
  }
  return wanted;
}

const block = (first: number): Run[] => [{ first, count: 1 }];
const first = (queue: RepairQueue): Repair => queue.values().next().value!;

interface Step {
  kind: 'add' | 'send' | 'drop';
  chunk: number;
  runs: Run[];
  behind: number;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('add', 'add', 'send', 'drop'),
    chunk: fc.nat({ max: 5 }),
    runs: fc.array(fc.record({ first: fc.nat({ max: BLOCKS + 4 }), count: fc.nat({ max: 30 }) }), {
      maxLength: 3,
    }),
    behind: fc.nat({ max: 8 }),
  }),
  { maxLength: 60 },
);

test('property: repairs behave like a set of blocks, less what went out since the client looked', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const queue = new RepairQueue();
      const wanted = new Map<number, Set<number>>();
      const sentAt = new Map<string, number>();
      let position = 100;
      for (const { kind, chunk, runs, behind } of list) {
        if (kind === 'add') {
          const asOf = position - behind;
          const blocks = wanted.get(chunk) ?? new Set();
          for (const run of runs) {
            for (let at = run.first; at < Math.min(run.first + run.count, BLOCKS); at++) {
              const last = sentAt.get(`${chunk}/${at}`);
              if (last === undefined || last < asOf) blocks.add(at);
            }
          }
          if (blocks.size > 0) wanted.set(chunk, blocks);
          assert.equal(queue.add(chunk, runs, asOf, BLOCKS), blocks.size);
        } else if (kind === 'drop') {
          queue.drop(chunk);
          wanted.delete(chunk);
        } else if (!queue.isEmpty) {
          const repair = first(queue);
          const [next] = repair.blocks;
          queue.noteSent(repair, next!, position);
          sentAt.set(`${repair.chunk}/${next}`, position++);
          const blocks = wanted.get(repair.chunk)!;
          blocks.delete(next!);
          if (blocks.size === 0) wanted.delete(repair.chunk);
        }
        const expected = new Map(
          [...wanted].map(([at, blocks]) => [at, [...blocks].sort((a, b) => a - b)]),
        );
        assert.deepEqual(wantedOf(queue), expected);
        assert.equal(queue.size, expected.size);
        assert.equal(queue.isEmpty, expected.size === 0);
      }
    }),
  );
});

test('a second client that lacks the same block costs nothing; one that asks later does', () => {
  const queue = new RepairQueue();
  assert.equal(queue.add(7, block(3), 50, BLOCKS), 1);
  assert.equal(queue.add(7, block(3), 50, BLOCKS), 1);
  queue.noteSent(first(queue), 3, 60);
  assert.equal(queue.add(7, block(3), 55, BLOCKS), 0, 'position 60 is still on its way to it');
  assert.equal(queue.add(7, block(3), 61, BLOCKS), 1, 'position 60 did not reach it');
});

test('repairs come in the order in which chunks were first asked for', () => {
  const queue = new RepairQueue();
  for (const chunk of [9, 2, 5, 9]) queue.add(chunk, block(chunk), 1, BLOCKS);
  assert.deepEqual([...wantedOf(queue).keys()], [9, 2, 5]);
});

test('a full queue says so, and still takes blocks of the chunks it has', () => {
  const queue = new RepairQueue();
  let chunk = 0;
  while (queue.add(chunk, block(0), 1, BLOCKS) >= 0) chunk++;
  assert(chunk >= 256 && chunk <= 65_536, `${chunk} chunks`);
  assert.equal(queue.size, chunk);
  assert.equal(queue.add(0, block(1), 1, BLOCKS), 2);
  queue.drop(0);
  assert.equal(queue.add(chunk, block(0), 1, BLOCKS), 1);
});

test('memory of repairs sent is bounded: what is forgotten is only sent once more', () => {
  const queue = new RepairQueue();
  for (let chunk = 0; chunk < 5000; chunk++) {
    queue.add(chunk, block(0), 1, BLOCKS);
    queue.noteSent(first(queue), 0, 10);
  }
  assert.equal(queue.add(4999, block(0), 1, BLOCKS), 0);
  assert.equal(queue.add(0, block(0), 1, BLOCKS), 1);
});
