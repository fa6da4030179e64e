/** Orders of the server's machine to read a chunk, as jobs for the workers. */
import type { Geometry } from '../../image/geometry.js';
import type { ReadOutcome } from '../../server/outputs.js';
import type { ChunkJob, ChunkResult } from '../workers/chunk-jobs.js';

/**
 * @param memoryOffset where it goes; -1 where only what it is is of interest
 * @param level of compression; 0 for none
 * @param isRepeat it was sent like this before, and must come out the same
 */
export function readJob(
  fd: number,
  geometry: Geometry,
  chunk: number,
  memoryOffset = -1,
  level = 0,
  isRepeat = false,
): ChunkJob {
  const offsetBytes = geometry.chunkOffset(chunk);
  const lengthBytes = geometry.chunkLength(chunk);
  // What is known is held against the map: the source may not be what it was.
  const wantsDigest = true;
  return { op: 'read', fd, offsetBytes, lengthBytes, memoryOffset, wantsDigest, level, isRepeat };
}

export function outcomeOf(result: ChunkResult): ReadOutcome {
  switch (result.kind) {
    case 'data': {
      const { digest } = result;
      if (digest === null) throw new Error('a chunk was read without its digest');
      return { ...result, digest };
    }
    case 'zero':
    case 'failed':
      return result;
    default:
      throw new Error(`a read came to ${result.kind}`);
  }
}
