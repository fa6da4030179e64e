import assert from 'node:assert/strict';
import { createCipheriv, createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { openInPlace, restoreSealed, sealInPlace, TAG_BYTES } from '../../src/trust/gcm.js';

interface Vector {
  number: number;
  key: string;
  nonce: string;
  beside: string;
  text: string;
  sealed: string;
  tag: string;
}

const TEXT =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const SEALED =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';
const KEY = 'feffe9928665731c6d6a8f9467308308'.repeat(2);

/**
 * McGrew and Viega, The Galois/Counter Mode of Operation: those with 256-bit keys and 96-bit
 * nonces.
 */
const VECTORS: Vector[] = [
  {
    number: 13,
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    beside: '',
    text: '',
    sealed: '',
    tag: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    number: 14,
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    beside: '',
    text: '00'.repeat(16),
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    number: 15,
    key: KEY,
    nonce: 'cafebabefacedbaddecaf888',
    beside: '',
    text: TEXT,
    sealed: SEALED,
    tag: 'b094dac5d93471bdec1a502270e3cc6c',
  },
  {
    number: 16,
    key: KEY,
    nonce: 'cafebabefacedbaddecaf888',
    beside: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    text: TEXT.slice(0, 120),
    sealed: SEALED.slice(0, 120),
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
];

const hex = (text: string) => Buffer.from(text, 'hex');

for (const { number, key, nonce, beside, text, sealed, tag } of VECTORS) {
  test(`test case ${number} of the standard comes out, and opens again`, () => {
    const length = text.length / 2;
    const bytes = Buffer.concat([hex(text), Buffer.alloc(TAG_BYTES)]);
    sealInPlace(hex(key), hex(nonce), bytes, length, hex(beside));
    assert.equal(bytes.toString('hex'), sealed + tag);
    assert(openInPlace(createSecretKey(hex(key)), hex(nonce), bytes, bytes.length, hex(beside)));
    assert.equal(bytes.toString('hex', 0, length), text);
  });
}

const key = Buffer.alloc(32, 5);
const nonce = Buffer.alloc(12, 6);
const beside = Buffer.from('beside');

test('property: in pieces or at once, Node seals the same', () => {
  const lengths = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.constantFrom(16_383, 16_384, 16_385, 32_768, 100_000),
  );
  fc.assert(
    fc.property(lengths, fc.nat({ max: 255 }), (length, fill) => {
      const text = Buffer.alloc(length, fill);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(beside);
      const whole = [cipher.update(text), cipher.final(), cipher.getAuthTag()];
      const room = Buffer.alloc(length + TAG_BYTES + 3, fill);
      sealInPlace(key, nonce, room, length, beside);
      assert.deepEqual(room.subarray(0, length + TAG_BYTES), Buffer.concat(whole));
      assert.deepEqual(room.subarray(length + TAG_BYTES), Buffer.alloc(3, fill), 'nothing behind');
    }),
  );
});

test('a false seal is not taken, and can be restored to the last bit', () => {
  const sealed = Buffer.alloc(40_000 + TAG_BYTES, 1);
  sealInPlace(key, nonce, sealed, 40_000);
  for (const at of [0, 16_384, 39_999, 40_000, 40_015]) {
    const damaged = Buffer.from(sealed);
    damaged[at]! ^= 0x80;
    const before = Buffer.from(damaged);
    assert(!openInPlace(key, nonce, damaged, damaged.length));
    restoreSealed(key, nonce, damaged, damaged.length);
    assert.deepEqual(damaged, before);
  }
});

test('without room for a tag nothing is sealed, and nothing so short is opened', () => {
  assert.throws(() => sealInPlace(key, nonce, Buffer.alloc(20), 5), RangeError);
  for (let length = 0; length < TAG_BYTES; length++) {
    assert(!openInPlace(key, nonce, Buffer.alloc(40), length));
  }
  assert(!openInPlace(key, nonce, Buffer.alloc(40), 41));
});
