import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  blockLengthOf,
  blockOf,
  chunkOf,
  countContinuing,
  Encoding,
  type EncodingId,
  encodedLengthOf,
  encodingOfKind,
  kindByteOf,
  MAX_ENCODED_BYTES,
  positionOf,
  SPACE_COUNT,
  Space,
  type SpaceId,
  spaceOfKind,
} from '../../src/protocol/block.js';
import {
  MAX_PACKET_BYTES,
  PacketType,
  packetLength,
  packetSession,
  packetType,
  sessionHigh,
  sessionLow,
} from '../../src/protocol/packet.js';
import { viewOf } from '../../src/protocol/words.js';
import { type BlockHeader, writeBlockHeader } from './block-header.js';
import { u16, u24, u32, u64 } from './protocol-packets.js';

const headers: fc.Arbitrary<BlockHeader> = fc.record(
  {
    session: u64,
    chunk: u32,
    block: u16,
    position: u32,
    encodedLength: u24,
    space: fc.constantFrom(...(Object.values(Space) as SpaceId[])),
    encoding: fc.constantFrom(...(Object.values(Encoding) as EncodingId[])),
    variant: fc.integer({ min: 0, max: 15 }),
  },
  { noNullPrototype: true },
);

function readHeader(bytes: Buffer, offset: number): BlockHeader {
  const kind = kindByteOf(bytes, offset);
  return {
    session: packetSession(bytes, offset),
    chunk: chunkOf(bytes, offset),
    block: blockOf(bytes, offset),
    position: positionOf(bytes, offset),
    encodedLength: encodedLengthOf(bytes, offset),
    space: spaceOfKind(kind) as SpaceId,
    encoding: encodingOfKind(kind) as EncodingId,
    variant: kind & 15,
  };
}

test('property: a block header reads back at any offset, and writes nothing beside itself', () => {
  fc.assert(
    fc.property(headers, fc.nat({ max: 60 }), fc.nat({ max: 1500 }), (header, offset, payload) => {
      const end = offset + BLOCK_HEADER_BYTES;
      const bytes = Buffer.alloc(end + payload + 9, 0xa5);
      writeBlockHeader(bytes, offset, header, payload);
      assert.deepEqual(readHeader(bytes, offset), header);
      assert.equal(packetType(bytes, offset), PacketType.block);
      assert.equal(packetLength(bytes, offset, bytes.length), BLOCK_HEADER_BYTES + payload);
      assert.equal(packetLength(bytes, offset, end + payload - 1), 0);
      assert.equal(sessionHigh(bytes, offset), Number(header.session >> 32n));
      assert.equal(sessionLow(bytes, offset), Number(header.session & 0xffffffffn));
      assert(bytes.subarray(0, offset).every((byte) => byte === 0xa5));
      assert(bytes.subarray(end).every((byte) => byte === 0xa5));
    }),
  );
});

test('property: a block continues the one before only if nothing but block and position moves on', () => {
  const places = fc.record({
    at: fc.nat({ max: BLOCK_HEADER_BYTES - 1 }),
    mask: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(headers, fc.nat({ max: 90 }), places, (header, payload, { at, mask }) => {
      fc.pre(header.block < 0xffff);
      const length = BLOCK_HEADER_BYTES + payload;
      const bytes = Buffer.alloc(2 * length);
      const next = { ...header, block: header.block + 1, position: (header.position + 1) >>> 0 };
      writeBlockHeader(bytes, 0, header, payload);
      writeBlockHeader(bytes, length, next, payload);
      assert.equal(countContinuing(viewOf(bytes), 0, length, 2 * length, 9), 1);
      assert.equal(countContinuing(viewOf(bytes), 0, length, 2 * length, 0), 0);
      assert.equal(countContinuing(viewOf(bytes), 0, length, 2 * length - 1, 9), 0);
      bytes[length + at]! ^= mask;
      assert.equal(countContinuing(viewOf(bytes), 0, length, 2 * length, 9), 0);
    }),
  );
});

test('property: of a train, the packets up to the first that does not fit continue the first one', () => {
  const train = fc.record({
    packets: fc.integer({ min: 1, max: 12 }),
    torn: fc.integer({ min: 1, max: 14 }),
  });
  fc.assert(
    fc.property(headers, train, fc.nat({ max: 14 }), (header, { packets, torn }, most) => {
      fc.pre(header.block <= 0xffff - packets);
      const length = BLOCK_HEADER_BYTES + 5;
      const bytes = Buffer.alloc(packets * length);
      for (let i = 0; i < packets; i++) {
        const position = (header.position + i) >>> 0;
        writeBlockHeader(bytes, i * length, { ...header, block: header.block + i, position }, 5);
      }
      if (torn < packets) bytes[torn * length + 16]! ^= 1;
      const expected = Math.min(torn - 1, packets - 1, most);
      assert.equal(countContinuing(viewOf(bytes), 0, length, bytes.length, most), expected);
    }),
  );
});

const LARGEST: BlockHeader = {
  session: 2n ** 64n - 1n,
  chunk: 0xffffffff,
  block: 0xffff,
  position: 0xffffffff,
  encodedLength: MAX_ENCODED_BYTES,
  space: Space.mapRoot,
  encoding: Encoding.zstd,
  variant: 15,
};

test('the last block that 16 bits can name is continued by none', () => {
  const length = BLOCK_HEADER_BYTES + 1;
  const bytes = Buffer.alloc(2 * length);
  const header = { ...LARGEST, block: 0xffff, position: 1 };
  writeBlockHeader(bytes, 0, header, 1);
  writeBlockHeader(bytes, length, { ...header, block: 0, position: 2 }, 1);
  // As a carry would leave it.
  bytes.writeUInt16BE(length + 1, length + 4);
  assert.equal(countContinuing(viewOf(bytes), 0, length, 2 * length, 9), 0);
});

test('all fields at their largest read back', () => {
  const payload = MAX_PACKET_BYTES - BLOCK_HEADER_BYTES;
  const bytes = Buffer.alloc(MAX_PACKET_BYTES);
  writeBlockHeader(bytes, 0, LARGEST, payload);
  assert.deepEqual(readHeader(bytes, 0), LARGEST);
  assert.equal(packetLength(bytes, 0, bytes.length), MAX_PACKET_BYTES);
  assert.throws(() => writeBlockHeader(bytes, 0, { ...LARGEST, encodedLength: 2 ** 24 }, 0));
});

test('every space and every encoding has its own bits in the kind byte', () => {
  assert.deepEqual(Object.values(Space), [...Array(SPACE_COUNT).keys()]);
  const kinds = new Set<number>();
  const bytes = Buffer.alloc(BLOCK_HEADER_BYTES);
  const base = { session: 1n, chunk: 0, block: 0, position: 0, encodedLength: 1 };
  for (const space of Object.values(Space)) {
    for (const encoding of Object.values(Encoding)) {
      for (let variant = 0; variant < 16; variant++) {
        writeBlockHeader(bytes, 0, { ...base, space, encoding, variant }, 0);
        const kind = kindByteOf(bytes, 0);
        assert.equal(spaceOfKind(kind), space);
        assert.equal(encodingOfKind(kind), encoding);
        kinds.add(kind);
      }
    }
  }
  assert.equal(kinds.size, SPACE_COUNT * 2 * 16);
});

test('property: the blocks of a chunk cover it once, and only the last may be short', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300_000 }),
      fc.integer({ min: 16, max: 65_000 }),
      (encodedLength, blockSize) => {
        const count = blockCountOf(encodedLength, blockSize);
        let sum = 0;
        for (let block = 0; block < count; block++) {
          const length = blockLengthOf(encodedLength, blockSize, block);
          assert(length > 0 && (length === blockSize || block === count - 1));
          sum += length;
        }
        assert.equal(sum, encodedLength);
      },
    ),
  );
  assert.equal(blockCountOf(0, 1424), 0);
});
