/** `multiserver --prepare`: makes the block map ahead of time, on all cores, and serves nobody. */

import { availableParallelism } from 'node:os';
import { Failure } from '../../failure.js';
import { BlockMapBuilder } from '../../image/block-map.js';
import { chunkSizeFor, Geometry } from '../../image/geometry.js';
import type { ServerEvent } from '../../server/events.js';
import { Preparation } from '../../server/preparation.js';
import { loadBlake3 } from '../blake3.js';
import { now } from '../clock.js';
import { ChunkMemory } from '../workers/chunk-memory.js';
import { ChunkPool } from '../workers/chunk-pool.js';
import { outcomeOf, readJob } from './chunk-reading.js';
import { searchHoles } from './holes.js';
import { MapCache } from './map-cache.js';
import type { Source } from './source.js';
import { SourceWatch } from './source-watch.js';

const PROGRESS_MS = 200;

export async function prepareImage(
  source: Source,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = now();
  const digestOf = await loadBlake3();
  const geometry = new Geometry(source.sizeBytes, chunkSizeFor(source.sizeBytes));
  const cache = MapCache.of(source.path, source.fd, geometry);
  if (cache === null) {
    const text = `no block map can be kept of ${source.path}: it is not a plain file, or lies on a file system that does not date each change (FAT, exFAT, network shares); serve it as it is`;
    throw new Failure('source', 'NOT_CACHED', text);
  }
  const known = cache.load(geometry, digestOf);
  if (known !== null) {
    const elapsedMs = now() - startedMs;
    observe({ type: 'prepared', mapId: known.id.toString('hex'), elapsedMs, fromCache: true });
    return;
  }
  const builder = new BlockMapBuilder(geometry, digestOf);
  await learnAll(source, builder, observe, signal);
  const map = builder.finish();
  const trouble = await cache.save(map);
  if (trouble !== null) {
    const text = `cannot keep the block map as ${cache.path}: ${trouble}`;
    throw new Failure('source', 'CANNOT_WRITE_MAP', text);
  }
  const elapsedMs = now() - startedMs;
  observe({ type: 'prepared', mapId: map.id.toString('hex'), elapsedMs, fromCache: false });
}

async function learnAll(
  source: Source,
  builder: BlockMapBuilder,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { geometry } = builder;
  const pool = new ChunkPool(new ChunkMemory(0, 0), availableParallelism());
  let watch: SourceWatch | undefined;
  const timer = setInterval(() => {
    observe({ type: 'preparing', ratio: builder.knownCount / geometry.chunkCount });
  }, PROGRESS_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      watch = new SourceWatch(source.path, source.fd, reject);
      const config = {
        map: builder,
        readers: () => pool.workerCount,
        idleCores: () => Number.POSITIVE_INFINITY,
      };
      const preparation = new Preparation(config);
      /** @returns false when no more are to be read at once */
      const readNext = (): boolean => {
        const chunk = preparation.poll(now(), false);
        if (chunk < 0) return false;
        pool.submitPatient(readJob(source.fd, geometry, chunk), (result) => {
          preparation.ended();
          if (result.kind === 'failed') {
            reject(unreadable(source.path, geometry, chunk, result.reason));
          } else {
            preparation.learn(chunk, outcomeOf(result));
            advance();
          }
        });
        return true;
      };
      const advance = (): void => {
        while (readNext());
        if (preparation.takeComplete()) resolve();
      };
      searchHoles(
        builder,
        source.fd,
        () => signal.aborted,
        () => {
          preparation.begin();
          advance();
        },
      );
    });
    watch?.isUnchanged();
  } finally {
    clearInterval(timer);
    watch?.close();
    await pool.close();
  }
}

function unreadable(path: string, geometry: Geometry, chunk: number, reason: string): Failure {
  const first = geometry.chunkOffset(chunk);
  const last = first + geometry.chunkLength(chunk) - 1;
  const text = `bytes ${first} to ${last} of ${path} cannot be read: ${reason}; mend the source first`;
  return new Failure('source', 'UNREADABLE', text);
}
