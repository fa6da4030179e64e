/**
 * Single blocks that clients lack of chunks that have partly arrived. They are sent soon, ahead
 * of the pass, so that half chunks don't pile up in the clients' memory.
 */

import type { Run } from '../../protocol/run.js';

/** Chunks with repairs wanted, at most; past that a chunk waits for the pass. */
const MAX_CHUNKS = 1024;
/** Repairs remembered as sent, so that a second client's same request adds nothing. */
const MAX_REMEMBERED = 1024;

export interface Repair {
  chunk: number;
  /** Blocks wanted. */
  blocks: Set<number>;
}

export class RepairQueue {
  private readonly wanted = new Map<number, Repair>();
  /** By chunk: the position at which each repaired block last went out. */
  private readonly sent = new Map<number, Map<number, number>>();

  get isEmpty(): boolean {
    return this.wanted.size === 0;
  }

  get size(): number {
    return this.wanted.size;
  }

  /**
   * Asks for blocks of a chunk, less those repaired since the client last looked.
   * @param blockCount blocks of the chunk; runs beyond it are cut off
   * @returns blocks now wanted of this chunk, or -1 when there is no room for another chunk
   */
  add(chunk: number, runs: readonly Run[], asOfPosition: number, blockCount: number): number {
    let repair = this.wanted.get(chunk);
    if (repair === undefined && this.wanted.size >= MAX_CHUNKS) return -1;
    const sent = this.sent.get(chunk);
    for (const run of runs) {
      const end = Math.min(run.first + run.count, blockCount);
      for (let block = run.first; block < end; block++) {
        const sentAt = sent?.get(block);
        if (sentAt !== undefined && sentAt >= asOfPosition) continue;
        if (repair === undefined) {
          repair = { chunk, blocks: new Set() };
          this.wanted.set(chunk, repair);
        }
        repair.blocks.add(block);
      }
    }
    return repair === undefined ? 0 : repair.blocks.size;
  }

  /** Repairs in the order in which they were first asked for. */
  values(): IterableIterator<Repair> {
    return this.wanted.values();
  }

  /** Notes that `block` of a wanted chunk went out at `position`. */
  noteSent(repair: Repair, block: number, position: number): void {
    repair.blocks.delete(block);
    if (repair.blocks.size === 0) this.wanted.delete(repair.chunk);
    let sent = this.sent.get(repair.chunk);
    if (sent === undefined) {
      if (this.sent.size >= MAX_REMEMBERED) {
        this.sent.delete(this.sent.keys().next().value as number);
      }
      sent = new Map();
      this.sent.set(repair.chunk, sent);
    }
    sent.set(block, position);
  }

  clear(): void {
    this.wanted.clear();
  }

  drop(chunk: number): void {
    this.wanted.delete(chunk);
  }
}
