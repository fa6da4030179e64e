import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Run } from '../../src/protocol/run.js';
import { PendingSet, RecentSends } from '../../src/server/stream/pending-set.js';

const CHUNKS = 40;

/** What a pending set should be, done the slow way. */
class NaivePending {
  readonly chunks = new Set<number>();
  readonly sends: { chunk: number; at: number }[] = [];
  cursor = 0;
  pass = 0;

  /** @param asOf how many sends the client had seen the end of */
  add(ranges: readonly Run[], asOf: number, underway: readonly number[]): number {
    const before = this.chunks.size;
    const onTheWay = new Set(underway);
    for (const { chunk, at } of this.sends) if (at >= asOf) onTheWay.add(chunk);
    for (const { first, count } of ranges) {
      for (let chunk = first; chunk < Math.min(first + count, CHUNKS); chunk++) {
        if (!onTheWay.has(chunk)) this.chunks.add(chunk);
      }
    }
    return this.chunks.size - before;
  }

  take(): number {
    const sorted = [...this.chunks].sort((a, b) => a - b);
    const ahead = sorted.find((chunk) => chunk >= this.cursor);
    const chunk = ahead ?? sorted[0];
    if (chunk === undefined) return -1;
    if (ahead === undefined || this.pass === 0) this.pass++;
    this.chunks.delete(chunk);
    this.cursor = chunk + 1;
    return chunk;
  }
}

type Command =
  | { kind: 'add'; ranges: Run[]; behind: number; underway: number[] }
  | { kind: 'take' };

const chunkNumber = fc.nat({ max: CHUNKS + 3 });
const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant({ kind: 'take' as const }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        ranges: fc.array(fc.record({ first: chunkNumber, count: fc.nat({ max: 50 }) }), {
          maxLength: 4,
        }),
        behind: fc.nat({ max: 12 }),
        underway: fc.array(fc.nat({ max: CHUNKS - 1 }), { maxLength: 2 }),
      }),
    },
  ),
  { maxLength: 80 },
);

test('property: a pending set behaves like a set of numbers swept in order', () => {
  const starts = fc.constantFrom(0, 1, 0xfffffff0, 0x7ffffff0);
  fc.assert(
    fc.property(commands, starts, (list, start) => {
      const pending = new PendingSet(CHUNKS);
      const naive = new NaivePending();
      let sent = 0;
      for (const command of list) {
        if (command.kind === 'add') {
          const asOf = sent - command.behind;
          const position = start + asOf;
          const added = pending.add(command.ranges, position, command.underway);
          assert.equal(added, naive.add(command.ranges, asOf, command.underway));
        } else {
          const next = pending.peek();
          const chunk = pending.take();
          assert.equal(chunk, naive.take());
          assert.equal(chunk, next, 'peek tells what take gives');
          if (chunk >= 0) {
            pending.noteSent(chunk, start + sent);
            naive.sends.push({ chunk, at: sent++ });
          }
        }
        assert.equal(pending.count, naive.chunks.size);
        assert.equal(pending.cursor, naive.cursor);
        assert.equal(pending.pass, naive.pass);
        for (let chunk = 0; chunk < CHUNKS + 4; chunk++) {
          assert.equal(pending.has(chunk), naive.chunks.has(chunk));
        }
      }
    }),
  );
});

function takeAll(pending: PendingSet, position: number): number[] {
  const taken: number[] = [];
  for (let chunk = pending.take(); chunk >= 0; chunk = pending.take()) {
    pending.noteSent(chunk, position + taken.length);
    taken.push(chunk);
  }
  return taken;
}

test('any number of clients that ask for the same cost one pass', () => {
  const pending = new PendingSet(100);
  assert.equal(pending.add([{ first: 0, count: 100 }], 1, []), 100);
  for (let client = 0; client < 50; client++) {
    assert.equal(pending.add([{ first: client, count: 100 - client }], 1, []), 0);
  }
  assert.deepEqual(takeAll(pending, 1), [...Array(100).keys()]);
  assert.equal(pending.pass, 1);
});

test('clients that join late share one more partial pass', () => {
  const pending = new PendingSet(100);
  const everything = [{ first: 0, count: 100 }];
  let position = 1;
  let sent = 0;
  const take = (count: number) => {
    for (let i = 0; i < count; i++) {
      const chunk = pending.take();
      if (chunk < 0) return;
      pending.noteSent(chunk, position++);
      sent++;
    }
  };
  pending.add(everything, position, []);
  for (const share of [10, 20, 30]) {
    take(share);
    pending.add(everything, position, []);
  }
  take(1000);
  // The last to join missed the first 60 chunks; the others need nothing beyond those.
  assert.equal(sent, 160);
  assert.equal(pending.pass, 2);
});

test('what a client asks for while it is on its way is not sent again', () => {
  const pending = new PendingSet(10);
  pending.add([{ first: 0, count: 10 }], 1, []);
  takeAll(pending, 1);
  assert.equal(pending.add([{ first: 0, count: 10 }], 6, []), 5, 'as of position 6');
  assert.deepEqual(takeAll(pending, 11), [0, 1, 2, 3, 4]);
});

test('property: recent sends are those of the ring, newest first, down to a position', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 3 })), { maxLength: 30 }),
      fc.constantFrom(0, 5, 0xfffffff5),
      fc.nat({ max: 60 }),
      (capacity, sends, start, asOf) => {
        const recent = new RecentSends(capacity);
        const naive: { chunk: number; at: number }[] = [];
        let at = 0;
        for (const [chunk, step] of sends) {
          at += step;
          recent.add(chunk, start + at);
          naive.push({ chunk, at });
        }
        const expected = naive
          .slice(-capacity)
          .reverse()
          .filter((send) => send.at >= asOf)
          .map((send) => send.chunk);
        const seen: number[] = [];
        recent.forEachSince(start + asOf, (chunk) => seen.push(chunk));
        assert.deepEqual(seen, expected);
      },
    ),
  );
});
