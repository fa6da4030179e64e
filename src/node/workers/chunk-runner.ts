/** Does the jobs on chunks, in whichever thread it lives: reads, hashes, packs, unpacks and writes. */

import { readSync, writeSync } from 'node:fs';
import type { Digest } from '../../image/block-map.js';
import { Encoding } from '../../protocol/block.js';
import { loadNative } from '../native.js';
import { ChunkEncoder } from './chunk-encoder.js';
import type { ChunkJob, ChunkResult } from './chunk-jobs.js';
import { look } from './chunk-look.js';
import { pageMemory } from './page-memory.js';
import { isZero, ZEROS } from './zeros.js';
import { loadZstd, type Zstd } from './zstd.js';

type Job<Op extends ChunkJob['op']> = ChunkJob & { op: Op };

const NO_ZSTD =
  'the image comes compressed, and zstd is missing here; install multiclient again, or start multiserver with --compress off';

export class ChunkRunner {
  readonly #shared: Buffer;
  readonly #digestOf: Digest;
  #zstd: Zstd | null = null;
  #encoder: ChunkEncoder | null = null;
  #isZstdLoaded = false;
  #loading: Promise<void> | null = null;
  /** For chunks that nobody else needs to see; unpacking into shared memory would be slower, too. */
  #own: Buffer = Buffer.alloc(0);

  /** @param shared what jobs speak of as memory */
  constructor(shared: SharedArrayBuffer, digestOf: Digest) {
    this.#shared = Buffer.from(shared);
    this.#digestOf = digestOf;
  }

  /** Whether the job can be run, or `load` has to come first. */
  isReadyFor(job: ChunkJob): boolean {
    return this.#isZstdLoaded || !needsZstd(job);
  }

  /** Loads zstd, once: images that come raw do without, and start sooner. */
  load(): Promise<void> {
    this.#loading ??= this.#loadZstd();
    return this.#loading;
  }

  async #loadZstd(): Promise<void> {
    this.#zstd = await loadZstd();
    this.#encoder = this.#zstd === null ? null : new ChunkEncoder(this.#zstd);
    this.#isZstdLoaded = true;
  }

  /** Does a job that it is ready for. Nothing is thrown: what goes wrong is a result. */
  run(job: ChunkJob): ChunkResult {
    try {
      return this.#run(job);
    } catch (error) {
      const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
      return { kind: 'failed', code, reason: message };
    }
  }

  #run(job: ChunkJob): ChunkResult {
    switch (job.op) {
      case 'read':
        return this.#read(job);
      case 'store':
        return this.#store(job);
      case 'check':
        return { kind: 'found', digest: look(job, this.#digestOf) };
      case 'zeros':
        return storeZeros(job);
    }
  }

  #read(job: Job<'read'>): ChunkResult {
    const bytes =
      job.memoryOffset < 0
        ? this.#ownMemory(job.lengthBytes)
        : this.#shared.subarray(job.memoryOffset, job.memoryOffset + job.lengthBytes);
    readFully(job.fd, bytes, job.offsetBytes);
    if (isZero(bytes)) return { kind: 'zero' };
    const digest = job.wantsDigest ? this.#digestOf(bytes) : null;
    if (job.level === 0 || this.#encoder === null) {
      const encodedLength = bytes.length;
      const encoding = Encoding.raw;
      return { kind: 'data', digest, encodedLength, encoding, variant: 0 };
    }
    return { kind: 'data', digest, ...this.#encoder.encode(bytes, job.level, job.isRepeat) };
  }

  /** What came from the network is proven before it is written, as far as a digest is known. */
  #store(job: Job<'store'>): ChunkResult {
    const encoded = this.#shared.subarray(job.memoryOffset, job.memoryOffset + job.encodedLength);
    let bytes = encoded;
    if (job.encoding === Encoding.zstd) {
      if (this.#zstd === null) return { kind: 'failed', code: 'NO_ZSTD', reason: NO_ZSTD };
      bytes = this.#ownMemory(job.lengthBytes);
      if (!this.#zstd.decompress(encoded, bytes)) return { kind: 'refused' };
    }
    const digest = this.#digestOf(bytes);
    if (job.expected !== null && Buffer.compare(digest, job.expected) !== 0) {
      return { kind: 'refused' };
    }
    writeFully(job.fd, bytes, job.offsetBytes);
    return { kind: 'stored', digest };
  }

  #ownMemory(lengthBytes: number): Buffer {
    if (this.#own.length < lengthBytes) this.#own = pageMemory(lengthBytes);
    return this.#own.subarray(0, lengthBytes);
  }
}

function needsZstd(job: ChunkJob): boolean {
  return (
    (job.op === 'store' && job.encoding === Encoding.zstd) || (job.op === 'read' && job.level > 0)
  );
}

function storeZeros(job: Job<'zeros'>): ChunkResult {
  const stored = { kind: 'stored', digest: new Uint8Array(0) } as const;
  if (job.mayDiscard && loadNative()?.punchHole(job.fd, job.offsetBytes, job.lengthBytes)) {
    return stored;
  }
  const end = job.offsetBytes + job.lengthBytes;
  for (let at = job.offsetBytes; at < end; at += ZEROS.length) {
    writeFully(job.fd, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at);
  }
  return stored;
}

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
