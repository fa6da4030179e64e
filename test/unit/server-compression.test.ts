import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadOutcome } from '../../src/server/outputs.js';
import { Compression } from '../../src/server/source/compression.js';

const CHUNK_BYTES = 1_048_576;

const shrunk: ReadOutcome = {
  kind: 'data',
  digest: new Uint8Array(32),
  encodedLength: 100,
  encoding: 1,
  variant: 3,
};
const raw: ReadOutcome = { ...shrunk, encodedLength: CHUNK_BYTES, encoding: 0, variant: 0 };

test('repairs come encoded as the chunk went out, the pass as is best now', () => {
  const compression = new Compression('auto', 'wasm', 10, null);
  const first = compression.choose(1, false);
  assert.deepEqual(first, { level: 3, isRepeat: false, isPlain: false });
  compression.noteRead(1, CHUNK_BYTES, first, shrunk, false, 0);
  compression.noteRead(2, CHUNK_BYTES, first, raw, false, 0);
  assert.deepEqual(compression.choose(1, true), { level: 3, isRepeat: true, isPlain: false });
  assert.deepEqual(compression.choose(2, true), { level: 0, isRepeat: true, isPlain: false });
  assert.deepEqual(compression.choose(3, true), { level: 0, isRepeat: false, isPlain: true });
  assert.deepEqual(compression.choose(1, false), { level: 3, isRepeat: false, isPlain: false });
});

test('a chunk that came out otherwise goes as it is from then on, whatever is unused of it', () => {
  for (const setting of ['auto', 'off', 7] as const) {
    const compression = new Compression(setting, 'wasm', 10, null, true);
    compression.noteRead(1, CHUNK_BYTES, compression.choose(1, false), shrunk, false, 0);
    compression.forceRaw(1);
    for (const mends of [false, true]) {
      const choice = compression.choose(1, mends);
      assert.deepEqual(choice, { level: 0, isRepeat: true, isPlain: true });
      compression.noteRead(1, CHUNK_BYTES, choice, raw, false, 0);
    }
    assert.equal(compression.choose(2, false).isPlain, false);
  }
});

test('with a key, what older versions are compared with goes as it is from then on', () => {
  for (const setting of ['auto', 'off', 7] as const) {
    const compression = new Compression(setting, 'wasm', 10, null, true);
    const choice = compression.choose(1, true);
    assert.deepEqual(choice, { level: 0, isRepeat: false, isPlain: true });
    compression.noteRead(1, CHUNK_BYTES, choice, raw, false, 0);
    for (const mends of [false, true]) {
      const next = compression.choose(1, mends);
      assert.deepEqual(next, { level: 0, isRepeat: true, isPlain: true });
    }
  }
});

test('a level that was asked for is kept', () => {
  const compression = new Compression(19, 'wasm', 10, null);
  for (let now = 0; now < 5000; now++) {
    const choice = compression.choose(1, false);
    assert.equal(choice.level, 19);
    compression.noteRead(1, CHUNK_BYTES, choice, shrunk, true, now);
  }
});

test('off, and without zstd, nothing is compressed, and it says why', () => {
  const off = new Compression('off', 'wasm', 10, null);
  assert.deepEqual(off.choose(0, false), { level: 0, isRepeat: false, isPlain: false });
  assert.equal(off.pollEvent()?.text, 'compression off');
  assert.equal(off.pollEvent(), null);
  const without = new Compression(5, null, 10, null);
  assert.deepEqual(without.choose(0, false), { level: 0, isRepeat: false, isPlain: false });
  assert.equal(without.pollEvent()?.text, 'compression off: zstd is not installed');
});

test('says what it chose, and what it changed to once that has proven itself', () => {
  const compression = new Compression('auto', 'node', 10, 1_250_000);
  const events: number[] = [];
  for (let now = 0, level = 3; now < 4000; ) {
    const choice = compression.choose(0, false);
    ({ level } = choice);
    now += { 3: 5.2, 1: 3.6, 0: 1 }[level]!;
    const result = level > 0 ? shrunk : raw;
    compression.noteRead(0, CHUNK_BYTES, choice, result, level > 0, now);
    const event = compression.pollEvent();
    if (event !== null) events.push(event.level);
  }
  assert.deepEqual(events, [3, 1, 0]);
});
