/** Jobs on chunks and what comes of them, as threads tell them each other. */
import type { SealedOrder, SealOrder } from '../../codec/seal.js';

export type ChunkJob =
  | {
      op: 'read';
      /** -1 where the bytes are in memory already. */
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
      /** Place in the shared memory; -1 for the worker's own, when only the digest is wanted. */
      memoryOffset: number;
      wantsDigest: boolean;
      /** Of compression, 1 to 19; 0 for none. */
      level: number;
      /** The chunk was sent compressed at this level before, and must come out the same. */
      isRepeat: boolean;
      /** What no file system uses of it: where each run begins and ends; null for nothing. */
      unused?: readonly number[] | null;
      /** With what it is sealed; not at all if not given. */
      seal?: SealOrder | null;
      /** What is unused is to travel as zeros. */
      isPlain?: boolean;
    }
  | {
      op: 'store';
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
      memoryOffset: number;
      encodedLength: number;
      encoding: 0 | 1;
      expected: Uint8Array | null;
      /** With what it was sealed; not at all if not given. */
      seal?: SealedOrder | null;
    }
  | {
      /** Read what the target holds, to be brought up to date in memory. */
      op: 'load';
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
      memoryOffset: number;
      /** With what it is sealed there; not at all if not given. */
      seal?: SealedOrder | null;
    }
  | {
      op: 'zeros';
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
      /** Rather than writing zeros, give the range back where it reads as zeros then. */
      mayDiscard: boolean;
    }
  | {
      /** Tell the device that nobody needs what is there; it may keep it all the same. */
      op: 'discard';
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
    }
  | {
      /** What does the target hold there? */
      op: 'check';
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
      /** The descriptor passes the system's cache by, and wants memory and places aligned. */
      isDirect: boolean;
      /** Only whether all is zeros is of interest. */
      wantsDigest: boolean;
    };

export type ChunkResult =
  | {
      kind: 'data';
      digest: Uint8Array | null;
      encodedLength: number;
      encoding: 0 | 1;
      variant: number;
    }
  | { kind: 'zero' }
  | { kind: 'stored'; digest: Uint8Array }
  | { kind: 'refused' }
  | { kind: 'loaded' }
  /** What a check found: null for zeros; an empty digest where none was wanted. */
  | { kind: 'found'; digest: Uint8Array | null }
  | { kind: 'failed'; code: string; reason: string };

export type JobDone = (result: ChunkResult) => void;

export interface WaitingJob {
  job: ChunkJob;
  done: JobDone;
}
