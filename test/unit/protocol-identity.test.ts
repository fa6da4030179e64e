import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeIdentity,
  encodeIdentity,
  IdentityTag,
  MAX_IDENTITY_BYTES,
} from '../../src/protocol/identity.js';
import { identities } from './protocol-packets.js';

const decode = (...bytes: number[]) => decodeIdentity(Buffer.from(bytes), 0, bytes.length);

test('property: what is told comes across, in what a map request has room for', () => {
  fc.assert(
    fc.property(identities, (identity) => {
      const bytes = encodeIdentity(identity);
      assert(bytes.length <= MAX_IDENTITY_BYTES);
      assert.deepEqual(decodeIdentity(bytes, 0, bytes.length), identity);
    }),
  );
});

test('texts are cut and made harmless; the longest fill the room to the byte', () => {
  const long = 'x'.repeat(500);
  const bytes = encodeIdentity({
    mac: 'ff:ff:ff:ff:ff:ff',
    product: long,
    serial: long,
    diskModel: long,
    diskSerial: long,
    diskBytes: 2 ** 60,
    version: long,
    linkBitsPerSecond: 1e18,
    isFullDuplex: true,
    label: 'a\u001b[2J\nb',
  });
  const labelBytes = Buffer.from('a_[2J_b').length;
  assert.equal(bytes.length, MAX_IDENTITY_BYTES - 40 + labelBytes);
  assert.equal(decodeIdentity(bytes, 0, bytes.length)?.label, 'a_[2J_b');
});

test('items that nobody knows are passed over', () => {
  assert.deepEqual(decode(IdentityTag.isFullDuplex, 1, 1, 200, 2, 7, 7), { isFullDuplex: true });
});

test('what is out of order, twice, torn or not what it should be is refused', () => {
  const duplex = [IdentityTag.isFullDuplex, 1, 1];
  assert.equal(decode(...duplex, ...duplex), null);
  assert.equal(decode(...duplex, IdentityTag.serial, 1, 65), null);
  assert.equal(decode(0, 0), null);
  assert.equal(decode(IdentityTag.serial), null);
  assert.equal(decode(IdentityTag.serial, 2, 65), null);
  assert.equal(decode(IdentityTag.serial, 1, 27), null, 'a control character');
  assert.equal(decode(IdentityTag.serial, 41, ...Array(41).fill(65)), null, 'too long');
  assert.equal(decode(IdentityTag.mac, 5, 1, 2, 3, 4, 5), null);
  assert.equal(decode(IdentityTag.isFullDuplex, 1, 2), null);
  assert.equal(decode(IdentityTag.diskBytes, 8, ...Array(8).fill(255)), null);
});

test('property: no bytes make it throw', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void decode(...bytes)));
});
