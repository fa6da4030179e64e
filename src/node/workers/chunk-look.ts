/** A worker's look at what a target holds: its digest, or that it is nothing but zeros. */
import { createHash, type Hash } from 'node:crypto';
import { fstatSync, readSync } from 'node:fs';
import { loadNative } from '../native.js';
import type { ChunkJob } from './chunk-jobs.js';

const PIECE_BYTES = 1024 * 1024;
/** What reads that pass the cache by must be aligned to: the largest sector in use. */
export const DIRECT_ALIGNMENT_BYTES = 4096;

const ZEROS = Buffer.alloc(PIECE_BYTES);
const NOT_ZERO = new Uint8Array(0);
let piece: Buffer | null = null;

/** Memory at an address that direct reads accept. */
function alignedPiece(): Buffer {
  if (piece !== null) return piece;
  const bytes = Buffer.allocUnsafeSlow(PIECE_BYTES + DIRECT_ALIGNMENT_BYTES);
  const address = loadNative()?.addressOf(bytes) ?? 0n;
  const start = Number(-address & BigInt(DIRECT_ALIGNMENT_BYTES - 1));
  piece = bytes.subarray(start, start + PIECE_BYTES);
  return piece;
}

/**
 * @returns the SHA-256 of what is there; null for zeros; empty when it is not zeros and no
 *   digest is wanted
 * @throws when it cannot be read, or ends before
 */
export function look(job: ChunkJob & { op: 'check' }): Uint8Array | null {
  if (!job.wantsDigest && !job.isDirect && isHole(job)) return null;
  let hash: Hash | null = null;
  for (let done = 0; done < job.lengthBytes; ) {
    const wanted = Math.min(PIECE_BYTES, job.lengthBytes - done);
    const bytes = readPiece(job, job.offsetBytes + done, wanted);
    if (hash === null && bytes.compare(ZEROS, 0, wanted) !== 0) {
      if (!job.wantsDigest) return NOT_ZERO;
      hash = createHash('sha256');
      for (let left = done; left > 0; left -= PIECE_BYTES) {
        hash.update(ZEROS.subarray(0, Math.min(left, PIECE_BYTES)));
      }
    }
    hash?.update(bytes);
    done += wanted;
  }
  return hash?.digest() ?? null;
}

/** Whether the whole place lies in a hole of the file: that is known without reading. */
function isHole({ fd, offsetBytes, lengthBytes }: ChunkJob & { op: 'check' }): boolean {
  const dataBytes = loadNative()?.seekData(fd, offsetBytes) ?? null;
  const endBytes = offsetBytes + lengthBytes;
  if (dataBytes === null || (dataBytes >= 0 && dataBytes < endBytes)) return false;
  // Past the end of a file there is no data either, but no hole.
  return fstatSync(fd).size >= endBytes;
}

function readPiece(job: ChunkJob & { op: 'check' }, offsetBytes: number, wanted: number): Buffer {
  const bytes = alignedPiece();
  // The image may end within a sector; what follows it there is read along.
  const most = job.isDirect ? roundUp(wanted) : wanted;
  for (let done = 0; done < wanted; ) {
    const count = readSync(job.fd, bytes, done, most - done, offsetBytes + done);
    if (count === 0) throw Object.assign(new Error('the target ends there'), { code: 'EOF' });
    done += count;
  }
  return bytes.subarray(0, wanted);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / DIRECT_ALIGNMENT_BYTES) * DIRECT_ALIGNMENT_BYTES;
}
