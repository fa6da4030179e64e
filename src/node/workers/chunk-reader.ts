/** Reads chunks for the network: submits the jobs, and lets each outcome teach the compression. */
import type { BlockMapBuilder } from '../../image/block-map.js';
import type { ReadOrder } from '../../server/orders.js';
import { now } from '../clock.js';
import type { ChunkResult } from './chunk-jobs.js';
import type { ChunkMemory } from './chunk-memory.js';
import type { ChunkTurns } from './chunk-turns.js';
import type { Compression } from './compression.js';

/** So many chunks of the pass underway at once, and the network must be waiting for them. */
const MANY_UNDERWAY = 8;
/** The pass reads some chunks at once, and then none for a while. */
const PAUSE_MS = 50;

export class ChunkReader {
  readonly #map: BlockMapBuilder;
  readonly #jobs: Pick<ChunkTurns, 'submit'>;
  readonly #memory: ChunkMemory;
  readonly #fd: number;
  readonly #compression: Compression;
  #underway = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    map: BlockMapBuilder,
    jobs: Pick<ChunkTurns, 'submit'>,
    memory: ChunkMemory,
    fd: number,
    compression: Compression,
  ) {
    this.#map = map;
    this.#jobs = jobs;
    this.#memory = memory;
    this.#fd = fd;
    this.#compression = compression;
  }

  /** Whether chunks are wanted one after the other. */
  isStreaming(nowMs: number): boolean {
    return this.#underway > 0 || nowMs - this.#lastMs < PAUSE_MS;
  }

  read({ chunk, slot, mends }: ReadOrder, done: (result: ChunkResult) => void): void {
    const { geometry } = this.#map;
    const lengthBytes = geometry.chunkLength(chunk);
    const choice = this.#compression.choose(chunk, mends);
    this.#underway++;
    this.#jobs.submit(
      {
        op: 'read',
        fd: this.#fd,
        offsetBytes: geometry.chunkOffset(chunk),
        lengthBytes,
        memoryOffset: this.#memory.offsetOf(slot),
        // What is known is held against the map: the source may not be what it was.
        wantsDigest: true,
        ...choice,
      },
      (result) => {
        const isBehind = this.#underway >= MANY_UNDERWAY;
        this.#underway--;
        this.#lastMs = now();
        this.#compression.noteRead(chunk, lengthBytes, choice, result, isBehind, this.#lastMs);
        done(result);
      },
    );
  }
}
