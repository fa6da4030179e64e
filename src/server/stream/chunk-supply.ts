/**
 * The chunks that the stream has in memory to send: read ahead of the pass, or read again to mend
 * what clients lack. They are pinned in the cache until they went out.
 */

import type { BlockMapBuilder } from '../../image/block-map.js';
import { Encoding } from '../../protocol/block.js';
import type { ReadOutcome } from '../outputs.js';
import type { BlankRuns } from './blank-runs.js';
import type { CheckQueue } from './check-queue.js';
import type { CacheEntry, ChunkCache } from './chunk-cache.js';
import type { PendingImage } from './pending-image.js';
import type { RepairQueue } from './repair-queue.js';

/** A chunk that the stream wants in one of its slots. */
export interface StreamRead {
  chunk: number;
  slot: number;
  /** For repairs: it must come encoded as clients already hold parts of it. */
  mends: boolean;
}

/** What is to be sent: the pass, runs of what needs no blocks, and what clients lack parts of. */
interface SendQueues {
  pending: PendingImage;
  blanks: BlankRuns;
  repairs: RepairQueue;
  checks: CheckQueue;
}

/** More are ordered when so many have been sent: some at once cost less than one by one. */
const AHEAD_STEP = 2;
/** While repairs wait, one chunk is read for the pass after so many for them. */
const MENDS_PER_READ = 4;

export class ChunkSupply {
  private readonly cache: ChunkCache;
  private readonly map: BlockMapBuilder;
  private readonly queues: SendQueues;
  /** Chunks that were read to send repairs of them. */
  private readonly mending = new Map<number, CacheEntry>();
  /** The pass's next chunks; the first one is being sent. */
  private readonly ahead: CacheEntry[] = [];
  private readonly mostAhead: number;
  private readonly mostMending: number;
  private isReadingAhead = true;
  /** Chunks read for repairs since the last one that was for the pass. */
  private mendsInTurn = 0;

  constructor(cache: ChunkCache, map: BlockMapBuilder, queues: SendQueues) {
    this.cache = cache;
    this.map = map;
    this.queues = queues;
    // Most slots are for what was sent already, and may have to be mended.
    this.mostAhead = Math.max(1, Math.floor(cache.slotCount / 3));
    this.mostMending = Math.max(1, Math.floor(cache.slotCount / 4));
  }

  /** Chunks of the pass that are in memory or on their way there. */
  get aheadCount(): number {
    return this.ahead.length;
  }

  isAhead(chunk: number): boolean {
    return this.ahead.some((entry) => entry.chunk === chunk);
  }

  /** The pass's next chunk. V8 gives up optimized code that reads beyond an array's end. */
  get head(): CacheEntry | undefined {
    return this.ahead.length > 0 ? this.ahead[0] : undefined;
  }

  /** The pass's next chunk, if it can be sent now. */
  get sendableHead(): CacheEntry | undefined {
    const head = this.head;
    return head === undefined || head.state !== 'ready' || head.zero ? undefined : head;
  }

  /** The pass goes on behind its first chunk. */
  leaveHead(): void {
    const head = this.ahead.shift();
    if (head !== undefined) head.pins--;
  }

  /**
   * Chunks of which all blocks are still to be sent, though they are pending no more. Pushed one by
   * one, they are an array of one kind; `map` makes two, for which V8 gives up what looks through
   * them.
   * @param isHeadBegun some blocks of the first one went out
   */
  underway(isHeadBegun: boolean): number[] {
    const chunks: number[] = [];
    for (let i = isHeadBegun ? 1 : 0; i < this.ahead.length; i++) chunks.push(this.ahead[i]!.chunk);
    return chunks;
  }

  /** A chunk that is in the cache, whoever had it read. */
  readyOf(chunk: number): CacheEntry | null {
    const entry = this.cache.find(chunk);
    return entry?.state === 'ready' ? entry : null;
  }

  /** Something that clients lack a part of can be sent without waiting for a read. */
  get canMend(): boolean {
    for (const chunk of this.mended()) if (this.readyOf(chunk) !== null) return true;
    return false;
  }

  /**
   * Next chunk to read: for repairs, or ahead of the pass; null for now. While more chunks wait for
   * repairs than can be read for them at once, the pass has to be slow: else half chunks would pile
   * up in the clients' memory until they have to be given up, which makes more repairs.
   */
  pollRead(): StreamRead | null {
    const order = this.readForRepairs();
    if (order !== null) {
      this.mendsInTurn++;
      return order;
    }
    const isBehind = this.mending.size >= this.mostMending;
    if (isBehind && this.mendsInTurn < MENDS_PER_READ) return null;
    const ahead = this.readAhead();
    if (ahead !== null) this.mendsInTurn = 0;
    return ahead;
  }

  /** Takes what came of a read order. */
  handleRead(slot: number, outcome: ReadOutcome, isPlain = false): void {
    const entry = this.cache.entryOfSlot(slot);
    entry.isPlain = isPlain;
    if (outcome.kind === 'failed') {
      this.dropRepair(entry.chunk);
      this.dropChecks(entry.chunk);
      this.cache.failed(entry);
    } else if (outcome.kind === 'zero') {
      this.cache.ready(entry, 0, Encoding.raw, 0, true);
    } else {
      this.cache.ready(entry, outcome.encodedLength, outcome.encoding, outcome.variant, false);
    }
  }

  dropRepair(chunk: number): void {
    this.queues.repairs.drop(chunk);
    this.unpin(chunk);
  }

  dropChecks(chunk: number): void {
    this.queues.checks.drop(chunk);
    this.unpin(chunk);
  }

  /** Nobody waits for any of it. */
  forget(): void {
    for (const entry of this.ahead.splice(0)) entry.pins--;
    for (const { chunk } of [...this.queues.repairs.values()]) this.dropRepair(chunk);
    for (const chunk of [...this.queues.checks.chunks()]) this.dropChecks(chunk);
  }

  /** Nobody waits for repairs or checks of this chunk any more. */
  private unpin(chunk: number): void {
    const entry = this.mending.get(chunk);
    if (entry === undefined) return;
    entry.pins--;
    this.mending.delete(chunk);
  }

  /** Chunks of which clients lack only a part. */
  private *mended(): Generator<number> {
    for (const { chunk } of this.queues.repairs.values()) yield chunk;
    yield* this.queues.checks.chunks();
  }

  private readForRepairs(): StreamRead | null {
    for (const chunk of this.mended()) {
      if (this.mending.size >= this.mostMending) return null;
      if (this.cache.find(chunk) !== undefined) continue;
      const entry = this.cache.claim(chunk);
      if (entry === null) return null;
      entry.pins++;
      this.mending.set(chunk, entry);
      return { chunk, slot: entry.slot, mends: true };
    }
    return null;
  }

  private readAhead(): StreamRead | null {
    const { pending } = this.queues;
    const length = this.ahead.length;
    if (length === 0 || length <= this.mostAhead - AHEAD_STEP) this.isReadingAhead = true;
    while (this.isReadingAhead) {
      if (this.ahead.length >= this.mostAhead) {
        this.isReadingAhead = false;
        break;
      }
      const chunk = pending.peek();
      if (chunk < 0) return null;
      if (this.map.isZero(chunk) || this.map.isFree(chunk)) {
        if (!this.takeBlanks(chunk)) return null;
        continue;
      }
      const cached = this.cache.findToSend(chunk);
      const entry = cached ?? this.cache.claim(chunk);
      if (entry === null) return null;
      entry.pins++;
      pending.take();
      this.ahead.push(entry);
      if (cached === undefined) return { chunk, slot: entry.slot, mends: false };
    }
    return null;
  }

  /** Takes a run of what needs no blocks off the pass. @returns false when it has to wait */
  private takeBlanks(first: number): boolean {
    const { pending, blanks } = this.queues;
    if (blanks.isFull) return false;
    const isFree = this.map.isFree(first);
    const isAlike = (chunk: number): boolean =>
      isFree ? this.map.isFree(chunk) : this.map.isZero(chunk);
    blanks.add(isFree, pending.takeRun(isAlike));
    return true;
  }
}
