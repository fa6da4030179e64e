/** Does jobs on chunks, in whichever thread it lives: reads and encodes, decodes and writes. */

import { readSync, writeSync } from 'node:fs';
import { ChunkCodec } from '../../codec/chunk-codec.js';
import { maxEncodedBytesOf } from '../../codec/seal.js';
import { ZEROS } from '../../codec/zeros.js';
import type { Digest } from '../../image/block-map.js';
import { Encoding } from '../../protocol/block.js';
import { loadNative } from '../system/native.js';
import type { ChunkJob, ChunkResult } from './chunk-job.js';
import { look } from './chunk-look.js';
import { loadGcm } from './evp.js';
import { pageMemory } from './page-memory.js';
import { loadZstd } from './zstd.js';

type Job<Op extends ChunkJob['op']> = ChunkJob & { op: Op };

const NO_ZSTD =
  'the image comes compressed, and zstd is missing here; ' +
  'install multiclient again, or start multiserver with --compress off';

export class ChunkIo {
  private readonly shared: Buffer;
  private readonly codec: ChunkCodec;
  private isZstdLoaded = false;
  private hasGcm = false;
  private loading: Promise<void> | null = null;
  /**
   * For chunks that nobody else needs to see; unpacking into shared memory would be slower, too.
   */
  private own: Buffer = Buffer.alloc(0);

  /** @param shared what jobs speak of as memory */
  constructor(
    shared: SharedArrayBuffer,
    private readonly digestOf: Digest,
  ) {
    this.shared = Buffer.from(shared);
    this.codec = new ChunkCodec(digestOf);
  }

  /** Whether the job can be run, or `load` has to come first. */
  isReadyFor(job: ChunkJob): boolean {
    return this.isZstdLoaded || !needsZstd(job);
  }

  /** Loads zstd, once: images that come raw do without, and start sooner. */
  load(): Promise<void> {
    this.loading ??= this.loadCodec();
    return this.loading;
  }

  private async loadCodec(): Promise<void> {
    const zstd = await loadZstd();
    if (zstd !== null) this.codec.useZstd(zstd);
    this.isZstdLoaded = true;
  }

  /** Does a job that it is ready for. Nothing is thrown: what goes wrong is a result. */
  run(job: ChunkJob): ChunkResult {
    try {
      return this.carryOut(job);
    } catch (error) {
      const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
      return { kind: 'failed', code, reason: message };
    }
  }

  /** Before the first seal, once. */
  private useGcm(): void {
    if (this.hasGcm) return;
    this.hasGcm = true;
    this.codec.useGcm(loadGcm());
  }

  private carryOut(job: ChunkJob): ChunkResult {
    if ('seal' in job && job.seal) this.useGcm();
    switch (job.op) {
      case 'read':
        return this.read(job);
      case 'store':
        return this.store(job);
      case 'load':
        return this.readOlder(job);
      case 'check':
        return { kind: 'found', digest: look(job, this.digestOf) };
      case 'zeros':
        return storeZeros(job);
      case 'discard':
        // One that knows no such thing keeps what it has, which may stay.
        loadNative()?.discard(job.fd, job.offsetBytes, job.lengthBytes);
        return NOTHING_STORED;
    }
  }

  private read(job: Job<'read'>): ChunkResult {
    const { memoryOffset, lengthBytes } = job;
    const slotBytes = maxEncodedBytesOf(lengthBytes);
    const slot =
      memoryOffset < 0
        ? this.ownMemory(slotBytes)
        : this.shared.subarray(memoryOffset, memoryOffset + slotBytes);
    if (job.fd >= 0) readFully(job.fd, slot, lengthBytes, job.offsetBytes);
    const encoded = this.codec.encode(slot, lengthBytes, job);
    return encoded === null ? { kind: 'zero' } : { kind: 'data', ...encoded };
  }

  private readOlder(job: Job<'load'>): ChunkResult {
    const { fd, memoryOffset, lengthBytes, offsetBytes, seal = null } = job;
    const slot = this.shared.subarray(memoryOffset, memoryOffset + maxEncodedBytesOf(lengthBytes));
    readFully(fd, slot, lengthBytes, offsetBytes);
    if (seal !== null) this.codec.cover(slot, lengthBytes, seal);
    return { kind: 'loaded' };
  }

  /** What came from the network is proven before it is written, as far as a digest is known. */
  private store(job: Job<'store'>): ChunkResult {
    const { memoryOffset, encodedLength, encoding, lengthBytes, expected, seal = null } = job;
    if (!this.codec.canDecode(encoding)) {
      return { kind: 'failed', code: 'NO_ZSTD', reason: NO_ZSTD };
    }
    const encoded = this.shared.subarray(memoryOffset, memoryOffset + encodedLength);
    const chunk = this.codec.decode(encoded, encoding, lengthBytes, expected, this.ownMemory, seal);
    if (chunk === null) return { kind: 'refused' };
    writeFully(job.fd, chunk.bytes, job.offsetBytes);
    return { kind: 'stored', digest: chunk.digest };
  }

  private readonly ownMemory = (lengthBytes: number): Buffer => {
    if (this.own.length < lengthBytes) this.own = pageMemory(lengthBytes);
    return this.own.subarray(0, lengthBytes);
  };
}

function needsZstd(job: ChunkJob): boolean {
  return (
    (job.op === 'store' && job.encoding === Encoding.zstd) || (job.op === 'read' && job.level > 0)
  );
}

const NOTHING_STORED: ChunkResult = { kind: 'stored', digest: new Uint8Array(0) };

function storeZeros(job: Job<'zeros'>): ChunkResult {
  if (job.mayDiscard && loadNative()?.punchHole(job.fd, job.offsetBytes, job.lengthBytes)) {
    return NOTHING_STORED;
  }
  const end = job.offsetBytes + job.lengthBytes;
  for (let at = job.offsetBytes; at < end; at += ZEROS.length) {
    writeFully(job.fd, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at);
  }
  return NOTHING_STORED;
}

/** Reads exactly `lengthBytes` to the beginning of `to`. @throws when the file is shorter */
function readFully(fd: number, to: Buffer, lengthBytes: number, offsetBytes: number): void {
  for (let done = 0; done < lengthBytes; ) {
    const count = readSync(fd, to, done, lengthBytes - done, offsetBytes + done);
    if (count === 0) throw Object.assign(new Error('unexpected end of the file'), { code: 'EOF' });
    done += count;
  }
}

function writeFully(fd: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, offsetBytes + done);
  }
}
