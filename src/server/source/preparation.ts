/**
 * Learns the block map in the background, chunk by chunk, while serving has begun already. What is
 * read for the network teaches the map as well, and is held against it: a source may change.
 */

import type { BlockMapBuilder } from '../../image/block-map.js';
import type { ReadOutcome } from '../outputs.js';

/**
 * While chunks are read for the network, which prepares the map as well, only idle cores read
 * ahead of it: else each chunk would be read twice, at the cost of those who wait for it.
 */
const SPARE_CORES = 0.25;
const LOOK_AGAIN_MS = 50;
/** What could not be read is tried again: a disk may take seconds to fail, so ever less often. */
const RETRY_MS = 5_000;
const MAX_RETRY_MS = 60_000;

export interface PreparationConfig {
  map: BlockMapBuilder;
  /** How many chunks may be read at once only to learn what they are. */
  readers: () => number;
  /** How many processor cores are idle. */
  idleCores: (now: number) => number;
}

export class Preparation {
  private readonly config: PreparationConfig;
  private next = 0;
  private running = 0;
  private hasBegun = false;
  private isCompleteTold = false;
  /** When what could not be read is tried again; null while more is to be read before. */
  private retryMs: number | null = null;
  private retryAfterMs = RETRY_MS;
  /** Not before this is looked again whether a core is idle; null while none is waited for. */
  private lookMs: number | null = null;

  constructor(config: PreparationConfig) {
    this.config = config;
  }

  /** What can be known without reading is known. */
  begin(): void {
    this.hasBegun = true;
  }

  /** When `poll` looks again: for an idle core, or at what failed. Infinity for neither. */
  get dueMs(): number {
    return Math.min(
      this.lookMs ?? Number.POSITIVE_INFINITY,
      this.retryMs ?? Number.POSITIVE_INFINITY,
    );
  }

  /**
   * The next chunk to read, or -1 for now.
   * @param isStreaming whether chunks are read for the network
   */
  poll(now: number, isStreaming: boolean): number {
    const { map, readers, idleCores } = this.config;
    const mayRead = this.hasBegun && !map.isComplete && this.running < readers();
    if (mayRead && isStreaming && this.lookMs !== null && now < this.lookMs) return -1;
    this.lookMs = null;
    if (mayRead) this.lookForRetry(now);
    else if (map.isComplete) this.retryMs = null;
    const chunk = mayRead ? map.nextUnknown(this.next) : -1;
    if (chunk < 0) return -1;
    if (isStreaming && idleCores(now) < SPARE_CORES) {
      this.lookMs = now + LOOK_AGAIN_MS;
      return -1;
    }
    this.next = chunk + 1;
    this.running++;
    return chunk;
  }

  /** All else is known: what could not be read is looked at from the beginning, in a while. */
  private lookForRetry(now: number): void {
    const isAtEnd = this.running === 0 && this.config.map.nextUnknown(this.next) < 0;
    if (!isAtEnd) {
      this.retryMs = null;
    } else if (this.retryMs === null) {
      this.retryMs = now + this.retryAfterMs;
      this.retryAfterMs = Math.min(2 * this.retryAfterMs, MAX_RETRY_MS);
    } else if (now >= this.retryMs) {
      this.retryMs = null;
      this.next = 0;
    }
  }

  /** A read that `poll` asked for has ended. */
  ended(): void {
    this.running--;
  }

  /**
   * Takes what a chunk was found to be.
   * @returns whether it is what the map has, or is new to it: nothing else may be sent
   */
  learn(chunk: number, outcome: ReadOutcome): boolean {
    const { map } = this.config;
    if (outcome.kind === 'failed') return true;
    if (outcome.kind === 'zero') return map.setZero(chunk);
    return map.setData(chunk, outcome.digest);
  }

  /** Whether all is known; true once. */
  takeComplete(): boolean {
    const isNews = this.hasBegun && !this.isCompleteTold && this.config.map.isComplete;
    if (isNews) this.isCompleteTold = true;
    return isNews;
  }
}
