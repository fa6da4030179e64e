/** Prepares the block map in the background, while serving has begun already. */
import type { BlockMapBuilder } from '../image/block-map.js';
import type { ChunkResult } from './chunk-jobs.js';
import type { ChunkPool } from './chunk-pool.js';

export interface PreparationEvents {
  onComplete: () => void;
  onUnreadable: (chunk: number, reason: string) => void;
}

export class Preparation {
  readonly #map: BlockMapBuilder;
  readonly #pool: ChunkPool;
  readonly #fd: number;
  readonly #events: PreparationEvents;
  #next = 0;
  #running = 0;
  #isComplete = false;

  constructor(map: BlockMapBuilder, pool: ChunkPool, fd: number, events: PreparationEvents) {
    this.#map = map;
    this.#pool = pool;
    this.#fd = fd;
    this.#events = events;
  }

  /** Keeps the pool's patient queue filled. */
  advance(): void {
    const { geometry } = this.#map;
    while (this.#running < this.#pool.workerCount) {
      const chunk = this.#map.nextUnknown(this.#next);
      if (chunk < 0) break;
      this.#next = chunk + 1;
      this.#running++;
      this.#pool.submitPatient(
        {
          op: 'read',
          fd: this.#fd,
          offsetBytes: geometry.chunkOffset(chunk),
          lengthBytes: geometry.chunkLength(chunk),
          memoryOffset: -1,
          wantsDigest: true,
        },
        (result) => {
          this.#running--;
          this.learn(chunk, result);
          this.advance();
        },
      );
    }
  }

  /** Takes what was found out about a chunk, here or by reading it for the network. */
  learn(chunk: number, result: ChunkResult): void {
    if (result.kind === 'zero') this.#map.setZero(chunk);
    else if (result.kind === 'data' && result.digest !== null) {
      this.#map.setData(chunk, result.digest);
    } else if (result.kind === 'failed') {
      this.#events.onUnreadable(chunk, result.reason);
    }
    if (this.#map.isComplete && !this.#isComplete) {
      this.#isComplete = true;
      this.#events.onComplete();
    }
  }
}
