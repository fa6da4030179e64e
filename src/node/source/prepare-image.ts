/** `multiserver --prepare`: makes the block map ahead of time, on all cores, and serves nobody. */

import { Failure } from '../../failure.js';
import { BlockMapBuilder, type Digest } from '../../image/block-map.js';
import { noteFree } from '../../image/free-chunks.js';
import { chunkSizeFor, Geometry } from '../../image/geometry.js';
import type { ServerEvent } from '../../server/events.js';
import { Preparation } from '../../server/source/preparation.js';
import { loadBlake3 } from '../system/blake3.js';
import { now } from '../system/clock.js';
import { ALL_CORES, ChunkJobs } from '../workers/chunk-jobs.js';
import { ChunkMemory } from '../workers/chunk-memory.js';
import { outcomeOf } from './chunk-reading.js';
import type { FileImage } from './file-image.js';
import { searchHoles } from './holes.js';
import type { ImageWatch } from './image-source.js';
import { writeStatement } from './statement-file.js';

const PROGRESS_MS = 200;
/** A chunk is read to learn what it is, and for nothing else. */
const LOOK = { slot: -1, level: 0, isRepeat: false, isPlain: false } as const;

export async function prepareImage(
  image: FileImage,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = now();
  const digestOf = await loadBlake3();
  const geometry = new Geometry(image.sizeBytes, chunkSizeFor(image.sizeBytes));
  const cache = image.mapCache(geometry);
  if (cache === null) {
    const text =
      `no block map can be kept of ${image.path}: it is not a plain file, or lies on a file ` +
      'system that does not date each change (FAT, exFAT, network shares); serve it as it is';
    throw new Failure('source', 'NOT_CACHED', text);
  }
  const known = cache.load(geometry, digestOf);
  if (known !== null) {
    const elapsedMs = now() - startedMs;
    const text = writeStatement(image.path, image.name, known);
    observe({ type: 'notice', text });
    observe({ type: 'prepared', mapId: known.id.toString('hex'), elapsedMs, fromCache: true });
    return;
  }
  const builder = new BlockMapBuilder(geometry, digestOf);
  if (image.used !== null) noteFree(builder, image.used);
  await learnAll(image, builder, digestOf, observe, signal);
  const map = builder.finish();
  const trouble = await cache.save(map);
  if (trouble !== null) {
    const text = `cannot keep the block map as ${cache.path}: ${trouble}`;
    throw new Failure('source', 'CANNOT_WRITE_MAP', text);
  }
  observe({ type: 'notice', text: writeStatement(image.path, image.name, map) });
  const elapsedMs = now() - startedMs;
  observe({ type: 'prepared', mapId: map.id.toString('hex'), elapsedMs, fromCache: false });
}

async function learnAll(
  image: FileImage,
  builder: BlockMapBuilder,
  digestOf: Digest,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { geometry } = builder;
  const memory = new ChunkMemory(0, 0);
  const jobs = new ChunkJobs(memory, digestOf, ALL_CORES);
  const reader = image.reader(jobs, memory, geometry, null);
  let watch: ImageWatch | undefined;
  let isOver = false;
  const timer = setInterval(() => {
    observe({ type: 'preparing', ratio: builder.knownCount / geometry.chunkCount });
  }, PROGRESS_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      watch = image.watch(reject);
      const config = {
        map: builder,
        readers: () => jobs.workerCount,
        idleCores: () => Number.POSITIVE_INFINITY,
      };
      const preparation = new Preparation(config);
      /** @returns false when no more are to be read at once */
      const readNext = (): boolean => {
        const chunk = preparation.poll(now(), false);
        if (chunk < 0) return false;
        reader.read({ ...LOOK, chunk }, (result) => {
          preparation.ended();
          if (result.kind === 'failed') {
            reject(unreadable(image.path, geometry, chunk, result.reason));
          } else {
            preparation.learn(chunk, outcomeOf(result));
            advance();
          }
        });
        return true;
      };
      const advance = (): void => {
        while (readNext());
        // A change since the watch last looked: the map would be one of a mixture.
        if (preparation.takeComplete() && watch!.mapped()) resolve();
      };
      searchHoles(
        builder,
        image.extents,
        () => isOver,
        () => {
          preparation.begin();
          advance();
        },
      );
    });
  } finally {
    isOver = true;
    clearInterval(timer);
    watch?.close();
    await jobs.close();
  }
}

function unreadable(path: string, geometry: Geometry, chunk: number, reason: string): Failure {
  const first = geometry.chunkOffset(chunk);
  const last = first + geometry.chunkLength(chunk) - 1;
  const place = `bytes ${first} to ${last} of ${path}`;
  const text = `${place} cannot be read: ${reason}; mend the source first`;
  return new Failure('source', 'UNREADABLE', text);
}
