import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_HEADER_BYTES, Encoding, kindOf, Space } from '../../src/protocol/block.js';
import { ChunkSealer, SEAL_BYTES, type SealAddress } from '../../src/trust/seal.js';
import { SealRegister } from '../../src/trust/seal-register.js';
import { writeBlockHeader } from './block-header.js';

const sealer = new ChunkSealer(Buffer.alloc(32, 9));
const RAW = kindOf(Space.image, Encoding.raw, 0);
const ZSTD_3 = kindOf(Space.image, Encoding.zstd, 3);

function sealed(text: Buffer, chunk: number, kindByte: number): [Buffer, SealAddress] {
  const bytes = Buffer.concat([text, Buffer.alloc(SEAL_BYTES)]);
  const sealedBytes = sealer.seal(bytes, text.length, chunk, kindByte);
  return [bytes, { chunk, sealedBytes, kindByte }];
}

const texts = fc.uint8Array({ minLength: 1, maxLength: 400 }).map((bytes) => Buffer.from(bytes));
const chunks = fc.integer({ min: 0, max: 0xffff_ffff });
const kinds = fc.nat({ max: 255 });

test('property: a sealed chunk opens to what it was, with 16 bytes more on its way', () => {
  fc.assert(
    fc.property(texts, chunks, kinds, (text, chunk, kind) => {
      const [bytes, address] = sealed(text, chunk, kind);
      const wire = Buffer.from(bytes);
      assert.equal(address.sealedBytes, text.length + 16);
      assert.equal(sealer.open(bytes, address), text.length);
      assert.deepEqual(bytes.subarray(0, text.length), text);
      sealer.restore(bytes, address);
      assert.deepEqual(bytes, wire);
    }),
  );
});

test('property: the nonce is two words of the block headers, and zeros', () => {
  fc.assert(
    fc.property(texts, chunks, kinds, (text, chunk, kind) => {
      const [bytes, { sealedBytes }] = sealed(text, chunk, kind);
      const packet = Buffer.alloc(BLOCK_HEADER_BYTES);
      const space = (kind >> 6) as 0;
      const encoding = ((kind >> 4) & 3) as 0;
      const header = { space, encoding, variant: kind & 15, chunk, encodedLength: sealedBytes };
      writeBlockHeader(packet, 0, { ...header, session: 1n, block: 2, position: 3 }, 0);
      const words = [packet.subarray(16, 20), packet.subarray(24, 28), Buffer.alloc(4)];
      const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32, 9), Buffer.concat(words));
      assert.deepEqual(bytes.subarray(0, -16), cipher.update(text));
    }),
  );
});

test('every flipped bit and every truncation is refused, and all bytes stay as they came', () => {
  const [bytes, address] = sealed(Buffer.from('a chunk of the image'), 7, ZSTD_3);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    const before = Buffer.from(damaged);
    assert.equal(sealer.open(damaged, address), -1, `bit ${bit}`);
    assert.deepEqual(damaged, before);
  }
  for (let end = 0; end < bytes.length; end++) {
    assert.equal(sealer.open(Buffer.from(bytes), { ...address, sealedBytes: end }), -1);
    assert.equal(sealer.open(Buffer.from(bytes.subarray(0, end)), address), -1);
  }
  assert.equal(sealer.open(Buffer.from(bytes), address), 20);
});

test('a seal is of one chunk, one space, one encoding, one session', () => {
  const [bytes, address] = sealed(Buffer.from('a chunk of the image'), 7, ZSTD_3);
  const others: Partial<SealAddress>[] = [
    { chunk: 6 },
    { chunk: 7 + 2 ** 31 },
    { kindByte: RAW },
    { kindByte: kindOf(Space.image, Encoding.zstd, 4) },
    { kindByte: kindOf(Space.mapPage, Encoding.zstd, 3) },
  ];
  for (const other of others) {
    assert.equal(sealer.open(Buffer.from(bytes), { ...address, ...other }), -1);
  }
  assert.equal(new ChunkSealer(Buffer.alloc(32, 8)).open(Buffer.from(bytes), address), -1);
});

const addressOf = (chunk: number, kindByte: number, sealedBytes: number): SealAddress => ({
  chunk,
  kindByte,
  sealedBytes,
});

test('property: whatever is asked, no two texts leave under one nonce', () => {
  interface Ask {
    chunk: number;
    kindByte: number;
    sealedBytes: number;
    text: number;
  }
  const asks: fc.Arbitrary<Ask[]> = fc.array(
    fc.record({
      chunk: fc.constantFrom(0, 1, 4095, 4096),
      kindByte: fc.constantFrom(RAW, ZSTD_3, ZSTD_3 + 1),
      sealedBytes: fc.constantFrom(17, 18, 0xff_ffff),
      text: fc.nat({ max: 2 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(asks, (list) => {
      const register = new SealRegister(4097);
      const left = new Map<string, number>();
      for (const { chunk, kindByte, sealedBytes, text } of list) {
        const tag = Buffer.alloc(16, text);
        const nonce = `${chunk} ${kindByte} ${sealedBytes}`;
        const isAdmitted = register.admit(addressOf(chunk, kindByte, sealedBytes), tag);
        if (isAdmitted) assert.equal(left.get(nonce) ?? text, text, nonce);
        if (isAdmitted) left.set(nonce, text);
      }
    }),
    { numRuns: 2000 },
  );
});

test('the register takes the first seal of a chunk, the same again, and the way out', () => {
  const register = new SealRegister(10_000);
  const [one, two] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
  const packed = addressOf(5000, ZSTD_3, 300);
  assert(register.admit(packed, one));
  assert(register.admit(packed, one));
  assert(!register.admit(packed, two));
  assert(!register.admit(addressOf(5000, ZSTD_3, 301), two));
  assert(!register.admit(addressOf(5000, ZSTD_3 + 1, 300), one));
  const raw = addressOf(5000, RAW, 1016);
  assert(register.admit(raw, two));
  assert(register.admit(raw, two));
  assert(!register.admit(raw, one), 'the image changed');
  assert(!register.admit(packed, one), 'never back');
  assert(register.admit(addressOf(5001, RAW, 1016), one));
  assert.throws(() => register.admit(addressOf(10_000, RAW, 1016), one), RangeError);
});
