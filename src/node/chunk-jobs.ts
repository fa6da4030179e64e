/** What passes between the main thread and the chunk workers. */

export type ChunkJob =
  | {
      op: 'read';
      fd: number;
      offsetBytes: number;
      lengthBytes: number;
      /** Place in the shared memory; -1 when only the digest is wanted. */
      memoryOffset: number;
      wantsDigest: boolean;
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
    }
  | { op: 'zeros'; fd: number; offsetBytes: number; lengthBytes: number };

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
  | { kind: 'failed'; code: string; reason: string };
