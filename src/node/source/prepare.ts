/** Prepares the block map in the background, while serving has begun already. */
import type { BlockMapBuilder } from '../../image/block-map.js';
import { now } from '../clock.js';
import { IdleCores } from '../idle-cores.js';
import type { ChunkResult } from '../workers/chunk-jobs.js';
import type { ChunkPool } from '../workers/chunk-pool.js';
import { type ExtentFinder, HoleSearch } from './holes.js';

/**
 * While chunks are read for the network, which prepares the map as well, only idle cores read ahead of
 * it: else each chunk would be read twice, at the cost of those who wait for it.
 */
const SPARE_CORES = 0.25;
const LOOK_AGAIN_MS = 50;

export type PatientJobs = Pick<ChunkPool, 'submitPatient' | 'workerCount'>;

export interface PreparationEvents {
  /** Whether chunks are read for the network. */
  isStreaming: () => boolean;
  onComplete: () => void;
  onUnreadable: (chunk: number, reason: string) => void;
  /** A chunk is not what it was. @param what a clause */
  onChanged: (what: string) => void;
}

export class Preparation {
  readonly #map: BlockMapBuilder;
  readonly #jobs: PatientJobs;
  readonly #fd: number;
  readonly #events: PreparationEvents;
  readonly #holes: HoleSearch | null;
  readonly #idle: Pick<IdleCores, 'count'>;
  #next = 0;
  #running = 0;
  #timer: NodeJS.Timeout | undefined;
  #isComplete = false;
  #isStopped = false;

  /** @param extents null where holes have to be read to be found */
  constructor(
    map: BlockMapBuilder,
    jobs: PatientJobs,
    fd: number,
    extents: ExtentFinder | null,
    events: PreparationEvents,
    idle: Pick<IdleCores, 'count'> = new IdleCores(now()),
  ) {
    this.#map = map;
    this.#jobs = jobs;
    this.#fd = fd;
    this.#holes = extents === null ? null : new HoleSearch(map, extents);
    this.#events = events;
    this.#idle = idle;
  }

  /**
   * Looks for holes, for a few milliseconds at once: they are known before clients ask, unless
   * there are very many. Then reads what is left.
   */
  begin(): void {
    if (this.#isStopped) return;
    const isSearched = this.#holes?.advance(now) ?? true;
    if (!isSearched) {
      setImmediate(() => this.begin());
      return;
    }
    this.#checkComplete();
    this.#advance();
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  get #mustWait(): boolean {
    return this.#idle.count(now()) < SPARE_CORES && this.#events.isStreaming();
  }

  /** Keeps the patient queue filled. */
  #advance(): void {
    const { geometry } = this.#map;
    while (this.#running < this.#jobs.workerCount && !this.#isStopped) {
      if (this.#mustWait) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#advance(), LOOK_AGAIN_MS);
        return;
      }
      const chunk = this.#map.nextUnknown(this.#next);
      if (chunk < 0) break;
      this.#next = chunk + 1;
      this.#running++;
      this.#jobs.submitPatient(
        {
          op: 'read',
          fd: this.#fd,
          offsetBytes: geometry.chunkOffset(chunk),
          lengthBytes: geometry.chunkLength(chunk),
          memoryOffset: -1,
          wantsDigest: true,
          level: 0,
          isRepeat: false,
        },
        (result) => {
          this.#running--;
          this.learn(chunk, result);
          this.#advance();
        },
      );
    }
  }

  /**
   * Takes what was found out about a chunk, here or by reading it for the network.
   * @returns whether it is what the map has: nothing else may be sent
   */
  learn(chunk: number, result: ChunkResult): boolean {
    const agrees = result.kind === 'failed' || this.#agrees(chunk, result);
    if (result.kind === 'failed') {
      this.#events.onUnreadable(chunk, result.reason);
    } else if (!agrees) {
      const { geometry } = this.#map;
      const firstByte = geometry.chunkOffset(chunk);
      const lastByte = firstByte + geometry.chunkLength(chunk) - 1;
      this.#events.onChanged(`has changed, somewhere in bytes ${firstByte} to ${lastByte},`);
    }
    this.#checkComplete();
    return agrees;
  }

  /** Whether what was read is what the map has, or is new to it. */
  #agrees(chunk: number, result: ChunkResult): boolean {
    if (result.kind === 'zero') return this.#map.setZero(chunk);
    if (result.kind !== 'data') return true;
    if (result.digest !== null) return this.#map.setData(chunk, result.digest);
    return !this.#map.isZero(chunk);
  }

  #checkComplete(): void {
    if (!this.#map.isComplete || this.#isComplete) return;
    this.#isComplete = true;
    this.#events.onComplete();
  }
}
