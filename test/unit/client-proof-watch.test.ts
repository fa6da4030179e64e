import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProofWatch } from '../../src/client/choice/server-claims.js';

const MIB = 1 << 20;
const HERE = '10.0.0.1';
const THERE = '10.0.0.2';

/**
 * How long a server is believed of which so much comes each second, and nothing is proven.
 * @param owedBytes length of a chunk, once chunks are wanted
 */
function believedSeconds(bytesPerSecond: number, owedBytes: number, giveUpMs = 1e9): number {
  const watch = new ProofWatch(giveUpMs, 0);
  for (let seconds = 0; ; seconds++) {
    const now = seconds * 1000;
    watch.note(HERE, { count: 0, wireBytes: seconds * bytesPerSecond, owedBytes }, false, now, now);
    if (watch.isTaken(THERE, HERE, now)) return seconds;
  }
}

test('a stream that is too slow for a chunk is believed until some should have come', () => {
  assert.equal(believedSeconds(10 * MIB, MIB), 10);
  // --rate 1M: a chunk takes eight seconds, and more where packets are lost.
  assert.equal(believedSeconds(125_000, MIB), 34);
  assert.equal(believedSeconds(125_000, 8 * MIB), 60, 'but not for ever');
  assert.equal(believedSeconds(125_000, 0), 10, 'the map is small');
  assert.equal(believedSeconds(100, MIB), 10, 'this is no stream');
});

test('who gives up soon is in no doubt while something comes', () => {
  assert.equal(believedSeconds(10 * MIB, MIB, 3000), 10);
});

test('others are asked less and less often, and people told once of each server', () => {
  const watch = new ProofWatch(Number.POSITIVE_INFINITY, 0);
  const proofs = { count: 0, wireBytes: 0, owedBytes: MIB };
  const asked: number[] = [];
  let told = 0;
  for (let seconds = 0; seconds < 400; seconds++) {
    const now = seconds * 1000;
    watch.note(HERE, proofs, false, now, now);
    const question = watch.takeQuestion(now);
    if (question !== 'none') asked.push(seconds);
    if (question === 'untold') told++;
  }
  assert.deepEqual(asked, [10, 12, 14, 16, 20, 28, 44, 76, 140, 230, 320]);
  assert.equal(told, 1);
  watch.note(HERE, { ...proofs, count: 1 }, false, 400_000, 400_000);
  assert.equal(watch.takeQuestion(409_000), 'none');
  watch.note(HERE, { ...proofs, count: 1 }, false, 410_000, 410_000);
  assert.equal(watch.takeQuestion(410_000), 'told');
});
