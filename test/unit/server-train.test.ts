import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  blockOf,
  chunkOf,
  encodedLengthOf,
  encodingOfKind,
  kindByteOf,
  positionOf,
  spaceOfKind,
} from '../../src/protocol/block.js';
import { packetLength, packetSession } from '../../src/protocol/packet.js';
import { advancePosition, positionsBetween } from '../../src/protocol/position.js';
import { type BlockSource, Train } from '../../src/server/stream/train.js';

const SESSION = 0xfedcba9876543210n;
const BLOCK_SIZE = 32;
const PACKET_BYTES = BLOCK_HEADER_BYTES + BLOCK_SIZE;

function sourceOf(chunk: number, encodedLength: number): BlockSource {
  const bytes = Buffer.from(
    Array.from({ length: encodedLength }, (_, at) => (chunk * 37 + at) & 255),
  );
  const blockCount = blockCountOf(encodedLength, BLOCK_SIZE);
  return { chunk, bytes, encodedLength, blockCount, encoding: chunk % 2 === 0 ? 0 : 1, variant: 5 };
}

interface Cut {
  chunk: number;
  block: number;
  length: number;
}

/** Takes a train apart as a receiver does, and checks every packet against its source. */
function takeApart(out: Buffer, length: number, sources: BlockSource[], position: number): Cut[] {
  const cuts: Cut[] = [];
  for (let offset = 0; offset < length; ) {
    const bytes = packetLength(out, offset, length);
    assert(bytes > 0);
    const chunk = chunkOf(out, offset);
    const block = blockOf(out, offset);
    const source = sources.find((candidate) => candidate.chunk === chunk)!;
    const payload = out.subarray(offset + BLOCK_HEADER_BYTES, offset + bytes);
    const from = block * BLOCK_SIZE;
    assert.deepEqual(payload, source.bytes.subarray(from, from + BLOCK_SIZE));
    assert.equal(packetSession(out, offset), SESSION);
    assert.equal(positionOf(out, offset), advancePosition(position, cuts.length));
    assert.equal(encodedLengthOf(out, offset), source.encodedLength);
    assert.equal(spaceOfKind(kindByteOf(out, offset)), 0);
    assert.equal(encodingOfKind(kindByteOf(out, offset)), source.encoding);
    cuts.push({ chunk, block, length: bytes });
    offset += bytes;
  }
  return cuts;
}

test('property: trains carry every block once; all packets but the last have one length', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 });
  const room = fc.integer({ min: 1, max: 12 * PACKET_BYTES });
  fc.assert(
    fc.property(
      lengths,
      room,
      fc.constantFrom<number>(0, 0xfffffffd),
      fc.boolean(),
      (chunkLengths, mostBytes, start, inRuns) => {
        const sources = chunkLengths.map((length, chunk) => sourceOf(chunk, length));
        const train = new Train(SESSION, BLOCK_SIZE);
        const out = Buffer.alloc(4096);
        const wanted = sources.flatMap((source) =>
          Array.from({ length: source.blockCount }, (_, block) => ({ source, block })),
        );
        const carried: string[] = [];
        let position = start;
        while (wanted.length > 0) {
          train.begin(out, mostBytes);
          const first = position;
          while (wanted.length > 0 && train.room > 0) {
            const { source, block } = wanted[0]!;
            const fullBlocks = Math.floor(source.encodedLength / BLOCK_SIZE);
            const run = inRuns ? Math.min(fullBlocks - block, train.room) : 0;
            if (run > 0) position = train.addRun(0, source, block, run, position);
            else position = train.add(0, source, block, position);
            wanted.splice(0, Math.max(1, run));
          }
          const cuts = takeApart(out, train.length, sources, first);
          assert.equal(cuts.length, train.packets);
          assert.equal(positionsBetween(first, position), cuts.length);
          assert(cuts.slice(0, -1).every((cut) => cut.length === PACKET_BYTES));
          assert(train.room >= 0);
          assert(train.length <= mostBytes || cuts.length === 1, 'one packet always goes');
          for (const { chunk, block } of cuts) carried.push(`${chunk}/${block}`);
        }
        const all = sources.reduce((sum, source) => sum + source.blockCount, 0);
        assert.equal(new Set(carried).size, all);
        assert.equal(carried.length, all);
      },
    ),
  );
});

test('a short block closes the train, since nothing may follow a packet of another length', () => {
  const train = new Train(SESSION, BLOCK_SIZE);
  train.begin(Buffer.alloc(4096), 4096);
  train.add(0, sourceOf(0, 64), 0, 0);
  assert.equal(train.room > 0, true);
  train.add(0, sourceOf(1, 40), 1, 1);
  assert.equal(train.room > 0, false);
  train.begin(Buffer.alloc(4096), 4096);
  assert.deepEqual([train.room > 0, train.length, train.packets], [true, 0, 0]);
});
