import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockMap, BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import { MapCache } from '../../src/node/source/map-cache.js';
import { digestOf } from '../digest.js';

const CHUNK_BYTES = 4096;
/** Longer than two writes may share one time stamp. */
const SETTLED_MS = 40;

async function imageFile(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'cache-'));
  const path = join(folder, 'disk.img');
  writeFileSync(path, Buffer.alloc(10 * CHUNK_BYTES, 'x'));
  await sleep(SETTLED_MS);
  const fd = openSync(path, 'r');
  t.after(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  return { folder, path, fd, geometry: new Geometry(10 * CHUNK_BYTES, CHUNK_BYTES) };
}

function mapOf(geometry: Geometry): BlockMap {
  const builder = new BlockMapBuilder(geometry, digestOf);
  builder.setZeroRange(0, 3);
  for (let chunk = 3; chunk < geometry.chunkCount; chunk++) {
    builder.setData(chunk, digestOf(Buffer.from(`${chunk}`)));
  }
  return builder.finish();
}

test('a map that was kept comes back, for the same file at the same chunk size', async (t) => {
  const { folder, path, fd, geometry } = await imageFile(t);
  const map = mapOf(geometry);
  assert.equal(MapCache.of(path, fd, geometry)?.load(geometry, digestOf), null);
  assert.equal(await MapCache.of(path, fd, geometry)?.save(map), null);
  assert.deepEqual(readdirSync(folder), ['disk.img', 'disk.img.blockmap']);
  const kept = MapCache.of(path, fd, geometry)?.load(geometry, digestOf);
  assert.ok(kept);
  assert.ok(kept.id.equals(map.id));
  const builder = BlockMapBuilder.of(kept, digestOf);
  assert.equal(builder.isComplete, false, 'zeros are not believed');
  assert.equal(builder.setZeroRange(0, 3), true);
  assert.ok(builder.finish().id.equals(map.id));
  assert.ok(builder.digestOf(5)?.equals(map.digestOf(5)!));
  assert.equal(builder.setData(5, digestOf(Buffer.from('other'))), false);
  const finer = new Geometry(10 * CHUNK_BYTES, CHUNK_BYTES / 2);
  assert.equal(MapCache.of(path, fd, finer)?.load(finer, digestOf), null);
});

test('a changed image never meets an old map, even if its size and time are put back', async (t) => {
  const { path, fd, geometry } = await imageFile(t);
  const past = new Date(1_000_000_000_000);
  utimesSync(path, past, past);
  await sleep(SETTLED_MS);
  await MapCache.of(path, fd, geometry)?.save(mapOf(geometry));
  assert.notEqual(MapCache.of(path, fd, geometry)?.load(geometry, digestOf), null);
  const bytes = readFileSync(path);
  bytes[7]! ^= 1;
  writeFileSync(path, bytes);
  utimesSync(path, past, past);
  assert.equal(MapCache.of(path, fd, geometry)?.load(geometry, digestOf), null);
});

test('a map is not kept when the image was written since it was opened', async (t) => {
  const { folder, path, fd, geometry } = await imageFile(t);
  const cache = MapCache.of(path, fd, geometry);
  appendFileSync(path, 'more');
  assert.match((await cache?.save(mapOf(geometry))) ?? '', /changed/);
  assert.deepEqual(readdirSync(folder), ['disk.img']);
});

test('a map cut short or spoiled anywhere is no map', async (t) => {
  const { path, fd, geometry } = await imageFile(t);
  const cache = MapCache.of(path, fd, geometry);
  await cache?.save(mapOf(geometry));
  const whole = readFileSync(`${path}.blockmap`);
  for (let at = 0; at < whole.length; at += 7) {
    const spoiled = Buffer.from(whole);
    spoiled[at]! ^= 0x10;
    writeFileSync(`${path}.blockmap`, spoiled);
    assert.equal(cache?.load(geometry, digestOf), null, `byte ${at}`);
    writeFileSync(`${path}.blockmap`, whole.subarray(0, at));
    assert.equal(cache?.load(geometry, digestOf), null, `cut at ${at}`);
  }
});

test('where the map cannot be written, that is said and nothing is left behind', async (t) => {
  const { folder, path, fd, geometry } = await imageFile(t);
  const cache = MapCache.of(path, fd, geometry);
  // A folder in the way stops even root.
  mkdirSync(`${path}.blockmap`);
  assert.notEqual(await cache?.save(mapOf(geometry)), null);
  assert.deepEqual(readdirSync(folder), ['disk.img', 'disk.img.blockmap']);
  assert.equal(cache?.load(geometry, digestOf), null);
});

test('no map is kept of an image that was unpacked elsewhere', async (t) => {
  const { folder, fd, geometry } = await imageFile(t);
  writeFileSync(join(folder, 'disk.img.gz'), 'packed');
  assert.equal(MapCache.of(join(folder, 'disk.img.gz'), fd, geometry), null);
});
