import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import { type ExtentFinder, extentsOf, HoleSearch } from '../../src/node/source/holes.js';
import { digestOf } from '../digest.js';

const builderOf = (sizeBytes: number, chunkSizeBytes: number): BlockMapBuilder =>
  new BlockMapBuilder(new Geometry(sizeBytes, chunkSizeBytes), digestOf);

/** Extents as `lseek` tells them, from a naive list of bytes. */
function extentsIn(hasData: readonly boolean[]): ExtentFinder {
  return {
    nextData: (from) => hasData.indexOf(true, from),
    nextHole: (from) => {
      const found = hasData.indexOf(false, from);
      return found < 0 ? hasData.length : found;
    },
  };
}

/** A clock that moves on by a millisecond whenever it is read. */
function clock(): () => number {
  let ms = 0;
  return () => ms++;
}

function search(map: BlockMapBuilder, extents: ExtentFinder): void {
  const holes = new HoleSearch(map, extents);
  const now = clock();
  while (!holes.advance(now));
}

test('exactly the chunks that lie in holes whole are marked', () => {
  const bytes = fc.array(fc.boolean(), { minLength: 1, maxLength: 300 });
  const runs = fc
    .array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 9 })
    .map((list) => list.flatMap(([value, count]) => Array<boolean>(count).fill(value)));
  fc.assert(
    fc.property(fc.oneof(bytes, runs), (hasData) => {
      const map = builderOf(hasData.length, 16);
      search(map, extentsIn(hasData));
      for (let chunk = 0; chunk < map.geometry.chunkCount; chunk++) {
        const content = hasData.slice(chunk * 16, chunk * 16 + 16);
        assert.equal(map.isZero(chunk), !content.includes(true), `chunk ${chunk}`);
      }
    }),
  );
});

test('gives way to the network when there are very many extents', () => {
  const hasData = Array.from({ length: 64_000 }, (_, at) => at % 64 < 16);
  const map = builderOf(hasData.length, 16);
  const holes = new HoleSearch(map, extentsIn(hasData));
  const now = clock();
  assert.equal(holes.advance(now), false);
  while (!holes.advance(now));
  assert.equal(map.knownCount, 3000);
});

test('where the system cannot tell, everything is left to be read', () => {
  const map = builderOf(1600, 16);
  search(map, { nextData: () => null, nextHole: () => null });
  assert.equal(map.knownCount, 0);
});

test('ends although the file changes under the search', () => {
  const map = builderOf(1600, 16);
  search(map, { nextData: (from) => from, nextHole: (from) => from });
  search(map, { nextData: (from) => from + 16, nextHole: (from) => from - 16 });
  search(map, { nextData: () => 99_999, nextHole: () => 99_999 });
  assert.ok(map.isComplete);
});

test('a terabyte of nothing with a little data is searched at once', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const fd = openSync(join(folder, 'sparse.img'), 'w+');
  t.after(() => closeSync(fd));
  ftruncateSync(fd, 2 ** 40);
  writeSync(fd, 'data', 2 ** 39);
  const extents = extentsOf(fd);
  if (extents === null) return t.skip('no koffi on this system');
  const map = builderOf(2 ** 40, 524_288);
  search(map, extents);
  assert.equal(map.geometry.chunkCount - map.knownCount, 1);
  assert.ok(!map.isKnown(2 ** 20));
});
