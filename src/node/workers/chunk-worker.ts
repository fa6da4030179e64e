/**
 * A worker thread: reads, hashes and writes chunks, so that the thread that serves the network
 * never waits for the disk or a digest. Chunk memory is shared; only small messages pass.
 */

import { readSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { Digest } from '../../image/block-map.js';
import { Encoding } from '../../protocol/block.js';
import { loadBlake3 } from '../blake3.js';
import { loadNative } from '../native.js';
import { ChunkEncoder } from './chunk-encoder.js';
import type { ChunkJob, ChunkResult } from './chunk-jobs.js';
import { look } from './chunk-look.js';
import { isZero, ZEROS } from './zeros.js';
import { loadZstd, type Zstd } from './zstd.js';

const NO_ZSTD =
  'the image comes compressed, and zstd is missing here; install multiclient again, or start multiserver with --compress off';
/** The pool's slots, and one more for chunks that nobody else needs to see; the first message brings both. */
let shared: Buffer = Buffer.alloc(0);
let ownOffset = 0;
let digestOf!: Digest;
let zstd: Zstd | null = null;
let encoder: ChunkEncoder | null = null;
const loadingDigest = loadBlake3();
let loadingZstd: Promise<void> | null = null;
/** For chunks unpacked: copying into shared memory would be slower. */
let unpacked = Buffer.alloc(0);

/** Reads exactly `bytes.length` bytes. @throws when the file is shorter */
function readFully(fd: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(fd, bytes, done, bytes.length - done, offsetBytes + done);
    if (count === 0) throw Object.assign(new Error('unexpected end of the file'), { code: 'EOF' });
    done += count;
  }
}

function writeFully(fd: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, offsetBytes + done);
  }
}

function punchHole({ fd, offsetBytes, lengthBytes }: ChunkJob & { op: 'zeros' }): boolean {
  return loadNative()?.punchHole(fd, offsetBytes, lengthBytes) ?? false;
}

function slot(offset: number, length: number): Buffer {
  const start = offset >= 0 ? offset : ownOffset;
  return shared.subarray(start, start + length);
}

function read(job: ChunkJob & { op: 'read' }): ChunkResult {
  const bytes = slot(job.memoryOffset, job.lengthBytes);
  readFully(job.fd, bytes, job.offsetBytes);
  if (isZero(bytes)) return { kind: 'zero' };
  const digest = job.wantsDigest ? digestOf(bytes) : null;
  if (job.level === 0 || encoder === null) {
    const encodedLength = bytes.length;
    const encoding = Encoding.raw;
    return { kind: 'data', digest, encodedLength, encoding, variant: 0 };
  }
  return { kind: 'data', digest, ...encoder.encode(bytes, job.level, job.isRepeat) };
}

/** What came from the network is proven before it is written, as far as a digest is known. */
function store(job: ChunkJob & { op: 'store' }): ChunkResult {
  const encoded = slot(job.memoryOffset, job.encodedLength);
  let bytes = encoded;
  if (job.encoding === Encoding.zstd) {
    if (zstd === null) return { kind: 'failed', code: 'NO_ZSTD', reason: NO_ZSTD };
    if (unpacked.length < job.lengthBytes) unpacked = Buffer.allocUnsafeSlow(job.lengthBytes);
    bytes = unpacked.subarray(0, job.lengthBytes);
    if (!zstd.decompress(encoded, bytes)) return { kind: 'refused' };
  }
  const digest = digestOf(bytes);
  if (job.expected !== null && Buffer.compare(digest, job.expected) !== 0) {
    return { kind: 'refused' };
  }
  writeFully(job.fd, bytes, job.offsetBytes);
  return { kind: 'stored', digest };
}

function run(job: ChunkJob): ChunkResult {
  switch (job.op) {
    case 'read':
      return read(job);
    case 'store':
      return store(job);
    case 'check':
      return { kind: 'found', digest: look(job, digestOf) };
    case 'zeros': {
      const stored = { kind: 'stored', digest: new Uint8Array(0) } as const;
      if (job.mayDiscard && punchHole(job)) return stored;
      const end = job.offsetBytes + job.lengthBytes;
      for (let at = job.offsetBytes; at < end; at += ZEROS.length) {
        writeFully(job.fd, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at);
      }
      return stored;
    }
  }
}

function runSafely(job: ChunkJob): ChunkResult {
  try {
    return run(job);
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    return { kind: 'failed', code, reason: message };
  }
}

/** Loads zstd when the first job needs it: images that come raw start sooner without. */
function needsZstd(job: ChunkJob): boolean {
  return (
    (job.op === 'store' && job.encoding === Encoding.zstd) || (job.op === 'read' && job.level > 0)
  );
}

async function load(): Promise<void> {
  zstd = await loadZstd();
  encoder = zstd === null ? null : new ChunkEncoder(zstd);
}

type Message = { memory: SharedArrayBuffer; ownOffset: number } | { id: number; jobs: ChunkJob[] };

parentPort!.on('message', async (message: Message) => {
  if ('memory' in message) {
    shared = Buffer.from(message.memory);
    ({ ownOffset } = message);
    return;
  }
  const { id, jobs } = message;
  digestOf = await loadingDigest;
  if (jobs.some(needsZstd)) {
    loadingZstd ??= load();
    await loadingZstd;
  }
  parentPort!.postMessage({ id, results: jobs.map(runSafely) });
});
