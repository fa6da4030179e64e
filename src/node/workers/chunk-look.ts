/** A worker's look at what a target holds: its digest, or that it is nothing but zeros. */

import { fstatSync, readSync } from 'node:fs';
import { isZero } from '../../codec/zeros.js';
import type { Digest } from '../../image/block-map.js';
import { loadNative } from '../system/native.js';
import type { ChunkJob } from './chunk-job.js';
import { PAGE_BYTES, pageMemory } from './page-memory.js';

const PIECE_BYTES = 1024 * 1024;
const NOT_ZERO = new Uint8Array(0);
let memory: Buffer = Buffer.alloc(0);

/**
 * @returns the digest of what is there; null for zeros; empty when it is not zeros and no
 *   digest is wanted
 * @throws when it cannot be read, or ends before
 */
export function look(job: ChunkJob & { op: 'check' }, digestOf: Digest): Uint8Array | null {
  if (isHole(job)) return null;
  // A digest is that of one chunk. What is only to be zeros may be of any length.
  const pieceBytes = job.wantsDigest ? job.lengthBytes : PIECE_BYTES;
  for (let done = 0; done < job.lengthBytes; done += pieceBytes) {
    const wanted = Math.min(pieceBytes, job.lengthBytes - done);
    const bytes = readPiece(job, job.offsetBytes + done, wanted);
    if (!isZero(bytes)) return job.wantsDigest ? digestOf(bytes) : NOT_ZERO;
  }
  return null;
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
  // The image may end within a sector; what follows it there is read along.
  const most = job.isDirect ? roundUp(wanted) : wanted;
  if (memory.length < most) memory = pageMemory(most);
  for (let done = 0; done < wanted; ) {
    const count = readSync(job.fd, memory, done, most - done, offsetBytes + done);
    if (count === 0) throw Object.assign(new Error('the target ends there'), { code: 'EOF' });
    done += count;
  }
  return memory.subarray(0, wanted);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
