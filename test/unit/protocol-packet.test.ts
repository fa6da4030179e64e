import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_HEADER_BYTES } from '../../src/protocol/block.js';
import {
  HEADER_BYTES,
  PacketType,
  packetLength,
  packetType,
  VERSION,
  writeHeader,
} from '../../src/protocol/packet.js';
import { advancePosition, positionsBetween } from '../../src/protocol/position.js';
import { readText, textBytes } from '../../src/protocol/text.js';
import { writeBlockHeader } from './block-header.js';
import { CODECS, u32 } from './protocol-packets.js';

function blockPacket(payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_HEADER_BYTES + payloadBytes, 0x4d);
  const numbers = { chunk: 1, block: 2, position: 3, encodedLength: 4 };
  const kind = { space: 0, encoding: 0, variant: 0 } as const;
  writeBlockHeader(bytes, 0, { session: 9n, ...numbers, ...kind }, payloadBytes);
  return bytes;
}

const blockPackets = fc.nat({ max: 200 }).map(blockPacket);
const controlPackets = fc.oneof(
  ...CODECS.map(({ values, encode }) => values.map((value) => encode(value))),
);

/** Cuts bytes into packets the way receivers do. @returns their lengths and what was left over */
function cut(bytes: Buffer, start: number, end: number): { lengths: number[]; left: number } {
  const lengths: number[] = [];
  let offset = start;
  while (offset < end) {
    const length = packetLength(bytes, offset, end);
    if (length === 0) break;
    lengths.push(length);
    offset += length;
  }
  return { lengths, left: end - offset };
}

test('property: packets back to back are told apart, at any offset in a larger buffer', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(blockPackets, controlPackets), { maxLength: 12 }),
      fc.nat({ max: 40 }),
      fc.uint8Array({ maxLength: 15 }),
      (packets, before, after) => {
        const train = Buffer.concat(packets);
        const bytes = Buffer.concat([Buffer.alloc(before, 0xff), train, after]);
        const lengths = packets.map((packet) => packet.length);
        const end = before + train.length;
        assert.deepEqual(cut(bytes, before, end), { lengths, left: 0 });
        // Less than a header is never a packet: it is what stays over.
        assert.deepEqual(cut(bytes, before, bytes.length), { lengths, left: after.length });
      },
    ),
  );
});

test('property: a train that was cut short yields its whole packets and nothing of the last', () => {
  fc.assert(
    fc.property(fc.array(blockPackets, { minLength: 1, maxLength: 6 }), fc.nat(), (packets, at) => {
      const train = Buffer.concat(packets);
      const end = at % train.length;
      const { lengths, left } = cut(train, 0, end);
      const whole: number[] = [];
      let sum = 0;
      for (const { length } of packets) {
        if (sum + length > end) break;
        whole.push(length);
        sum += length;
      }
      assert.deepEqual({ lengths, left }, { lengths: whole, left: end - sum });
    }),
  );
});

test('what is not a packet of this protocol and version has no length', () => {
  const packet = blockPacket(20);
  const changes: Record<string, [offset: number, value: number]> = {
    'another protocol': [0, 0x4e],
    'another protocol, second byte': [1, 0x44],
    'the version before': [2, VERSION - 1],
    'the version after': [2, VERSION + 1],
    'a length below the header': [5, HEADER_BYTES - 1],
    'a length of nothing': [5, 0],
    'a length beyond the end': [5, packet.length + 1],
    'a length far beyond the end': [4, 0xff],
  };
  for (const [what, [offset, value]] of Object.entries(changes)) {
    const bytes = Buffer.from(packet);
    bytes[offset] = value;
    assert.equal(packetLength(bytes, 0, bytes.length), 0, what);
  }
  assert.equal(packetLength(packet, 0, packet.length), packet.length);
  assert.equal(packetLength(Buffer.alloc(0), 0, 0), 0);
});

test('property: random bytes are never taken for a packet that reaches past their end', () => {
  const begun = fc
    .tuple(fc.nat({ max: 0xffff }), fc.uint8Array({ minLength: 10, maxLength: 80 }))
    .map(([length, rest]) =>
      Buffer.concat([Buffer.from([0x4d, 0x43, 2, 5, length >>> 8, length & 0xff]), rest]),
    );
  const random = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(begun, random), fc.nat({ max: 90 }), (bytes, offset) => {
      const length = packetLength(bytes, offset, bytes.length);
      assert(length === 0 || (length >= HEADER_BYTES && offset + length <= bytes.length));
    }),
  );
});

test('a type from the future is a packet all the same: its receiver passes over it', () => {
  const bytes = Buffer.alloc(40);
  writeHeader(bytes, 0, 200, 40, 1n);
  assert(!(Object.values(PacketType) as number[]).includes(packetType(bytes, 0)));
  assert.equal(packetLength(bytes, 0, 40), 40);
});

test('property: positions count on through 2^32, and their distance has a sign', () => {
  const steps = fc.integer({ min: 0, max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(u32, steps, (position, packets) => {
      const later = advancePosition(position, packets);
      assert(Number.isInteger(later) && later >= 0 && later <= 0xffffffff);
      assert.equal(positionsBetween(position, later), packets);
      assert.equal(positionsBetween(later, position), packets === 0 ? 0 : -packets);
    }),
  );
  assert.equal(advancePosition(0xffffffff, 1), 0);
  assert.equal(positionsBetween(0xfffffffe, 3), 5);
  assert.equal(positionsBetween(3, 0xfffffffe), -5);
});

test('property: text is cut to its bytes at a character, and clean text reads back', () => {
  const texts = fc
    .array(fc.constantFrom('a', 'é', '漢', '😀'), { maxLength: 40 })
    .map((letters) => letters.join(''));
  fc.assert(
    fc.property(texts, fc.nat({ max: 80 }), (text, mostBytes) => {
      const bytes = textBytes(text, mostBytes);
      const read = readText(bytes, 0, bytes.length);
      assert(read !== null && text.startsWith(read));
      assert(bytes.length <= mostBytes);
      // Nothing was cut that had room.
      const next = [...text.slice(read.length)][0];
      if (next !== undefined) assert(bytes.length + Buffer.byteLength(next) > mostBytes);
    }),
  );
});

test('text is read from its own bytes only', () => {
  const bytes = Buffer.from('\nname\u001b');
  assert.equal(readText(bytes, 1, 5), 'name');
  assert.equal(readText(bytes, 0, 5), null);
  assert.equal(readText(bytes, 1, 6), null);
  assert.equal(readText(bytes, 3, 3), '');
});
