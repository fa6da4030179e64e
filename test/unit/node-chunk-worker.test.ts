import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ChunkJob, ChunkResult } from '../../src/node/workers/chunk-job.js';
import { ChunkMemory } from '../../src/node/workers/chunk-memory.js';
import { ChunkPool } from '../../src/node/workers/chunk-pool.js';
import { digestOf } from '../digest.js';

const CHUNK_BYTES = 65_536;

interface Bench {
  memory: ChunkMemory;
  run(job: ChunkJob): Promise<ChunkResult>;
  sourceFd: number;
  targetFd: number;
  /** What was written so far. */
  target(): Buffer;
}

function bench(t: TestContext, content: Buffer): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'worker-'));
  const [source, target] = [join(folder, 'source'), join(folder, 'target')];
  writeFileSync(source, content);
  const sourceFd = openSync(source, 'r');
  const targetFd = openSync(target, 'w+');
  const memory = new ChunkMemory(2, CHUNK_BYTES);
  const pool = new ChunkPool(memory);
  t.after(async () => {
    await pool.close();
    closeSync(sourceFd);
    closeSync(targetFd);
    rmSync(folder, { recursive: true });
  });
  return {
    memory,
    sourceFd,
    targetFd,
    run: (job) => new Promise((resolve) => pool.submit(job, resolve)),
    target: () => readFileSync(target),
  };
}

const text = Buffer.from('a line of text that comes again\n'.repeat(2048)).subarray(0, CHUNK_BYTES);

function readJob({ memory, sourceFd }: Bench, level: number): ChunkJob {
  return {
    op: 'read',
    fd: sourceFd,
    offsetBytes: 0,
    lengthBytes: CHUNK_BYTES,
    memoryOffset: memory.offsetOf(0),
    wantsDigest: true,
    level,
    isRepeat: false,
  };
}

function storeJob(
  { memory, targetFd }: Bench,
  change: Partial<ChunkJob & { op: 'store' }>,
): ChunkJob {
  return {
    op: 'store',
    fd: targetFd,
    offsetBytes: 0,
    lengthBytes: CHUNK_BYTES,
    memoryOffset: memory.offsetOf(0),
    encodedLength: CHUNK_BYTES,
    encoding: 1,
    expected: null,
    ...change,
  };
}

test('what one worker compresses another unpacks; the digest is that of the raw chunk', async (t) => {
  const tools = bench(t, text);
  for (const level of [0, 1, 3, 19]) {
    const read = await tools.run(readJob(tools, level));
    assert.ok(read.kind === 'data');
    assert.equal(read.encoding, level === 0 ? 0 : 1);
    assert.ok(read.digest?.every((byte, at) => byte === digestOf(text)[at]));
    const { encodedLength, encoding } = read;
    assert.ok(level === 0 || encodedLength < 1000);
    const expected = digestOf(text);
    const stored = await tools.run(storeJob(tools, { encodedLength, encoding, expected }));
    assert.equal(stored.kind, 'stored');
    assert.ok(tools.target().equals(text));
  }
});

test('what does not unpack to the chunk is refused, and nothing is written', async (t) => {
  const tools = bench(t, text);
  const read = await tools.run(readJob(tools, 3));
  assert.ok(read.kind === 'data');
  const { encodedLength } = read;
  const [slot] = tools.memory.slots;
  const frame = Buffer.from(slot!.subarray(0, encodedLength));
  const refuses = async (change: Partial<ChunkJob & { op: 'store' }>) => {
    const result = await tools.run(storeJob(tools, { encodedLength, ...change }));
    assert.equal(result.kind, 'refused');
    assert.equal(tools.target().length, 0);
  };
  await refuses({ lengthBytes: CHUNK_BYTES - 1 });
  await refuses({ lengthBytes: 100 });
  await refuses({ encodedLength: encodedLength - 1 });
  await refuses({ expected: digestOf(Buffer.from('something else')) });
  slot!.fill(0xff);
  await refuses({});
  await refuses({ encodedLength: 1 });
  frame.copy(slot!);
  slot![4] = slot![4]! | 0x08;
  await refuses({});
});

test('holes of a target are not read, however long: the file system names them', async (t) => {
  const { run, targetFd } = bench(t, text);
  const lengthBytes = 2 ** 40;
  ftruncateSync(targetFd, lengthBytes);
  const job = {
    op: 'check',
    fd: targetFd,
    offsetBytes: 0,
    lengthBytes,
    wantsDigest: false,
  } as const;
  assert.deepEqual(await run({ ...job, isDirect: true }), { kind: 'found', digest: null });
  assert.deepEqual(await run({ ...job, isDirect: false }), { kind: 'found', digest: null });
});
