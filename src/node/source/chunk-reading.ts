/** Orders of the server's machine to read a chunk, as jobs for the workers. */
import type { Geometry } from '../../image/geometry.js';
import type { UsedMap } from '../../image/used-map.js';
import type { ReadOutcome } from '../../server/outputs.js';
import type { ChunkJob, ChunkResult } from '../workers/chunk-job.js';

/** Where chunks are read. */
export interface ChunkSource {
  /** -1 where the bytes are in memory already. */
  fd: number;
  geometry: Geometry;
  /** Null where all of it counts as used. */
  used: UsedMap | null;
}

/**
 * @param memoryOffset where it goes; -1 where only what it is is of interest
 * @param level of compression; 0 for none
 * @param isRepeat it was sent like this before, and must come out the same
 * @param isPlain it is to come out as it is, with what is unused as zeros
 * @param chunkKey what it is sealed with; null for not at all
 */
export function readJob(
  { fd, geometry, used }: ChunkSource,
  chunk: number,
  memoryOffset: number,
  level: number,
  isRepeat: boolean,
  isPlain: boolean,
  chunkKey: Uint8Array | null,
): ChunkJob {
  const offsetBytes = geometry.chunkOffset(chunk);
  const lengthBytes = geometry.chunkLength(chunk);
  // What is known is held against the map: the source may not be what it was.
  const wantsDigest = true;
  const unused = used === null ? null : unusedIn(used, offsetBytes, lengthBytes);
  const seal = chunkKey === null ? null : { chunk, key: chunkKey };
  const how = { wantsDigest, level, isRepeat, isPlain, unused, seal };
  return { op: 'read', fd, offsetBytes, lengthBytes, memoryOffset, ...how };
}

/** Where each unused run of a chunk begins and ends, within it; null where there is none. */
function unusedIn(used: UsedMap, offsetBytes: number, lengthBytes: number): number[] | null {
  const runs: number[] = [];
  used.forEachUnused(offsetBytes, offsetBytes + lengthBytes, (start, end) => {
    runs.push(start - offsetBytes, end - offsetBytes);
  });
  return runs.length > 0 ? runs : null;
}

/** As `readJob`, of a chunk whose bytes are at `memoryOffset` already. */
export function loadedReadJob(
  geometry: Geometry,
  chunk: number,
  memoryOffset: number,
  level: number,
  isRepeat: boolean,
  isPlain: boolean,
  chunkKey: Uint8Array | null,
): ChunkJob {
  const source = { fd: -1, geometry, used: null };
  return readJob(source, chunk, memoryOffset, level, isRepeat, isPlain, chunkKey);
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
