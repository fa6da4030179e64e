import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeCheck } from '../../src/protocol/check.js';
import {
  BLOCK_REQUEST_ROOM_BYTES,
  encodeBlockRequest,
  halfChunkBytes,
  RANGE_BYTES,
} from '../../src/protocol/from-client.js';
import {
  encodeStatus,
  encodeZeroRanges,
  MAX_SENTINELS,
  MAX_ZERO_RANGES,
} from '../../src/protocol/from-server.js';
import {
  MAX_CONTROL_PACKET_BYTES,
  PacketType,
  packetLength,
  packetSession,
  packetType,
} from '../../src/protocol/packet.js';
import { CODECS, imageDescriptions, mapRequests, notices } from './protocol-packets.js';

for (const { name, values, encode, decode } of CODECS) {
  test(`property: ${name} reads back as it was written`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value);
        assert.equal(packetLength(bytes, 0, bytes.length), bytes.length);
        assert.equal(packetType(bytes, 0), PacketType[name]);
        if ('session' in value) assert.equal(packetSession(bytes, 0), value.session);
        assert.deepEqual(decode(bytes), value);
      }),
    );
  });

  test(`property: ${name} keeps nothing of the buffer it was read from`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value);
        const read = decode(bytes);
        bytes.fill(0xee);
        assert.deepEqual(read, value);
      }),
      { numRuns: 20 },
    );
  });

  test(`property: ${name} cut short anywhere, or with bytes behind it, is refused`, () => {
    fc.assert(
      fc.property(values, fc.uint8Array({ minLength: 1, maxLength: 40 }), (value, extra) => {
        const bytes = encode(value);
        for (let length = 0; length < bytes.length; length++) {
          const part = bytes.subarray(0, length);
          assert.equal(packetLength(part, 0, length), 0);
          assert.equal(decode(part), null, `${length} of ${bytes.length} bytes`);
        }
        assert.equal(decode(Buffer.concat([bytes, extra])), null);
      }),
      { numRuns: 20 },
    );
  });

  test(`property: ${name} never throws, whatever the bytes`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decode(Buffer.from(bytes));
      }),
    );
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(values, flips, (value, changes) => {
        const bytes = encode(value);
        for (const [at, change] of changes) bytes[at % bytes.length]! ^= change;
        const read = decode(writeCheck(bytes));
        // What is taken can be passed on: it has a place in a packet again.
        if (read !== null) assert.equal(encode(read).length, bytes.length);
      }),
    );
  });

  test(`property: ${name} with damage of up to 32 bits in a row is refused`, () => {
    const damage = fc.integer({ min: 1, max: 0xffffffff });
    fc.assert(
      fc.property(values, fc.nat(), damage, (value, at, bits) => {
        const bytes = encode(value);
        const offset = at % (bytes.length - 3);
        bytes.writeUInt32BE((bytes.readUInt32BE(offset) ^ bits) >>> 0, offset);
        assert.equal(decode(bytes), null);
      }),
    );
  });
}

test('every type of packet has a number of its own, and a codec or the block header', () => {
  const numbers = Object.values(PacketType);
  assert.equal(new Set(numbers).size, numbers.length);
  const named = CODECS.map((codec) => codec.name);
  assert.deepEqual([...named, 'block'].sort(), Object.keys(PacketType).sort());
});

test('text that is too long is cut at a character', () => {
  const request = { client: 1n, machine: 2n, isServer: false, isAtOnce: false, identity: {} };
  const bytes = mapRequests.encode({ ...request, host: `x${'é'.repeat(40)}` });
  assert.deepEqual(mapRequests.decode(bytes), { ...request, host: `x${'é'.repeat(31)}` });
});

test('more other sessions than a byte can count are the most it can', () => {
  const [description] = fc.sample(imageDescriptions.values, { numRuns: 1, seed: 1 });
  const read = imageDescriptions.decode(
    imageDescriptions.encode({ ...description!, otherSessions: 1000 }),
  );
  assert.equal(read?.otherSessions, 255);
});

test('control packets at their fullest stay below the size that any path carries', () => {
  const run = { first: 0xffffffff, count: 0xffffffff };
  const base = { session: 1n, client: 2n, asOfPosition: 3, space: 0 as const };
  const ranges = new Array(Math.floor(BLOCK_REQUEST_ROOM_BYTES / RANGE_BYTES)).fill(run);
  const half = { chunk: 1, runs: [{ first: 1, count: 1 }] };
  const halves = new Array(Math.floor(BLOCK_REQUEST_ROOM_BYTES / halfChunkBytes(1))).fill(half);
  const status = {
    session: 1n,
    position: 1,
    cursor: 1,
    pendingChunks: 1,
    isIdle: false,
    awaitedClients: null,
    mapId: Buffer.alloc(32),
    reportIntervalMs: 1,
    requestWindowMs: 1,
    joinWindowMs: 0,
    sentinels: new Array(MAX_SENTINELS).fill(1n),
  };
  const long = 'x'.repeat(1000);
  const fullest = [
    encodeBlockRequest({ ...base, ranges, halves: [] }),
    encodeBlockRequest({ ...base, ranges: [], halves }),
    encodeZeroRanges({
      session: 1n,
      position: 1,
      isFree: false,
      ranges: new Array(MAX_ZERO_RANGES).fill(run),
    }),
    encodeStatus(status),
    mapRequests.encode({ client: 1n, machine: 2n, isServer: false, host: long }),
    notices.encode({ session: 1n, code: 1, first: 0, count: 0, text: long }),
    imageDescriptions.encode({
      ...fc.sample(imageDescriptions.values, { numRuns: 1, seed: 1 })[0]!,
      group: long,
      name: long,
    }),
  ];
  for (const bytes of fullest) {
    assert(bytes.length <= MAX_CONTROL_PACKET_BYTES, `${bytes.length} bytes`);
    assert.equal(packetLength(bytes, 0, bytes.length), bytes.length);
  }
});

test('a file name that a terminal could stumble over still reaches the client, made harmless', () => {
  const [description] = fc.sample(imageDescriptions.values, { numRuns: 1, seed: 1 });
  for (const name of ['a\nb', 'a\u001bb', 'a\u202eb', 'a\ufffdb', 'a\ud800b']) {
    const bytes = imageDescriptions.encode({ ...description!, name });
    assert.equal(imageDescriptions.decode(bytes)?.name, 'a_b', JSON.stringify(name));
  }
});
