import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeCheck } from '../../src/protocol/check.js';
import { decodeBlockRequest, encodeBlockRequest } from '../../src/protocol/from-client.js';
import { decodeZeroRanges, encodeZeroRanges } from '../../src/protocol/from-server.js';
import {
  blockRequests,
  type Codec,
  imageDescriptions,
  mapRequests,
  notices,
  reports,
  statuses,
  zeroRanges,
} from './protocol-packets.js';

const SESSION = 0x0102030405060708n;
const CLIENT = 0x1112131415161718n;

const mapRequest = mapRequests.encode({
  client: CLIENT,
  machine: 1n,
  isServer: false,
  host: 'client-7',
});
const description = imageDescriptions.encode({
  session: SESSION,
  client: CLIENT,
  imageSize: 1_000_000,
  chunkSize: 262_144,
  blockSize: 1424,
  mapId: Buffer.alloc(32, 7),
  group: '239.255.76.67',
  port: 9000,
  otherSessions: 0,
  position: 17,
  sectorSizeBytes: 0,
  streamAddress: '',
  requestWindowMs: 0,
  reportIntervalMs: 20,
  name: 'disk.img',
});
const blockRequest = blockRequests.encode({
  session: SESSION,
  client: CLIENT,
  asOfPosition: 17,
  space: 0,
  ranges: [
    { first: 0, count: 3 },
    { first: 9, count: 1 },
  ],
  halves: [
    { chunk: 5, runs: [{ first: 1, count: 2 }] },
    {
      chunk: 6,
      runs: [
        { first: 0, count: 1 },
        { first: 7, count: 3 },
      ],
    },
  ],
});
const FIRST_HALF = 36 + 2 * 8;
const report = reports.encode({
  session: SESSION,
  client: CLIENT,
  position: 1,
  packetsReceived: 2,
  packetsLost: 0,
  clockUs: 3,
  missingChunks: 4,
  provenChunks: 5,
  receiveBufferBytes: 6,
  state: 0,
});
const status = statuses.encode({
  session: SESSION,
  position: 1,
  cursor: 2,
  pendingChunks: 3,
  isIdle: false,
  awaitedClients: null,
  mapId: null,
  reportIntervalMs: 20,
  requestWindowMs: 0,
  joinWindowMs: 0,
  sentinels: [1n, 2n],
});
const notice = notices.encode({ session: SESSION, code: 3, first: 4, count: 1, text: 'a chunk' });
const zeros = zeroRanges.encode({
  isFree: false,
  session: SESSION,
  position: 5,
  ranges: [
    { first: 1, count: 2 },
    { first: 8, count: 90 },
  ],
});

/** All values of a byte; of two bytes those near powers of two, where counting goes wrong. */
function valuesOf(size: 1 | 2): number[] {
  if (size === 1) return Array.from({ length: 256 }, (_, value) => value);
  const values = new Set<number>();
  for (let bit = 0; bit <= 16; bit++) {
    for (let value = 2 ** bit - 4; value <= 2 ** bit + 4; value++) {
      if (value >= 0 && value <= 0xffff) values.add(value);
    }
  }
  return [...values];
}

/** Sets a field to every value, and expects just those of `accepted` to be taken. */
function tryAll<T>(
  codec: Codec<T>,
  packet: Buffer,
  offset: number,
  size: 1 | 2,
  accepted: readonly number[],
): void {
  for (const value of valuesOf(size)) {
    const bytes = Buffer.from(packet);
    bytes.writeUIntBE(value, offset, size);
    writeCheck(bytes);
    assert.equal(codec.decode(bytes) !== null, accepted.includes(value), `value ${value}`);
  }
}

test('a length or count that the packet does not fill to the byte is refused', () => {
  // Behind the name are zeros, which no text has.
  tryAll(mapRequests, mapRequest, 32, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  tryAll(mapRequests, mapRequest, 35, 1, [0]);
  tryAll(imageDescriptions, description, 74, 1, [13]);
  tryAll(imageDescriptions, description, 75, 1, [8]);
  tryAll(imageDescriptions, description, 82, 1, [0]);
  tryAll(blockRequests, blockRequest, 32, 2, [2]);
  tryAll(blockRequests, blockRequest, 34, 2, [2]);
  tryAll(blockRequests, blockRequest, FIRST_HALF + 4, 2, [1]);
  tryAll(blockRequests, blockRequest, FIRST_HALF + 14, 2, [2]);
  tryAll(statuses, status, 29, 1, [2]);
  tryAll(notices, notice, 26, 1, [7]);
  tryAll(zeroRanges, zeros, 20, 2, [2]);
});

test('numbers that stand for nothing are refused', () => {
  tryAll(mapRequests, mapRequest, 33, 1, [0, 1]);
  tryAll(imageDescriptions, description, 38, 1, [0, 1]);
  tryAll(blockRequests, blockRequest, 28, 1, [0, 1, 2]);
  tryAll(reports, report, 48, 1, [0, 1, 2, 3, 4, 5, 6]);
  tryAll(statuses, status, 28, 1, [0, 1, 2, 3, 4, 5, 6, 7]);
  tryAll(notices, notice, 24, 2, [1, 2, 3]);
});

test('a status of more sentinels than there may be is refused, though it is as long as it says', () => {
  const tooMany = Buffer.concat([status, Buffer.alloc(15 * 8)]);
  tooMany[29] = 17;
  assert.equal(statuses.decode(writeCheck(tooMany)), null);
  const most = tooMany.subarray(0, -8);
  most[29] = 16;
  writeCheck(most);
  assert.equal(statuses.decode(most)?.sentinels.length, 16);
});

test('an image size that a number cannot hold exactly is refused', () => {
  const bytes = Buffer.from(description);
  bytes.writeBigUInt64BE(BigInt(Number.MAX_SAFE_INTEGER), 24);
  writeCheck(bytes);
  assert.equal(imageDescriptions.decode(bytes)?.imageSize, Number.MAX_SAFE_INTEGER);
  for (const size of [BigInt(Number.MAX_SAFE_INTEGER) + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    bytes.writeBigUInt64BE(size, 24);
    writeCheck(bytes);
    assert.equal(imageDescriptions.decode(bytes), null);
  }
});

test('text that is not clean UTF-8 is refused', () => {
  const unclean = {
    'a line break': [0x0a],
    'an escape sequence': [0x1b, 0x5b],
    'a C1 control': [0xc2, 0x9b],
    delete: [0x7f],
    'a nul': [0x00],
    'a change of direction': [0xe2, 0x80, 0xae],
    'an isolate': [0xe2, 0x81, 0xa6],
    'half a character': [0xc3],
    'an overlong slash': [0xc0, 0xaf],
    'a surrogate': [0xed, 0xa0, 0x80],
    'no character at all': [0xff],
  };
  const places = [
    { codec: mapRequests, packet: mapRequest, at: 36 },
    { codec: imageDescriptions, packet: description, at: 116 },
    { codec: imageDescriptions, packet: description, at: 129 },
    { codec: notices, packet: notice, at: 28 },
  ] as const;
  for (const [what, bytes] of Object.entries(unclean)) {
    for (const { codec, packet, at } of places) {
      const changed = Buffer.from(packet);
      changed.set(bytes, at);
      assert.equal(codec.decode(writeCheck(changed)), null, `${codec.name}, ${what}`);
    }
  }
});

test(
  'runs that are empty, overlap or go back are refused: a packet never costs more than one ' +
    'walk',
  () => {
    const wrong = {
      empty: [{ first: 5, count: 0 }],
      repeated: [
        { first: 0, count: 1000 },
        { first: 0, count: 1000 },
      ],
      overlapping: [
        { first: 0, count: 10 },
        { first: 9, count: 10 },
      ],
      descending: [
        { first: 20, count: 1 },
        { first: 3, count: 1 },
      ],
    };
    const request = { session: SESSION, client: CLIENT, asOfPosition: 1, space: 0 as const };
    for (const [what, runs] of Object.entries(wrong)) {
      const ranges = encodeBlockRequest({ ...request, ranges: runs, halves: [] });
      assert.equal(decodeBlockRequest(ranges), null, `${what} ranges`);
      const halves = encodeBlockRequest({ ...request, ranges: [], halves: [{ chunk: 7, runs }] });
      assert.equal(decodeBlockRequest(halves), null, `${what} runs of blocks`);
      const zeros = encodeZeroRanges({
        session: SESSION,
        position: 1,
        isFree: false,
        ranges: runs,
      });
      assert.equal(decodeZeroRanges(zeros), null, `${what} zero ranges`);
    }
  },
);

test('lists longer than a control packet may be are refused', () => {
  const many = Array.from({ length: 150 }, (_, index) => ({ first: index * 2, count: 1 }));
  const request = { session: SESSION, client: CLIENT, asOfPosition: 1, space: 0 as const };
  const ranges = encodeBlockRequest({ ...request, ranges: many, halves: [] });
  assert.equal(decodeBlockRequest(ranges), null);
  const zeros = encodeZeroRanges({ session: SESSION, position: 1, isFree: false, ranges: many });
  assert.equal(decodeZeroRanges(zeros), null);
});
