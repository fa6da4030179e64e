import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import { loadBlake3 } from '../../src/node/blake3.js';
import { Preparation } from '../../src/node/source/prepare.js';
import { ChunkMemory } from '../../src/node/workers/chunk-memory.js';
import { ChunkPool } from '../../src/node/workers/chunk-pool.js';

const CHUNK_BYTES = 4096;
const CHUNKS = 20;
const folder = mkdtempSync(join(tmpdir(), 'prepare-'));
const path = join(folder, 'image');
writeFileSync(path, Buffer.alloc(CHUNK_BYTES * CHUNKS, 'x'));
const fd = openSync(path, 'r');
after(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

/** Prepares the image to its end, while `isStreaming` and `idleCores` are asked. */
async function prepare(isStreaming: () => boolean, idleCores: () => number) {
  const map = new BlockMapBuilder(
    new Geometry(CHUNK_BYTES * CHUNKS, CHUNK_BYTES),
    await loadBlake3(),
  );
  const pool = new ChunkPool(new ChunkMemory(0, 0), 1);
  try {
    await new Promise<void>((resolve) => {
      const events = {
        isStreaming: () => {
          assert(map.knownCount <= 1, 'nothing is read beside the stream');
          return isStreaming();
        },
        onComplete: resolve,
        onUnreadable: (_chunk: number, reason: string) => assert.fail(reason),
        onChanged: (what: string) => assert.fail(what),
      };
      new Preparation(map, pool, fd, null, events, { count: idleCores }).begin();
    });
  } finally {
    await pool.close();
  }
  assert(map.isComplete);
}

test('while the network is served and no core is idle, preparing waits; then it goes on', async () => {
  let asked = 0;
  let isOver = false;
  await prepare(
    () => {
      asked++;
      isOver = asked === 3;
      return !isOver;
    },
    () => (isOver ? 2 : 0),
  );
  assert.equal(asked, 3);
});

test('with a core to spare, the map is prepared beside the stream', async () => {
  await prepare(
    () => true,
    () => 1,
  );
});
