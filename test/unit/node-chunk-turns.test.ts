import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ChunkJob, ChunkResult } from '../../src/node/workers/chunk-jobs.js';
import { ChunkMemory } from '../../src/node/workers/chunk-memory.js';
import { ChunkTurns } from '../../src/node/workers/chunk-turns.js';
import { loadZstd } from '../../src/node/workers/zstd.js';
import { digestOf } from '../digest.js';

const CHUNK_BYTES = 65_536;
const IMAGE = Buffer.from(Array.from({ length: 3 * CHUNK_BYTES }, (_, at) => (at >> 10) & 255));

function open(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'turns-'));
  const path = join(folder, 'image');
  writeFileSync(path, IMAGE);
  const fd = openSync(path, 'r');
  const memory = new ChunkMemory(2, CHUNK_BYTES);
  const turns = new ChunkTurns(memory, digestOf);
  t.after(async () => {
    await turns.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const job: ChunkJob & { op: 'read' } = {
    op: 'read',
    fd,
    offsetBytes: 0,
    lengthBytes: CHUNK_BYTES,
    memoryOffset: -1,
    wantsDigest: true,
    level: 0,
    isRepeat: false,
  };
  const run = (change: Partial<ChunkJob & { op: 'read' }>, how: 'submit' | 'submitPatient') =>
    new Promise<ChunkResult>((resolve) => {
      turns[how]({ ...job, ...change }, resolve);
    });
  return { memory, turns, job, run };
}

/** Lets so many turns of the event loop pass. */
async function turn(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

const digestAt = (offsetBytes: number) =>
  digestOf(IMAGE.subarray(offsetBytes, offsetBytes + CHUNK_BYTES));

test('one job is done in each turn, after submit has returned: what is urgent first', async (t) => {
  const { turns, job } = open(t);
  const order: string[] = [];
  turns.submitPatient(job, () => order.push('patient'));
  turns.submit(job, () => order.push('first'));
  turns.submit(job, () => order.push('second'));
  assert.deepEqual(order, []);
  const seen: number[] = [];
  for (let i = 0; i < 4; i++) {
    await turn(1);
    seen.push(order.length);
  }
  assert.deepEqual(order, ['first', 'second', 'patient']);
  assert(seen.every((count, at) => count - (seen[at - 1] ?? 0) <= 1, `${seen}`));
});

test('chunks are read into their place, and packed once they can be', async (t) => {
  const { memory, run } = open(t);
  const raw = await run({ offsetBytes: CHUNK_BYTES, memoryOffset: memory.offsetOf(1) }, 'submit');
  assert(raw.kind === 'data');
  assert.deepEqual(raw.digest, digestAt(CHUNK_BYTES));
  assert.deepEqual(Buffer.from(memory.slots[1]!), IMAGE.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES));
  const memoryOffset = memory.offsetOf(0);
  const [packed, next] = await Promise.all([
    run({ level: 3, memoryOffset }, 'submit'),
    run({ offsetBytes: CHUNK_BYTES }, 'submit'),
  ]);
  assert(packed.kind === 'data' && next.kind === 'data');
  assert.equal(packed.encoding, 1);
  const unpacked = Buffer.alloc(CHUNK_BYTES);
  const zstd = await loadZstd();
  assert(zstd!.decompress(memory.slots[0]!.subarray(0, packed.encodedLength), unpacked));
  assert.deepEqual(unpacked, IMAGE.subarray(0, CHUNK_BYTES));
  assert.deepEqual(next.digest, digestAt(CHUNK_BYTES));
});

test('a job that takes long is for other threads, and so is all that waits', async (t) => {
  const { run } = open(t);
  let workers = 0;
  const count = () => workers++;
  process.on('worker', count);
  t.after(() => process.off('worker', count));
  await run({}, 'submit');
  assert.equal(workers, 0);
  const results = await Promise.all([
    run({}, 'submit'),
    run({ offsetBytes: CHUNK_BYTES }, 'submitPatient'),
    run({ offsetBytes: 2 * CHUNK_BYTES, level: 19 }, 'submit'),
    run({ offsetBytes: CHUNK_BYTES }, 'submit'),
  ]);
  assert(workers >= 1);
  const offsets = [0, CHUNK_BYTES, 2 * CHUNK_BYTES, CHUNK_BYTES];
  for (const [at, result] of results.entries()) {
    assert(result.kind === 'data');
    assert.deepEqual(Buffer.from(result.digest!), Buffer.from(digestAt(offsets[at]!)));
  }
});

test('what cannot be read is a result; and nothing comes after the end', async (t) => {
  const { turns, job, run } = open(t);
  const result = await run({ offsetBytes: IMAGE.length }, 'submit');
  assert(result.kind === 'failed');
  assert.equal(result.code, 'EOF');
  turns.submit(job, () => assert.fail('closed'));
  await turns.close();
  await turn(3);
});
