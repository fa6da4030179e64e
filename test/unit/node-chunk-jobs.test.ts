import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SEAL_BYTES } from '../../src/codec/seal.js';
import type { ChunkJob, ChunkResult } from '../../src/node/workers/chunk-job.js';
import {
  ALL_CORES,
  ChunkJobs,
  type JobsPolicy,
  READS,
  STORES,
} from '../../src/node/workers/chunk-jobs.js';
import { ChunkMemory } from '../../src/node/workers/chunk-memory.js';
import { loadZstd } from '../../src/node/workers/zstd.js';
import { digestOf } from '../digest.js';

const CHUNK_BYTES = 65_536;
const IMAGE = Buffer.from(Array.from({ length: 3 * CHUNK_BYTES }, (_, at) => (at >> 10) & 255));
const CHUNK = Buffer.from(Array.from({ length: CHUNK_BYTES }, (_, at) => (at >> 8) & 255));

/** A file, and jobs on it that end with the test. */
function open(t: TestContext, policy: JobsPolicy) {
  const folder = mkdtempSync(join(tmpdir(), 'jobs-'));
  const path = join(folder, 'file');
  writeFileSync(path, policy === STORES ? '' : IMAGE);
  const fd = openSync(path, 'r+');
  const memory = new ChunkMemory(2, CHUNK_BYTES);
  const jobs = new ChunkJobs(memory, digestOf, policy);
  t.after(async () => {
    await jobs.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const workers = { count: 0 };
  const count = () => workers.count++;
  process.on('worker', count);
  t.after(() => process.off('worker', count));
  return { fd, memory, jobs, workers, target: () => readFileSync(path) };
}

function openReads(t: TestContext, policy = READS) {
  const opened = open(t, policy);
  const job: ChunkJob & { op: 'read' } = {
    op: 'read',
    fd: opened.fd,
    offsetBytes: 0,
    lengthBytes: CHUNK_BYTES,
    memoryOffset: -1,
    wantsDigest: true,
    level: 0,
    isRepeat: false,
  };
  const run = (change: Partial<ChunkJob & { op: 'read' }>, how: 'submit' | 'submitPatient') =>
    new Promise<ChunkResult>((resolve) => {
      opened.jobs[how]({ ...job, ...change }, resolve);
    });
  return { ...opened, job, run };
}

function openStores(t: TestContext) {
  const opened = open(t, STORES);
  const { fd, memory } = opened;
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
      opened.jobs.submit({ ...job, ...change } as ChunkJob, resolve);
    });
  return { ...opened, job, run };
}

/** Lets so many turns of the event loop pass. */
async function turn(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

const digestAt = (offsetBytes: number) =>
  digestOf(IMAGE.subarray(offsetBytes, offsetBytes + CHUNK_BYTES));

test('slots begin where a page does, and have room for what layers add to a chunk', () => {
  for (const chunkBytes of [4096, 5000, CHUNK_BYTES]) {
    const memory = new ChunkMemory(3, chunkBytes);
    for (const [slot, bytes] of memory.slots.entries()) {
      assert.equal(bytes.length, chunkBytes + SEAL_BYTES);
      assert.equal((memory.offsetOf(slot) - memory.offsetOf(0)) % 4096, 0);
      bytes.fill(slot + 1);
    }
    for (const [slot, bytes] of memory.slots.entries()) {
      assert.ok(bytes.every((byte) => byte === slot + 1));
    }
  }
});

test('a read is done in each turn, after submit has returned: what is urgent first', async (t) => {
  const { jobs, job } = openReads(t);
  const order: string[] = [];
  assert.equal(jobs.isAtOnce, false);
  jobs.submitPatient(job, () => order.push('patient'));
  jobs.submit(job, () => order.push('first'));
  jobs.submit(job, () => order.push('second'));
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
  const { memory, run } = openReads(t);
  const memoryOffset = memory.offsetOf(1);
  const raw = await run({ offsetBytes: CHUNK_BYTES, memoryOffset }, 'submit');
  assert(raw.kind === 'data');
  assert.deepEqual(Buffer.from(raw.digest!), digestAt(CHUNK_BYTES));
  const chunk = memory.slots[1]!.subarray(0, raw.encodedLength);
  assert.deepEqual(Buffer.from(chunk), IMAGE.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES));
  const [packed, next] = await Promise.all([
    run({ level: 3, memoryOffset: memory.offsetOf(0) }, 'submit'),
    run({ offsetBytes: CHUNK_BYTES }, 'submit'),
  ]);
  assert(packed.kind === 'data' && next.kind === 'data');
  assert.equal(packed.encoding, 1);
  const unpacked = Buffer.alloc(CHUNK_BYTES);
  const zstd = await loadZstd();
  assert(zstd!.decompress(memory.slots[0]!.subarray(0, packed.encodedLength), unpacked));
  assert.deepEqual(unpacked, IMAGE.subarray(0, CHUNK_BYTES));
  assert.deepEqual(Buffer.from(next.digest!), digestAt(CHUNK_BYTES));
});

test('a read that takes long is for other threads, and so is all that waits', async (t) => {
  const { jobs, run, workers } = openReads(t);
  await run({}, 'submit');
  assert.deepEqual([workers.count, jobs.workerCount], [0, 1]);
  const results = await Promise.all([
    run({}, 'submit'),
    run({ offsetBytes: CHUNK_BYTES }, 'submitPatient'),
    run({ offsetBytes: 2 * CHUNK_BYTES, level: 19 }, 'submit'),
    run({ offsetBytes: CHUNK_BYTES }, 'submit'),
  ]);
  assert.equal(workers.count, jobs.workerCount);
  const offsets = [0, CHUNK_BYTES, 2 * CHUNK_BYTES, CHUNK_BYTES];
  for (const [at, result] of results.entries()) {
    assert(result.kind === 'data');
    assert.deepEqual(Buffer.from(result.digest!), Buffer.from(digestAt(offsets[at]!)));
  }
});

test('where no network is served, workers do all', async (t) => {
  const { jobs, run, workers } = openReads(t, ALL_CORES);
  const result = await run({}, 'submitPatient');
  assert(result.kind === 'data' && workers.count > 0);
  assert.equal(jobs.workerCount, Math.min(8, ALL_CORES.maxWorkers));
});

test('what cannot be read is a result; and nothing comes after the end', async (t) => {
  const { jobs, job, run } = openReads(t);
  const result = await run({ offsetBytes: IMAGE.length }, 'submit');
  assert(result.kind === 'failed');
  assert.equal(result.code, 'EOF');
  jobs.submit(job, () => assert.fail('closed'));
  await jobs.close();
  await turn(3);
});

test('a chunk is stored before submit returns', (t) => {
  const { jobs, job, target } = openStores(t);
  const results: ChunkResult[] = [];
  assert.equal(jobs.isAtOnce, true);
  jobs.submit(job, (result) => results.push(result));
  assert.equal(results[0]?.kind, 'stored');
  assert.deepEqual(target(), CHUNK);
  jobs.submit({ ...job, expected: digestOf(target().fill(1)) }, (result) => results.push(result));
  assert.equal(results[1]?.kind, 'refused');
});

test('the first compressed chunks wait until they can be unpacked, in their order', async (t) => {
  const { jobs, memory, run, target } = openStores(t);
  const zstd = await loadZstd();
  const encodedLength = zstd!.compress(CHUNK, memory.slots[0]!, 3);
  const memoryOffset = memory.offsetOf(0);
  const order: number[] = [];
  const noted = async (number: number, running: Promise<ChunkResult>) => {
    const { kind } = await running;
    order.push(number);
    return kind;
  };
  const first = noted(1, run({ encoding: 1, encodedLength, memoryOffset }));
  const second = noted(2, run({ offsetBytes: CHUNK_BYTES }));
  assert.equal(jobs.isAtOnce, false, 'nothing overtakes it');
  assert.deepEqual(await Promise.all([first, second]), ['stored', 'stored']);
  assert.deepEqual(order, [1, 2]);
  assert.deepEqual(target(), Buffer.concat([CHUNK, CHUNK]));
  assert.equal(jobs.isAtOnce, true);
});

test('stores that may take long are for other threads, and so are all after them', async (t) => {
  const { jobs, job, run, target } = openStores(t);
  const zeros = { op: 'zeros', mayDiscard: false, lengthBytes: 2 * CHUNK_BYTES } as const;
  const zeroed = run(zeros);
  assert.equal(jobs.isAtOnce, false);
  assert.equal((await zeroed).kind, 'stored');
  assert.equal((await run({ offsetBytes: CHUNK_BYTES })).kind, 'stored');
  assert.deepEqual(target(), Buffer.concat([Buffer.alloc(CHUNK_BYTES), CHUNK]));
  const { fd } = job;
  const look = { op: 'check', fd, isDirect: false, wantsDigest: true, offsetBytes: 0 } as const;
  const found = await new Promise<ChunkResult>((resolve) =>
    jobs.submitPatient({ ...look, lengthBytes: CHUNK_BYTES }, resolve),
  );
  assert.deepEqual(found, { kind: 'found', digest: null });
});

test('what cannot be written is a result, not an exception', async (t) => {
  const { run } = openStores(t);
  const result = await run({ fd: 1_000_000 });
  assert(result.kind === 'failed');
  assert.equal(result.code, 'EBADF');
});
