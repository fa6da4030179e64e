import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ChunkExecutor } from '../../src/node/workers/chunk-executor.js';
import type { ChunkJob, ChunkResult } from '../../src/node/workers/chunk-jobs.js';
import { ChunkMemory } from '../../src/node/workers/chunk-memory.js';
import { loadZstd } from '../../src/node/workers/zstd.js';
import { digestOf } from '../digest.js';

const CHUNK_BYTES = 65_536;
const CHUNK = Buffer.from(Array.from({ length: CHUNK_BYTES }, (_, at) => (at >> 8) & 255));

function open(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'executor-'));
  const path = join(folder, 'target');
  const fd = openSync(path, 'w+');
  const memory = new ChunkMemory(2, CHUNK_BYTES);
  const executor = new ChunkExecutor(memory, digestOf);
  t.after(async () => {
    await executor.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  CHUNK.copy(memory.slots[1]!);
  const job: ChunkJob & { op: 'store' } = {
    op: 'store',
    fd,
    offsetBytes: 0,
    lengthBytes: CHUNK_BYTES,
    memoryOffset: memory.offsetOf(1),
    encodedLength: CHUNK_BYTES,
    encoding: 0,
    expected: digestOf(CHUNK),
  };
  const run = (change: Partial<ChunkJob>) =>
    new Promise<ChunkResult>((resolve) => {
      executor.submit({ ...job, ...change } as ChunkJob, resolve);
    });
  return { executor, memory, job, run, target: () => readFileSync(path) };
}

test('a chunk is stored before submit returns', (t) => {
  const { executor, job, target } = open(t);
  const results: ChunkResult[] = [];
  assert.equal(executor.isHere, true);
  executor.submit(job, (result) => results.push(result));
  assert.equal(results[0]?.kind, 'stored');
  assert.deepEqual(target(), CHUNK);
  executor.submit({ ...job, expected: digestOf(target().fill(1)) }, (result) =>
    results.push(result),
  );
  assert.equal(results[1]?.kind, 'refused');
});

test('the first compressed chunks wait until they can be unpacked, in their order', async (t) => {
  const { executor, memory, run, target } = open(t);
  const zstd = await loadZstd();
  const encodedLength = zstd!.compress(CHUNK, memory.slots[0]!, 3);
  const memoryOffset = memory.offsetOf(0);
  const first = run({ encoding: 1, encodedLength, memoryOffset });
  const second = run({ offsetBytes: CHUNK_BYTES });
  assert.equal(executor.isHere, false, 'nothing overtakes it');
  assert.deepEqual([(await first).kind, (await second).kind], ['stored', 'stored']);
  assert.deepEqual(target(), Buffer.concat([CHUNK, CHUNK]));
  assert.equal(executor.isHere, true);
});

test('jobs that may take long are for other threads, and so are all after them', async (t) => {
  const { executor, job, run, target } = open(t);
  const zeros = { op: 'zeros', mayDiscard: false, lengthBytes: 2 * CHUNK_BYTES } as const;
  const zeroed = run(zeros);
  assert.equal(executor.isHere, false);
  assert.equal((await zeroed).kind, 'stored');
  assert.equal((await run({ offsetBytes: CHUNK_BYTES })).kind, 'stored');
  assert.deepEqual(target(), Buffer.concat([Buffer.alloc(CHUNK_BYTES), CHUNK]));
  const { fd } = job;
  const look = { op: 'check', fd, isDirect: false, wantsDigest: true, offsetBytes: 0 } as const;
  const found = await new Promise<ChunkResult>((resolve) =>
    executor.submitPatient({ ...look, lengthBytes: CHUNK_BYTES }, resolve),
  );
  assert.deepEqual(found, { kind: 'found', digest: null });
});

test('what cannot be written is a result, not an exception', async (t) => {
  const { run } = open(t);
  const result = await run({ fd: 1_000_000 });
  assert(result.kind === 'failed');
  assert.equal(result.code, 'EBADF');
});
