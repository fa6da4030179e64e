import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadGcm } from '../../src/node/workers/evp.js';
import { NODE_GCM, TAG_BYTES } from '../../src/trust/gcm.js';

const bytesOf = (lengthBytes: number) =>
  fc
    .uint8Array({ minLength: lengthBytes, maxLength: lengthBytes })
    .map((bytes) => Buffer.from(bytes));
const texts = fc.uint8Array({ minLength: 1, maxLength: 70_000 }).map((bytes) => Buffer.from(bytes));

test('property: what seals in place makes and takes what Node does, and puts back what is false', () => {
  const gcm = loadGcm();
  fc.assert(
    fc.property(bytesOf(32), bytesOf(12), texts, fc.nat(), (key, nonce, text, place) => {
      // As chunk memory is: shared among threads.
      const ours = Buffer.from(new SharedArrayBuffer(text.length + TAG_BYTES));
      text.copy(ours);
      const nodes = Buffer.concat([text, Buffer.alloc(TAG_BYTES)]);
      gcm.seal(key, nonce, ours, text.length);
      NODE_GCM.seal(key, nonce, nodes, text.length);
      assert.deepEqual(ours, nodes);
      ours[place % ours.length]! ^= 0x40;
      const spoilt = Buffer.from(ours);
      assert.equal(gcm.open(key, nonce, ours, ours.length), false);
      gcm.restore(key, nonce, ours, ours.length);
      assert.deepEqual(ours, spoilt);
      assert.equal(gcm.open(key, nonce, nodes, nodes.length), true);
      assert.deepEqual(nodes.subarray(0, text.length), text);
    }),
    { numRuns: 50 },
  );
});

test('what is too short is no seal, and one key after the other is used', () => {
  const gcm = loadGcm();
  const [nonce, short] = [Buffer.alloc(12), Buffer.alloc(TAG_BYTES - 1)];
  assert.equal(gcm.open(Buffer.alloc(32), nonce, short, short.length), false);
  assert.throws(() => gcm.seal(Buffer.alloc(32), nonce, Buffer.alloc(20), 5), RangeError);
  const sealed = [1, 2].map((fill) => {
    const bytes = Buffer.alloc(5 + TAG_BYTES);
    gcm.seal(Buffer.alloc(32, fill), nonce, bytes, 5);
    return bytes;
  });
  assert.notDeepEqual(sealed[0], sealed[1]);
  for (const [index, bytes] of sealed.entries()) {
    assert.equal(gcm.open(Buffer.alloc(32, index + 1), nonce, bytes, bytes.length), true);
  }
});
