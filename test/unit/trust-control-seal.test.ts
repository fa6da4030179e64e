import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeImageDescription } from '../../src/protocol/from-server.js';
import {
  HEADER_BYTES,
  MAX_CONTROL_PACKET_BYTES,
  packetLength,
  packetSession,
  packetType,
} from '../../src/protocol/packet.js';
import {
  CONTROL_SEAL_BYTES,
  countOf,
  isSealed,
  MAX_SEALED_PACKET_BYTES,
  openPacket,
  PacketSealer,
  senderOf,
} from '../../src/trust/control-seal.js';
import { controlKeysOf } from '../../src/trust/session-keys.js';
import { CODECS } from './protocol-packets.js';

const SECRET = Buffer.alloc(32, 3);
const keys = controlKeysOf(SECRET, 77n);
const sealerFrom = (nonce: string) => new PacketSealer(keys.requests, Buffer.from(nonce, 'hex'));

for (const codec of CODECS) {
  test(`property: ${codec.name} comes out of its seal as it went in`, () => {
    const sealer = sealerFrom('0102030405060000000000ff');
    fc.assert(
      fc.property(codec.values, (value) => {
        const plain = codec.encode(value);
        const before = Buffer.from(plain);
        const count = sealer.nextCount;
        const sealed = sealer.seal(plain);
        assert.deepEqual(plain, before);
        assert.equal(sealed.length, plain.length + CONTROL_SEAL_BYTES);
        assert(isSealed(sealed) && !isSealed(plain));
        assert.equal(packetLength(sealed, 0, sealed.length), sealed.length);
        assert.equal(packetType(sealed, 0), packetType(plain, 0));
        assert.equal(packetSession(sealed, 0), packetSession(plain, 0));
        assert.deepEqual([senderOf(sealed), countOf(sealed)], [0x0102_0304_0506, count]);
        const wire = Buffer.from(sealed);
        assert.deepEqual(openPacket(keys.requests, sealed), plain);
        assert.deepEqual(sealed, wire);
      }),
    );
  });

  test(`every flipped bit and every truncation of a sealed ${codec.name} is refused`, () => {
    const [value] = fc.sample(codec.values, { numRuns: 1, seed: 1 });
    const sealed = sealerFrom('0102030405060000000000ff').seal(codec.encode(value!));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const damaged = Buffer.from(sealed);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(openPacket(keys.requests, damaged), null, `bit ${bit}`);
    }
    for (let end = 0; end < sealed.length; end++) {
      const short = Buffer.from(sealed.subarray(0, end));
      assert.equal(openPacket(keys.requests, short), null);
      // A length that agrees with what is there helps nobody.
      if (end >= HEADER_BYTES) short.writeUInt16BE(end, 4);
      assert.equal(openPacket(keys.requests, short), null);
    }
    assert.equal(openPacket(keys.requests, Buffer.concat([sealed, Buffer.alloc(1)])), null);
  });
}

const PLAIN = encodeImageDescription({
  session: 77n,
  client: 5n,
  imageSize: 123_456_789,
  chunkSize: 65_536,
  blockSize: 1400,
  mapId: Buffer.alloc(32, 0x6d),
  group: '225.0.20.10',
  port: 16_000,
  otherSessions: 0,
  position: 1,
  sectorSizeBytes: 512,
  streamAddress: '',
  requestWindowMs: 0,
  reportIntervalMs: 20,
  name: 'payroll-and-more.img',
});

test('of a sealed description nothing is in the open but type, length and session', () => {
  const sealed = sealerFrom('000000000000000000000000').seal(PLAIN);
  // The header and the nonce are the sealer's own.
  const hidden = sealed.subarray(HEADER_BYTES + 12);
  for (let at = HEADER_BYTES; at + 4 <= PLAIN.length; at++) {
    assert(!hidden.includes(PLAIN.subarray(at, at + 4)), `bytes from ${at} on`);
  }
});

test('no other key opens a packet: not of another direction, purpose, session or operator', () => {
  const sealed = sealerFrom('000000000000000000000001').seal(PLAIN);
  const others = [
    keys.answers,
    keys.group,
    controlKeysOf(SECRET, 78n).requests,
    controlKeysOf(SECRET, 0n).requests,
    controlKeysOf(Buffer.alloc(32, 4), 77n).requests,
  ];
  for (const key of others) assert.equal(openPacket(key, sealed), null);
  assert.notEqual(openPacket(keys.requests, sealed), null);
});

test('a plain packet is no sealed one', () => {
  assert.equal(openPacket(keys.requests, PLAIN), null);
});

test('each packet has a nonce of its own, also where the count wraps', () => {
  const sealer = sealerFrom('010203040506fffffffffffe');
  const nonces = [0, 1, 2, 3].map(() => {
    return sealer.seal(PLAIN).toString('hex', HEADER_BYTES, HEADER_BYTES + 12);
  });
  assert.deepEqual(nonces, [
    '010203040506fffffffffffe',
    '010203040506ffffffffffff',
    '010203040506000000000000',
    '010203040506000000000001',
  ]);
});

test('the longest packet still fits the smallest MTU of IPv6', () => {
  const plain = Buffer.alloc(MAX_CONTROL_PACKET_BYTES);
  PLAIN.copy(plain, 0, 0, HEADER_BYTES);
  plain.writeUInt16BE(plain.length, 4);
  const sealer = sealerFrom('000000000000000000000000');
  const sealed = sealer.seal(plain);
  assert.equal(sealed.length, MAX_SEALED_PACKET_BYTES);
  assert(sealed.length <= 1280 - 40 - 8);
  assert.deepEqual(openPacket(keys.requests, sealed), plain);
  assert.throws(() => sealer.seal(Buffer.concat([plain, Buffer.alloc(1)])), RangeError);
  assert.throws(() => new PacketSealer(keys.group, Buffer.alloc(11)), RangeError);
});

test('property: rubbish of sealed form is refused without an exception', () => {
  const rubbish = fc.uint8Array({ minLength: 0, maxLength: 1300 }).map((bytes) => {
    const packet = Buffer.from(bytes);
    if (packet.length >= HEADER_BYTES) {
      packet.writeUInt16BE(packet.length, 4);
      packet.writeUInt16BE(1, 6);
    }
    return packet;
  });
  fc.assert(fc.property(rubbish, (packet) => openPacket(keys.group, packet) === null));
});
