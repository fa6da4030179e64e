import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ChunkEncoder, variantOf } from '../../src/node/workers/chunk-encoder.js';
import type { ChunkResult } from '../../src/node/workers/chunk-jobs.js';
import { Compression } from '../../src/node/workers/compression.js';
import { loadZstd } from '../../src/node/workers/zstd.js';

const zstd = (await loadZstd())!;
const CHUNK_BYTES = 1_048_576;

/** Bytes that look random and depend on `seed` alone. */
function noise(lengthBytes: number, seed: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 64 < lengthBytes; i++) {
    parts.push(createHash('sha512').update(`${seed} ${i}`).digest());
  }
  return Buffer.concat(parts).subarray(0, lengthBytes);
}

const text = (seed: number): Buffer =>
  Buffer.from(`line ${seed} of a log that repeats itself\n`.repeat(32_000)).subarray(
    0,
    CHUNK_BYTES,
  );

test('a chunk that shrinks travels compressed, and unpacks to what it was', () => {
  const encoder = new ChunkEncoder(zstd);
  const chunk = text(1);
  const slot = Buffer.from(chunk);
  const { encodedLength, encoding, variant } = encoder.encode(slot, 3, false);
  assert.deepEqual({ encoding, variant }, { encoding: 1, variant: 3 });
  assert.ok(encodedLength < CHUNK_BYTES / 10);
  const output = Buffer.alloc(CHUNK_BYTES);
  assert.ok(zstd.decompress(slot.subarray(0, encodedLength), output));
  assert.ok(output.equals(chunk));
});

test('a chunk that does not shrink travels raw, untouched', () => {
  const encoder = new ChunkEncoder(zstd);
  for (const lengthBytes of [1, 100, 5000, CHUNK_BYTES]) {
    const chunk = noise(lengthBytes, lengthBytes);
    const slot = Buffer.from(chunk);
    assert.deepEqual(encoder.encode(slot, 3, false), {
      encodedLength: lengthBytes,
      encoding: 0,
      variant: 0,
    });
    assert.ok(slot.equals(chunk));
  }
});

test('a chunk of which a part shrinks is found, wherever the part lies', () => {
  const partBytes = CHUNK_BYTES / 8;
  for (const at of [0, CHUNK_BYTES / 2, CHUNK_BYTES - partBytes]) {
    const chunk = noise(CHUNK_BYTES, at);
    chunk.fill('a', at, at + partBytes);
    assert.equal(new ChunkEncoder(zstd).encode(chunk, 3, false).encoding, 1);
  }
});

test('after many chunks that do not shrink, those that do are soon found again', () => {
  const encoder = new ChunkEncoder(zstd);
  const random = noise(CHUNK_BYTES, 7);
  for (let i = 0; i < 300; i++) encoder.encode(random, 1, false);
  const found = Array.from({ length: 20 }, (_, i) => encoder.encode(text(i), 1, false).encoding);
  assert.ok(found.slice(8).every((encoding) => encoding === 1));
});

test('a repeat comes out the same to the byte, whatever came in between', () => {
  const encoder = new ChunkEncoder(zstd);
  const first = text(5);
  const { encodedLength } = encoder.encode(first, 3, false);
  const random = noise(CHUNK_BYTES, 3);
  for (let i = 0; i < 300; i++) encoder.encode(random, 1, false);
  const again = text(5);
  assert.equal(encoder.encode(again, 3, true).encodedLength, encodedLength);
  assert.ok(again.subarray(0, encodedLength).equals(first.subarray(0, encodedLength)));
});

test('levels have variants of their own within four bits', () => {
  for (let level = 1; level <= 15; level++) assert.equal(variantOf(level), level);
  assert.equal(variantOf(19), 15);
});

const shrunk: ChunkResult = {
  kind: 'data',
  digest: null,
  encodedLength: 100,
  encoding: 1,
  variant: 3,
};
const raw: ChunkResult = { ...shrunk, encodedLength: CHUNK_BYTES, encoding: 0, variant: 0 };

test('repairs come encoded as the chunk went out, the pass as is best now', () => {
  const compression = new Compression('auto', 'wasm', 10, null);
  const first = compression.choose(1, false);
  assert.deepEqual(first, { level: 3, isRepeat: false });
  compression.noteRead(1, CHUNK_BYTES, first, shrunk, false, 0);
  compression.noteRead(2, CHUNK_BYTES, first, raw, false, 0);
  assert.deepEqual(compression.choose(1, true), { level: 3, isRepeat: true });
  assert.deepEqual(compression.choose(2, true), { level: 0, isRepeat: true });
  assert.deepEqual(compression.choose(3, true), { level: 3, isRepeat: false });
  assert.deepEqual(compression.choose(1, false), { level: 3, isRepeat: false });
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
  assert.deepEqual(off.choose(0, false), { level: 0, isRepeat: false });
  assert.equal(off.pollEvent()?.text, 'compression off');
  assert.equal(off.pollEvent(), null);
  const without = new Compression(5, null, 10, null);
  assert.deepEqual(without.choose(0, false), { level: 0, isRepeat: false });
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
