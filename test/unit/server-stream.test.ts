import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  blockOf,
  chunkOf,
  Encoding,
  kindByteOf,
  positionOf,
  Space,
  spaceOfKind,
} from '../../src/protocol/block.js';
import { PacketType, packetLength, packetType } from '../../src/protocol/packet.js';
import { ChunkCache } from '../../src/server/stream/chunk-cache.js';
import { Stream } from '../../src/server/stream/stream.js';
import { digestOf } from '../digest.js';

const BLOCK_BYTES = 16;
const CHUNK_BYTES = 128;
const PACKET_BYTES = BLOCK_HEADER_BYTES + BLOCK_BYTES;
/** The stream looks at no digest. */
const DIGEST = new Uint8Array(32);

interface Packet {
  chunk: number;
  block: number;
  position: number;
  lengthBytes: number;
}

/** A stream of chunks that are compressed to these lengths, of which all are wanted. */
function streamOf(encodedLengths: readonly number[]): Stream {
  const count = encodedLengths.length;
  const stream = new Stream({
    session: 1n,
    blockSize: BLOCK_BYTES,
    map: new BlockMapBuilder(new Geometry(count * CHUNK_BYTES, CHUNK_BYTES), digestOf),
    cache: new ChunkCache(
      Array.from({ length: 40 }, () => Buffer.alloc(CHUNK_BYTES)),
      BLOCK_BYTES,
    ),
    gathers: false,
    firstPosition: 1,
  });
  const ranges = [{ first: 0, count }];
  const request = {
    session: 1n,
    client: 1n,
    asOfPosition: 1,
    space: Space.image,
    ranges,
    halves: [],
  };
  stream.ask(request, true);
  return stream;
}

/** Sends one train after the other, each with all that can be read ahead. */
function* trainsOf(encodedLengths: readonly number[], mostPackets: number) {
  const stream = streamOf(encodedLengths);
  const out = Buffer.alloc(65_536);
  for (;;) {
    for (let order = stream.pollRead(); order !== null; order = stream.pollRead()) {
      const encodedLength = encodedLengths[order.chunk]!;
      stream.handleRead(order.slot, {
        kind: 'data',
        digest: DIGEST,
        encodedLength,
        encoding: Encoding.zstd,
        variant: 0,
      });
    }
    const length = stream.fill(out, mostPackets * PACKET_BYTES);
    if (length === 0) return;
    const packets: Packet[] = [];
    for (let at = 0; at < length; ) {
      const lengthBytes = packetLength(out, at, length);
      const position = positionOf(out, at);
      packets.push({ chunk: chunkOf(out, at), block: blockOf(out, at), position, lengthBytes });
      at += lengthBytes;
    }
    yield { packets, cursor: stream.cursor };
  }
}

test('a shorter last block goes behind what the train has room for of the next chunk', () => {
  const trains = [...trainsOf([70, 80, 40], 4)];
  const names = trains.map(({ packets }) => packets.map(({ chunk, block }) => `${chunk}/${block}`));
  assert.deepEqual(names, [
    ['0/0', '0/1', '0/2', '0/3'],
    ['1/0', '1/1', '1/2', '0/4'],
    ['1/3', '1/4', '2/0', '2/1'],
    ['2/2'],
  ]);
});

test('property: each block goes once, and only the last packet of a train is shorter', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: CHUNK_BYTES }), {
    minLength: 1,
    maxLength: 40,
  });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 30 }), (encodedLengths, mostPackets) => {
      const expected = new Map<string, number>();
      for (const [chunk, length] of encodedLengths.entries()) {
        for (let block = 0; block * BLOCK_BYTES < length; block++) {
          expected.set(`${chunk}/${block}`, Math.min(BLOCK_BYTES, length - block * BLOCK_BYTES));
        }
      }
      let next = 1;
      for (const { packets, cursor } of trainsOf(encodedLengths, mostPackets)) {
        assert(packets.length <= mostPackets);
        for (const [i, { chunk, block, position, lengthBytes }] of packets.entries()) {
          assert.equal(position, next++);
          assert.equal(lengthBytes - BLOCK_HEADER_BYTES, expected.get(`${chunk}/${block}`));
          if (i < packets.length - 1) assert.equal(lengthBytes, PACKET_BYTES);
          expected.delete(`${chunk}/${block}`);
        }
        // A status after this train says that all before the cursor went out.
        for (const name of expected.keys()) assert(Number(name.split('/')[0]) >= cursor, name);
      }
      assert.equal(expected.size, 0);
    }),
  );
});

const DATA = {
  digest: DIGEST,
  encodedLength: CHUNK_BYTES,
  encoding: Encoding.raw,
  variant: 0,
} as const;

/** All packets that a stream has to send, as "space/chunk/block", reads done at once. */
function drain(stream: Stream, out: Buffer): string[] {
  const names: string[] = [];
  for (;;) {
    for (let order = stream.pollRead(); order !== null; order = stream.pollRead()) {
      stream.handleRead(order.slot, { kind: 'data', ...DATA });
    }
    const length = stream.fill(out, 20 * PACKET_BYTES);
    if (length === 0) return names;
    for (let at = 0; at < length; at += packetLength(out, at, length)) {
      const isBlock = packetType(out, at) === PacketType.block;
      const space = isBlock ? String(spaceOfKind(kindByteOf(out, at))) : 'checks';
      names.push(`${space}/${isBlock ? `${chunkOf(out, at)}/${blockOf(out, at)}` : ''}`);
    }
  }
}

for (const packets of [2 ** 31 - 100, 2 ** 31, 2 ** 31 + 5, 2 ** 32 - 40, 2 ** 32, 3 * 2 ** 32]) {
  test(`what went out ${packets} packets ago is under way no more`, () => {
    const builder = new BlockMapBuilder(new Geometry(4 * CHUNK_BYTES, CHUNK_BYTES), digestOf);
    for (let chunk = 0; chunk < 4; chunk++) {
      builder.setData(chunk, digestOf(Buffer.alloc(CHUNK_BYTES, chunk + 1)));
    }
    const slots = Array.from({ length: 8 }, () => Buffer.alloc(CHUNK_BYTES));
    const cache = new ChunkCache(slots, BLOCK_BYTES);
    const base = { session: 1n, blockSize: BLOCK_BYTES, gathers: false, firstPosition: 1 };
    const stream = new Stream({ ...base, map: builder, cache });
    stream.setMap(builder.finish(), false);
    const out = Buffer.alloc(65_536);
    const askAll = (asOfPosition: number) => {
      const request = { session: 1n, client: 1n, asOfPosition };
      const one = [{ first: 0, count: 1 }];
      stream.ask({ ...request, space: Space.mapRoot, ranges: one, halves: [] }, true);
      stream.ask({ ...request, space: Space.mapPage, ranges: one, halves: [] }, true);
      const halves = [
        { chunk: 1, runs: one },
        { chunk: 2, runs: [] },
      ];
      stream.ask({ ...request, space: Space.image, ranges: one, halves }, true);
    };
    askAll(1);
    const sent = drain(stream, out).sort();
    assert(sent.length > 5);
    askAll(1);
    assert.deepEqual(drain(stream, out), [], 'all of it is still on its way');
    stream.position += packets;
    askAll(stream.position >>> 0);
    assert.deepEqual(drain(stream, out).sort(), sent, 'and now it is not');
    askAll((stream.position - sent.length) >>> 0);
    assert.deepEqual(drain(stream, out), [], 'but what went out again is');
  });
}

test('of a chunk that is being sent, what is still to come is not sent twice', () => {
  const stream = streamOf([CHUNK_BYTES, CHUNK_BYTES]);
  const out = Buffer.alloc(65_536);
  for (let order = stream.pollRead(); order !== null; order = stream.pollRead()) {
    stream.handleRead(order.slot, { kind: 'data', ...DATA });
  }
  assert.equal(stream.fill(out, 4 * PACKET_BYTES), 4 * PACKET_BYTES);
  const runs = [
    { first: 1, count: 1 },
    { first: 4, count: 4 },
  ];
  const request = { session: 1n, client: 1n, asOfPosition: 5, space: Space.image };
  stream.ask({ ...request, ranges: [], halves: [{ chunk: 0, runs }] }, true);
  const rest = [
    '0/1',
    '0/4',
    '0/5',
    '0/6',
    '0/7',
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((b) => `1/${b}`),
  ];
  assert.deepEqual(
    drain(stream, out).sort(),
    rest.map((name) => `0/${name}`),
  );
});
