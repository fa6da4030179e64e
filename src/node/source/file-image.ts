/** A file or a block device as what is served: threads read it by its descriptor. */
import { closeSync } from 'node:fs';
import type { Failure } from '../../failure.js';
import type { BlockMap } from '../../image/block-map.js';
import type { Geometry } from '../../image/geometry.js';
import type { UsedMap } from '../../image/used-map.js';
import type { SignedStatement } from '../../server/client-messages.js';
import type { JobDone } from '../workers/chunk-job.js';
import type { ChunkJobs } from '../workers/chunk-jobs.js';
import type { ChunkMemory } from '../workers/chunk-memory.js';
import { type ChunkSource, readJob } from './chunk-reading.js';
import { type ExtentFinder, extentsOf } from './holes.js';
import type { ChunkRead, ChunkReader, ServedImage } from './image-source.js';
import { MapCache } from './map-cache.js';
import { type Source, sectorSizeOfSource } from './source.js';
import type { SourceState } from './source-state.js';
import { SourceWatch } from './source-watch.js';
import { readStatement } from './statement-file.js';

class FileReader implements ChunkReader {
  constructor(
    private readonly source: ChunkSource,
    private readonly jobs: ChunkJobs,
    private readonly memory: ChunkMemory,
    private readonly chunkKey: Uint8Array | null,
  ) {}

  read({ chunk, slot, level, isRepeat, isPlain }: ChunkRead, done: JobDone): void {
    const isPatient = slot < 0;
    const memoryOffset = isPatient ? -1 : this.memory.offsetOf(slot);
    // What is read only to learn what it is does not travel.
    const key = isPatient ? null : this.chunkKey;
    const job = readJob(this.source, chunk, memoryOffset, level, isRepeat, isPlain, key);
    if (isPatient) this.jobs.submitPatient(job, done);
    else this.jobs.submit(job, done);
  }
}

export class FileImage implements ServedImage {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly extents: ExtentFinder | null;
  readonly sectorSizeBytes: number;
  readonly ownSlots = 0;

  constructor(
    private readonly source: Source,
    private readonly state: SourceState,
    readonly used: UsedMap | null = null,
  ) {
    this.name = source.name;
    this.path = source.path;
    this.sizeBytes = source.sizeBytes;
    this.extents = extentsOf(source.fd);
    this.sectorSizeBytes = sectorSizeOfSource(source);
  }

  mapCache(geometry: Geometry): MapCache | null {
    return MapCache.of(this.path, this.source.fd, geometry, this.used);
  }

  reader(
    jobs: ChunkJobs,
    memory: ChunkMemory,
    geometry: Geometry,
    chunkKey: Uint8Array | null,
  ): ChunkReader {
    const source = { fd: this.source.fd, geometry, used: this.used };
    return new FileReader(source, jobs, memory, chunkKey);
  }

  statement(map: BlockMap, tell: (text: string) => void): SignedStatement {
    return readStatement(this.path, this.name, map, tell);
  }

  watch(onChanged: (failure: Failure) => void): SourceWatch {
    return new SourceWatch(this.source, this.state, onChanged);
  }

  close(): void {
    closeSync(this.source.fd);
  }
}
