import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHUNK_BYTES, imageOf, Pair } from './pair.js';

const CHUNKS = 60;
const ZEROS = [5, 6, 7, 30, 59];
const BLOCKS_PER_CHUNK = 8;

/** Spoils one byte of each of these chunks. */
function spoil(disk: Buffer, chunks: readonly number[]): void {
  for (const chunk of chunks) disk[chunk * CHUNK_BYTES + 17]! ^= 0xff;
}

test('an exact copy is proven by looking at it: no block is asked for, nothing is written', () => {
  const image = imageOf(CHUNKS, ZEROS);
  const pair = new Pair(image, Buffer.from(image), { holdsEarlierData: true });
  pair.runUntil(() => pair.client.isProven);
  assert.equal(pair.blocksSent, 0);
  assert.deepEqual(pair.written, []);
  assert.equal(pair.progress.keptBytes, image.length);
});

test('property: only chunks that differ are sent and written, zeros without being sent', () => {
  const chunks = fc.uniqueArray(fc.nat({ max: CHUNKS - 1 }), { maxLength: 20 });
  fc.assert(
    fc.property(chunks, (differing) => {
      const image = imageOf(CHUNKS, ZEROS);
      const disk = Buffer.from(image);
      spoil(disk, differing);
      const pair = new Pair(image, disk, { holdsEarlierData: true });
      pair.runUntil(() => pair.client.isProven);
      assert.ok(disk.equals(image));
      const byNumber = (a: number, b: number) => a - b;
      assert.deepEqual([...pair.written].sort(byNumber), [...differing].sort(byNumber));
      const data = differing.filter((chunk) => !ZEROS.includes(chunk));
      assert.ok(pair.blocksSent <= data.length * BLOCKS_PER_CHUNK);
    }),
    { numRuns: 30 },
  );
});

test('while the map is prepared nothing is asked for; then what differs is', () => {
  const image = imageOf(CHUNKS, ZEROS);
  const disk = Buffer.from(image);
  spoil(disk, [1, 2, 3]);
  const pair = new Pair(image, disk, { holdsEarlierData: true, preparedMs: 500 });
  pair.runUntil(() => pair.now > 1400);
  assert.equal(pair.looks, 0);
  assert.equal(pair.blocksSent, 0);
  pair.runUntil(() => pair.client.isProven);
  assert.ok(disk.equals(image));
  assert.deepEqual(pair.written, [1, 2, 3]);
});

test('a check finds what differs, asks for no block and writes nothing', () => {
  const image = imageOf(CHUNKS, ZEROS);
  const disk = Buffer.from(image);
  spoil(disk, [0, 6, 59]);
  const before = Buffer.from(disk);
  const pair = new Pair(image, disk, { isCheckOnly: true });
  pair.runUntil(() => pair.client.isCompared);
  assert.equal(pair.progress.differingChunks, 3);
  assert.equal(pair.progress.differingBytes, 3 * CHUNK_BYTES - 100);
  assert.equal(pair.client.isProven, false);
  assert.equal(pair.blocksSent, 0);
  assert.ok(disk.equals(before));
});

test('to verify, everything is looked at once more, and what does not fit is fetched again', () => {
  const image = imageOf(CHUNKS, ZEROS);
  const disk = Buffer.alloc(image.length, 0xee);
  const pair = new Pair(image, disk, { willVerify: true });
  pair.runUntil(() => pair.client.isProven);
  pair.written.length = 0;
  spoil(disk, [3, 30]);
  assert.equal(pair.step, 'sync');
  pair.client.handleSynced(pair.now);
  assert.equal(pair.client.isProven, false);
  pair.runUntil(() => pair.client.isProven);
  assert.deepEqual([...pair.written].sort(), [3, 30]);
  const looks = pair.looks;
  assert.equal(pair.step, 'sync', 'what was fetched again is read back, too');
  pair.client.handleSynced(pair.now);
  pair.runUntil(() => pair.client.isProven);
  assert.equal(pair.looks - looks, 2);
  assert.equal(pair.step, 'finish');
  assert.ok(disk.equals(image));
});

test('a disk that gives back something else twice ends the copy', () => {
  const image = imageOf(CHUNKS);
  const pair = new Pair(image, Buffer.alloc(image.length), { willVerify: true, isBlank: true });
  pair.runUntil(() => pair.client.isProven);
  pair.rotten.set(4, Buffer.alloc(CHUNK_BYTES, 1));
  pair.client.handleSynced(pair.now);
  pair.runUntil(() => pair.client.isProven);
  pair.client.handleSynced(pair.now);
  pair.runUntil(() => pair.client.failure !== null);
  assert.equal(pair.client.failure?.kind, 'target');
  assert.equal(pair.client.failure?.code, 'VERIFY_FAILED');
  assert.match(pair.client.failure?.message ?? '', /bytes 4096 to 5119/);
});

test('chunks that the source cannot give: all else is copied, and the failure names the bytes', () => {
  const image = imageOf(CHUNKS);
  const disk = Buffer.alloc(image.length);
  const pair = new Pair(image, disk, { isBlank: true, unreadable: [10, 11, 20] });
  pair.runUntil(() => pair.client.failure !== null);
  assert.equal(pair.client.failure?.kind, 'source');
  assert.equal(pair.client.failure?.code, 'UNREADABLE');
  assert.match(pair.client.failure?.message ?? '', /10240-12287, 20480-21503/);
  const expected = Buffer.from(image);
  for (const chunk of [10, 11, 20]) {
    expected.fill(0, chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
  }
  assert.ok(disk.equals(expected));
});
