import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ChunkEncoder, variantOf } from '../../src/node/workers/chunk-encoder.js';
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
