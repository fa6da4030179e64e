import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Failure } from '../../src/failure.js';
import { loadBlake3 } from '../../src/node/system/blake3.js';
import { ClientDisk } from '../../src/node/target/client-disk.js';

const chunkBytes = 1 << 20;
const chunkCount = 48;

test('a copy that is proven while its target is still looked at gets its name in peace', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'client-disk-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const output = join(folder, 'a.img');
  const sizeBytes = chunkBytes * chunkCount;
  writeFileSync(output, Buffer.alloc(sizeBytes, 7));
  const options = { output, imageName: 'a.img', sizeBytes, sectorSizeBytes: 0 };
  const how = { sparse: true, force: false, resume: true, check: false };
  const failures: Failure[] = [];
  const disk = await ClientDisk.open(
    { ...options, ...how },
    chunkBytes,
    await loadBlake3(),
    { discard: false, wipeFree: false },
    (failure) => failures.push(failure),
    () => {},
  );
  let foundCount = 0;
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const offsetBytes = chunk * chunkBytes;
    const place = { first: chunk, count: 1, offsetBytes, lengthBytes: chunkBytes };
    disk.check({ kind: 'check', ...place, isDirect: false }, () => foundCount++);
  }
  await disk.finish();
  const foundBefore = foundCount;
  // Time for what should not happen.
  await sleep(300);
  await disk.close();
  assert.deepEqual(failures, []);
  assert.equal(foundCount, foundBefore, 'what nobody waits for any more is left');
  assert.equal(existsSync(output), true);
});
