import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CacheEntry, ChunkCache } from '../../src/server/stream/chunk-cache.js';

const BLOCK_SIZE = 100;

function cacheOf(slots: number): ChunkCache {
  return new ChunkCache(
    Array.from({ length: slots }, () => Buffer.alloc(1000)),
    BLOCK_SIZE,
  );
}

function read(cache: ChunkCache, chunk: number): CacheEntry {
  const entry = cache.claim(chunk)!;
  cache.ready(entry, 1000, 0, 0, false);
  return entry;
}

test('a chunk is found from its claim on, until its slot is taken', () => {
  const cache = cacheOf(2);
  const entry = cache.claim(7)!;
  assert.equal(cache.find(7)?.state, 'reading');
  cache.ready(entry, 950, 1, 3, false);
  const { state, encodedLength, blockCount, encoding, variant, zero } = cache.find(7)!;
  assert.deepEqual([state, encodedLength, blockCount], ['ready', 950, 10]);
  assert.deepEqual([encoding, variant, zero], [1, 3, false]);
  assert.equal(cache.entryOfSlot(entry.slot), entry);
  read(cache, 8);
  read(cache, 9);
  assert.equal(cache.find(7), undefined);
});

test('the slot longest unused is taken first; to look a chunk up is to use it', () => {
  const cache = cacheOf(3);
  for (const chunk of [1, 2, 3]) read(cache, chunk);
  cache.find(1);
  read(cache, 4);
  assert.deepEqual([cache.find(1)?.chunk, cache.find(2), cache.find(3)?.chunk], [1, undefined, 3]);
});

test('a slot that is read into, or pinned, is not taken', () => {
  const cache = cacheOf(2);
  const reading = cache.claim(1)!;
  const pinned = read(cache, 2);
  pinned.pins++;
  assert.equal(cache.claim(3), null);
  pinned.pins--;
  assert.equal(cache.claim(3), pinned);
  cache.ready(reading, 1000, 0, 0, false);
  assert.equal(cache.claim(4), reading);
});

test('a chunk that could not be read is not found, and its slot is free again', () => {
  const cache = cacheOf(1);
  const entry = cache.claim(1)!;
  cache.failed(entry);
  assert.equal(cache.find(1), undefined);
  assert.equal(cache.claim(2), entry);
});

test('a zero chunk has no blocks, and the slot forgets that it was zero', () => {
  const cache = cacheOf(1);
  const entry = cache.claim(1)!;
  cache.ready(entry, 0, 0, 0, true);
  assert.deepEqual([entry.zero, entry.blockCount], [true, 0]);
  assert.equal(cache.claim(2)!.zero, false);
});

test('property: no two chunks ever share a slot, and none that is in use is given away', () => {
  const acts = fc.array(
    fc.tuple(fc.constantFrom('claim', 'ready', 'fail', 'pin', 'unpin'), fc.nat({ max: 9 })),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), acts, (slots, list) => {
      const cache = cacheOf(slots);
      const pinned = new Map<number, CacheEntry>();
      for (const [act, chunk] of list) {
        const entry = cache.find(chunk);
        if (act === 'claim' && entry === undefined) cache.claim(chunk);
        if (entry?.state === 'reading' && act === 'ready') cache.ready(entry, 500, 0, 0, false);
        if (entry?.state === 'reading' && act === 'fail') cache.failed(entry);
        if (entry?.state === 'ready' && act === 'pin' && !pinned.has(chunk)) {
          entry.pins++;
          pinned.set(chunk, entry);
        }
        if (act === 'unpin' && pinned.has(chunk)) {
          pinned.get(chunk)!.pins--;
          pinned.delete(chunk);
        }
        for (const [kept, keptEntry] of pinned) {
          assert.equal(cache.find(kept), keptEntry);
          assert.equal(keptEntry.chunk, kept);
        }
        const found = Array.from({ length: 10 }, (_, at) => cache.find(at)).filter(Boolean);
        assert.equal(new Set(found).size, found.length);
        assert(found.length <= slots);
      }
    }),
  );
});
