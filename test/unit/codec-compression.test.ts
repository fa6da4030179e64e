import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Compression, variantOf } from '../../src/codec/compression.js';
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
  const compression = new Compression(zstd);
  const chunk = text(1);
  const slot = Buffer.from(chunk);
  const { encodedLength, encoding, variant } = compression.pack(slot, {
    level: 3,
    isRepeat: false,
  });
  assert.deepEqual({ encoding, variant }, { encoding: 1, variant: 3 });
  assert.ok(encodedLength < CHUNK_BYTES / 10);
  const output = Buffer.alloc(CHUNK_BYTES);
  assert.ok(compression.unpack(slot.subarray(0, encodedLength), encoding, output));
  assert.ok(output.equals(chunk));
});

test('a chunk that does not shrink travels raw, untouched', () => {
  const compression = new Compression(zstd);
  for (const lengthBytes of [1, 100, 5000, CHUNK_BYTES]) {
    const chunk = noise(lengthBytes, lengthBytes);
    const slot = Buffer.from(chunk);
    assert.deepEqual(compression.pack(slot, { level: 3, isRepeat: false }), {
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
    assert.equal(new Compression(zstd).pack(chunk, { level: 3, isRepeat: false }).encoding, 1);
  }
});

test('after many chunks that do not shrink, those that do are soon found again', () => {
  const compression = new Compression(zstd);
  const random = noise(CHUNK_BYTES, 7);
  for (let i = 0; i < 300; i++) compression.pack(random, { level: 1, isRepeat: false });
  const found = Array.from(
    { length: 20 },
    (_, i) => compression.pack(text(i), { level: 1, isRepeat: false }).encoding,
  );
  assert.ok(found.slice(8).every((encoding) => encoding === 1));
});

test('a repeat comes out the same to the byte, whatever came in between', () => {
  const compression = new Compression(zstd);
  const first = text(5);
  const { encodedLength } = compression.pack(first, { level: 3, isRepeat: false });
  const random = noise(CHUNK_BYTES, 3);
  for (let i = 0; i < 300; i++) compression.pack(random, { level: 1, isRepeat: false });
  const again = text(5);
  assert.equal(compression.pack(again, { level: 3, isRepeat: true }).encodedLength, encodedLength);
  assert.ok(again.subarray(0, encodedLength).equals(first.subarray(0, encodedLength)));
});

test('levels have variants of their own within four bits', () => {
  for (let level = 1; level <= 15; level++) assert.equal(variantOf(level), level);
  assert.equal(variantOf(19), 15);
});
