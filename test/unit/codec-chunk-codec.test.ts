import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkCodec } from '../../src/codec/chunk-codec.js';
import { maxEncodedBytesOf } from '../../src/codec/seal.js';
import { loadZstd } from '../../src/node/workers/zstd.js';
import { digestOf } from '../digest.js';

const zstd = (await loadZstd())!;
const room = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, 0xee);

function codecOf(withZstd: boolean): ChunkCodec {
  const codec = new ChunkCodec(digestOf);
  if (withZstd) codec.useZstd(zstd);
  return codec;
}

function slotOf(chunk: Buffer): Buffer {
  const slot = Buffer.alloc(maxEncodedBytesOf(chunk.length), 0xdd);
  chunk.copy(slot);
  return slot;
}

/** Chunks with runs that shrink, and some without. */
const chunks = fc
  .array(
    fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc
        .tuple(fc.nat(255), fc.integer({ min: 1, max: 2000 }))
        .map(([byte, length]) => new Uint8Array(length).fill(byte)),
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) => Buffer.concat(parts));

const options = fc.record({
  wantsDigest: fc.constant(true),
  level: fc.constantFrom(0, 1, 3),
  isRepeat: fc.boolean(),
});

test('what is encoded is decoded to what it was, with the digest of what was read', () => {
  fc.assert(
    fc.property(chunks, options, (chunk, how) => {
      const slot = slotOf(chunk);
      const encoded = codecOf(true).encode(slot, chunk.length, how);
      if (encoded === null) {
        assert.ok(chunk.every((byte) => byte === 0));
        return;
      }
      const { encodedLength, encoding, digest } = encoded;
      assert.ok(encodedLength <= chunk.length);
      assert.deepEqual(Buffer.from(digest!), Buffer.from(digestOf(chunk)));
      const came = slot.subarray(0, encodedLength);
      const decoded = codecOf(true).decode(came, encoding, chunk.length, digest, room);
      assert(decoded !== null);
      assert.ok(decoded.bytes.equals(chunk));
      assert.deepEqual(Buffer.from(decoded.digest), Buffer.from(digest!));
    }),
  );
});

test('only a chunk of zeros needs no blocks', () => {
  const codec = codecOf(true);
  const how = { wantsDigest: true, level: 3, isRepeat: false };
  for (const length of [1, 5000, 2 ** 20 + 1]) {
    const chunk = Buffer.alloc(length);
    assert.equal(codec.encode(slotOf(chunk), length, how), null);
    chunk[length - 1] = 1;
    assert.notEqual(codec.encode(slotOf(chunk), length, how), null);
  }
});

test('what came damaged, cut or of another length is no chunk, and nothing throws', () => {
  const codec = codecOf(true);
  const how = { wantsDigest: true, level: 3, isRepeat: false };
  fc.assert(
    fc.property(chunks, fc.nat(), fc.integer({ min: 1, max: 255 }), (chunk, where, flip) => {
      const slot = slotOf(chunk);
      const encoded = codec.encode(slot, chunk.length, how);
      if (encoded === null) return;
      const { encodedLength, encoding, digest } = encoded;
      const came = slot.subarray(0, encodedLength);
      const decode = (bytes: Buffer, lengthBytes: number) =>
        codec.decode(bytes, encoding, lengthBytes, digest, room);
      assert.equal(decode(came.subarray(0, where % encodedLength), chunk.length), null);
      assert.equal(decode(came, chunk.length + 1), null);
      came[where % encodedLength]! ^= flip;
      const decoded = decode(came, chunk.length);
      // A frame has bits that mean nothing: what unpacks to the chunk is the chunk.
      assert.ok(decoded === null || decoded.bytes.equals(chunk));
    }),
  );
});

test('without zstd, chunks travel raw, and what is packed is known to be out of reach', () => {
  const codec = codecOf(false);
  const chunk = Buffer.alloc(5000, 'a');
  const encoded = codec.encode(slotOf(chunk), 5000, {
    wantsDigest: false,
    level: 3,
    isRepeat: false,
  });
  assert.deepEqual(encoded, { digest: null, encodedLength: 5000, encoding: 0, variant: 0 });
  assert.deepEqual([codec.canDecode(0), codec.canDecode(1)], [true, false]);
});

const unusedRuns = fc
  .array(fc.nat({ max: 299_999 }), { minLength: 2, maxLength: 12 })
  .map((places) => [...new Set(places)].sort((one, other) => one - other))
  .map((places) => places.slice(0, places.length & ~1));

test('what is unused is gone before the digest, and does not travel, compressed or not', () => {
  const random = Buffer.concat(
    Array.from({ length: 9375 }, (_, i) => digestOf(Buffer.from([i & 255, i >> 8]))),
  );
  fc.assert(
    fc.property(unusedRuns, fc.constantFrom(0, 3), (unused, level) => {
      const expected = Buffer.from(random);
      let unusedBytes = 0;
      for (let i = 0; i < unused.length; i += 2) {
        expected.fill(0, unused[i], unused[i + 1]);
        unusedBytes += unused[i + 1]! - unused[i]!;
      }
      const slot = slotOf(random);
      const how = { wantsDigest: true, level, isRepeat: false, unused };
      const encoded = codecOf(true).encode(slot, random.length, how)!;
      const { encodedLength, encoding, digest } = encoded;
      assert.deepEqual(Buffer.from(digest!), Buffer.from(digestOf(expected)));
      assert.ok(encodedLength < (random.length - unusedBytes) * 1.05 + 200);
      const came = slot.subarray(0, encodedLength);
      const decoded = codecOf(true).decode(came, encoding, random.length, digest, room);
      assert.ok(decoded!.bytes.equals(expected));
    }),
    { numRuns: 60 },
  );
});
