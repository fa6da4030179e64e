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
  positionOf,
  Space,
} from '../../src/protocol/block.js';
import { packetLength } from '../../src/protocol/packet.js';
import { ChunkCache } from '../../src/server/chunk-cache.js';
import { Stream } from '../../src/server/stream.js';
import { digestOf } from '../digest.js';

const BLOCK_BYTES = 16;
const CHUNK_BYTES = 128;
const PACKET_BYTES = BLOCK_HEADER_BYTES + BLOCK_BYTES;

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
