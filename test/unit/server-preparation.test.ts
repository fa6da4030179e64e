import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import type { ReadOutcome } from '../../src/server/outputs.js';
import { Preparation } from '../../src/server/source/preparation.js';
import { digestOf } from '../digest.js';

const CHUNKS = 20;

const dataOf = (chunk: number): ReadOutcome => {
  const digest = digestOf(Buffer.of(chunk));
  return { kind: 'data', digest, encodedLength: 16, encoding: 0, variant: 0 };
};

function preparing(readers: number, idleCores: () => number) {
  const map = new BlockMapBuilder(new Geometry(CHUNKS * 16, 16), digestOf);
  const preparation = new Preparation({ map, readers: () => readers, idleCores });
  return { map, preparation };
}

test('nothing is read before it begins; then each chunk once, so many at a time', () => {
  const { map, preparation } = preparing(3, () => 0);
  assert.equal(preparation.poll(0, false), -1);
  preparation.begin();
  const running: number[] = [];
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    for (let at = preparation.poll(0, false); at >= 0; at = preparation.poll(0, false)) {
      running.push(at);
    }
    assert(running.length <= 3);
    assert.equal(preparation.takeComplete(), false);
    assert.equal(running.shift(), chunk);
    preparation.ended();
    assert.equal(preparation.learn(chunk, dataOf(chunk)), true);
  }
  assert.equal(map.isComplete, true);
  assert.equal(preparation.takeComplete(), true);
  assert.equal(preparation.takeComplete(), false, 'it is told once');
});

test('while the network is served and no core is idle, preparing waits; then it goes on', () => {
  let idle = 0;
  const { preparation } = preparing(1, () => idle);
  preparation.begin();
  assert.equal(preparation.poll(1000, true), -1);
  assert(preparation.dueMs > 1000 && preparation.dueMs < 1200);
  idle = 1;
  assert.equal(preparation.poll(preparation.dueMs - 1, true), -1, 'not each look costs a count');
  assert.equal(preparation.poll(preparation.dueMs, true), 0, 'beside the stream, on the idle core');
  preparation.ended();
  idle = 0;
  assert.equal(preparation.poll(2000, true), -1);
  assert.equal(preparation.poll(2001, false), 1, 'no chunk is read for the network any more');
});

test('what is read for the network is learnt, and held against what was learnt', () => {
  const { map, preparation } = preparing(1, () => 1);
  preparation.begin();
  assert.equal(preparation.learn(0, dataOf(0)), true);
  assert.equal(preparation.learn(1, { kind: 'zero' }), true);
  assert.equal(preparation.poll(0, false), 2, 'it need not be read to be known');
  assert.equal(preparation.learn(0, dataOf(0)), true);
  assert.equal(preparation.learn(0, dataOf(7)), false);
  assert.equal(preparation.learn(0, { kind: 'zero' }), false);
  assert.equal(preparation.learn(1, dataOf(1)), false);
  assert.equal(preparation.learn(1, { kind: 'failed', reason: 'EIO' }), true, 'nothing is known');
  assert.equal(map.isKnown(1), true);
});

test('when the map was made by what the network read, no core is waited for any more', () => {
  const { map, preparation } = preparing(1, () => 0);
  preparation.begin();
  assert.equal(preparation.poll(1000, true), -1);
  for (let chunk = 0; chunk < CHUNKS; chunk++) preparation.learn(chunk, dataOf(chunk));
  assert.equal(map.isComplete, true);
  assert.equal(preparation.poll(preparation.dueMs, true), -1);
  assert.equal(preparation.dueMs, Number.POSITIVE_INFINITY, 'a time that is past would never end');
});

test('what could not be read is tried again, ever less often, until it can be', () => {
  const { map, preparation } = preparing(2, () => 1);
  preparation.begin();
  const failed: ReadOutcome = { kind: 'failed', reason: 'EIO' };
  const triesMs: number[] = [];
  for (let now = 0; !map.isComplete && now < 100_000; now += 100) {
    const chunk = preparation.poll(now, false);
    if (chunk < 0) continue;
    preparation.ended();
    if (chunk === 7) triesMs.push(now);
    preparation.learn(chunk, chunk === 7 && triesMs.length < 4 ? failed : dataOf(chunk));
  }
  assert.equal(map.isComplete, true);
  const pausesMs = triesMs.slice(1).map((ms, index) => ms - triesMs[index]!);
  assert.ok(pausesMs[0]! >= 5000 && pausesMs[1]! >= 2 * 5000, pausesMs.join());
  assert.ok(pausesMs[2]! < 25_000, pausesMs.join());
  preparation.poll(200_000, false);
  assert.equal(preparation.dueMs, Number.POSITIVE_INFINITY, 'nothing is left to look at');
});
