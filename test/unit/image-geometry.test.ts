import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CHUNKS_PER_PAGE,
  chunkSizeFor,
  DEFAULT_CHUNK_SIZE_BYTES,
  Geometry,
  MAX_CHUNK_SIZE_BYTES,
  MAX_CHUNKS,
  MAX_IMAGE_SIZE_BYTES,
} from '../../src/image/geometry.js';

const TIB = 2 ** 40;
const MIB = 2 ** 20;

test('an image of one byte is one chunk of one byte', () => {
  const geometry = new Geometry(1, DEFAULT_CHUNK_SIZE_BYTES);
  assert.equal(geometry.chunkCount, 1);
  assert.equal(geometry.pageCount, 1);
  assert.equal(geometry.chunkLength(0), 1);
  assert.equal(geometry.chunksInPage(0), 1);
});

test('a whole chunk, and one byte more', () => {
  const whole = new Geometry(64, 64);
  assert.equal(whole.chunkCount, 1);
  assert.equal(whole.chunkLength(0), 64);
  const more = new Geometry(65, 64);
  assert.equal(more.chunkCount, 2);
  assert.equal(more.chunkLength(0), 64);
  assert.equal(more.chunkOffset(1), 64);
  assert.equal(more.chunkLength(1), 1);
});

test('a whole page, and one chunk more', () => {
  const whole = new Geometry(CHUNKS_PER_PAGE * 16, 16);
  assert.equal(whole.pageCount, 1);
  assert.equal(whole.chunksInPage(0), CHUNKS_PER_PAGE);
  const more = new Geometry(CHUNKS_PER_PAGE * 16 + 1, 16);
  assert.equal(more.pageCount, 2);
  assert.equal(more.chunksInPage(0), CHUNKS_PER_PAGE);
  assert.equal(more.chunksInPage(1), 1);
  assert.equal(more.pageOf(CHUNKS_PER_PAGE - 1), 0);
  assert.equal(more.pageOf(CHUNKS_PER_PAGE), 1);
  assert.equal(more.firstChunkOf(1), CHUNKS_PER_PAGE);
});

test('the largest image keeps exact offsets', () => {
  const geometry = new Geometry(MAX_IMAGE_SIZE_BYTES, MAX_CHUNK_SIZE_BYTES);
  assert.equal(geometry.chunkCount, MAX_CHUNKS);
  const last = geometry.chunkCount - 1;
  assert.equal(geometry.chunkOffset(last), 2 ** 48 - 2 ** 23);
  assert.equal(geometry.chunkLength(last), MAX_CHUNK_SIZE_BYTES);
  assert.equal(geometry.pageOf(last), geometry.pageCount - 1);
});

test('sizes from the network that make no image are refused', () => {
  const refused: [number, number][] = [
    [0, 64],
    [-1, 64],
    [1.5, 64],
    [Number.NaN, 64],
    [Number.POSITIVE_INFINITY, 64],
    [2 ** 53, MAX_CHUNK_SIZE_BYTES],
    [Number.MAX_SAFE_INTEGER, MAX_CHUNK_SIZE_BYTES],
    [MAX_IMAGE_SIZE_BYTES + 1, MAX_CHUNK_SIZE_BYTES],
    [MAX_CHUNKS * 16 + 1, 16],
    [100, 0],
    [100, -64],
    [100, 8],
    [100, 48],
    [100, 64.5],
    [100, Number.NaN],
    [100, MAX_CHUNK_SIZE_BYTES * 2],
    [100, 2 ** 32],
  ];
  for (const [sizeBytes, chunkSizeBytes] of refused) {
    assert.equal(Geometry.parse(sizeBytes, chunkSizeBytes), null, `${sizeBytes}/${chunkSizeBytes}`);
    assert.throws(() => new Geometry(sizeBytes, chunkSizeBytes), RangeError);
  }
  assert.notEqual(Geometry.parse(MAX_CHUNKS * 16, 16), null);
  assert.notEqual(Geometry.parse(MAX_IMAGE_SIZE_BYTES, MAX_CHUNK_SIZE_BYTES), null);
});

test('chunk numbers from the network that the image lacks are refused', () => {
  const geometry = new Geometry(100, 64);
  assert.deepEqual(
    [0, 1, 2, -1, 0.5, Number.NaN].map((chunk) => geometry.hasChunk(chunk)),
    [true, true, false, false, false, false],
  );
});

test('chunks grow with the image, up to 8 MiB', () => {
  assert.equal(chunkSizeFor(1), MIB);
  assert.equal(chunkSizeFor(2 * TIB), MIB);
  assert.equal(chunkSizeFor(2 * TIB + 1), 2 * MIB);
  assert.equal(chunkSizeFor(4 * TIB), 2 * MIB);
  assert.equal(chunkSizeFor(16 * TIB), 8 * MIB);
  assert.equal(chunkSizeFor(16 * TIB + 1), 8 * MIB);
  assert.equal(chunkSizeFor(MAX_IMAGE_SIZE_BYTES), 8 * MIB);
  assert.equal(chunkSizeFor(Number.MAX_SAFE_INTEGER), 8 * MIB);
});

test('property: every size up to 256 TiB has a geometry at its chunk size', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: MAX_IMAGE_SIZE_BYTES }), (sizeBytes) => {
      const geometry = Geometry.parse(sizeBytes, chunkSizeFor(sizeBytes));
      assert(geometry !== null);
      const last = geometry.chunkCount - 1;
      assert.equal(geometry.chunkOffset(last) + geometry.chunkLength(last), sizeBytes);
      assert(sizeBytes > 16 * TIB || geometry.chunkCount <= 2 ** 21);
    }),
    { seed: 1 },
  );
});

test('property: chunks cover the image without gap or overlap, and pages the chunks', () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 200_000 }), fc.constantFrom(16, 32, 64));
  fc.assert(
    fc.property(sizes, ([sizeBytes, chunkSizeBytes]) => {
      const geometry = new Geometry(sizeBytes, chunkSizeBytes);
      let end = 0;
      let inPages = 0;
      for (let chunk = 0; chunk < geometry.chunkCount; chunk += 1) {
        if (geometry.chunkOffset(chunk) !== end) assert.fail(`chunk ${chunk} leaves a gap`);
        if (geometry.chunkLength(chunk) < 1) assert.fail(`chunk ${chunk} is empty`);
        end += geometry.chunkLength(chunk);
        if (geometry.rangeLength(0, chunk + 1) !== end) assert.fail(`the first ${chunk + 1}`);
      }
      assert.equal(end, sizeBytes);
      const first = geometry.chunkCount >> 1;
      const rest = geometry.rangeLength(first, geometry.chunkCount - first);
      assert.equal(rest, sizeBytes - geometry.chunkOffset(first));
      for (let page = 0; page < geometry.pageCount; page += 1) {
        assert.equal(geometry.firstChunkOf(page), inPages);
        assert.equal(geometry.pageOf(inPages), page);
        inPages += geometry.chunksInPage(page);
      }
      assert.equal(inPages, geometry.chunkCount);
    }),
    { seed: 1 },
  );
});
