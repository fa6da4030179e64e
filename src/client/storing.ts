/** What is to be put on the target, and what came of it. */
import type { Geometry } from '../image/geometry.js';
import { type EncodingId, encodingOfKind } from '../protocol/block.js';
import type { BlockChecks } from '../protocol/block-checks.js';
import type { Run } from '../protocol/run.js';
import type { Assembly } from './assembly.js';
import type { Collector } from './collector.js';
import type { Copy } from './copy.js';
import type { StreamCounters } from './counters.js';
import { Misfits } from './misfits.js';

/** Something to put on the target. */
export type StoreOrder =
  | {
      kind: 'chunk';
      chunk: number;
      /** Memory that holds the encoded chunk. */
      slot: number;
      encodedLength: number;
      encoding: EncodingId;
      offsetBytes: number;
      lengthBytes: number;
      /** When known, nothing that has another digest may be written. */
      expected: Buffer | null;
    }
  | { kind: 'zeros'; first: number; count: number; offsetBytes: number; lengthBytes: number };

export type StoreOutcome =
  | { kind: 'stored'; digest: Uint8Array }
  /** It was not what it should be: a broken frame, or not the expected digest. */
  | { kind: 'refused' };

/** Longest run of zeros stored at once, so that progress shows and memory is bounded. */
const MOST_ZERO_BYTES = 64 * 1024 * 1024;

export class Storing {
  readonly #geometry: Geometry;
  readonly #copy: Copy;
  readonly #assembly: Assembly;
  readonly #counters: StreamCounters;
  readonly #isBlank: boolean;
  readonly #orders: StoreOrder[] = [];
  /** Runs of chunks that are to be stored as zeros. */
  readonly #zeros: Run[] = [];
  readonly misfits: Misfits;

  /** @param isBlank the target reads as zeros wherever nothing was written */
  constructor(copy: Copy, assembly: Assembly, counters: StreamCounters, isBlank: boolean) {
    this.#geometry = copy.geometry;
    this.#copy = copy;
    this.#assembly = assembly;
    this.#counters = counters;
    this.#isBlank = isBlank;
    this.misfits = new Misfits(copy.geometry);
  }

  poll(): StoreOrder | null {
    return this.#orders.shift() ?? this.#pollZeros();
  }

  /** All blocks of a chunk are here. */
  complete(collector: Collector): void {
    const { chunk } = collector;
    this.#assembly.close(collector);
    this.#copy.storing(chunk);
    this.#orders.push({
      kind: 'chunk',
      chunk,
      slot: collector.slot,
      encodedLength: collector.encodedLength,
      encoding: encodingOfKind(collector.kindByte) as EncodingId,
      offsetBytes: this.#geometry.chunkOffset(chunk),
      lengthBytes: this.#geometry.chunkLength(chunk),
      expected: this.#copy.expectedOf(chunk),
    });
  }

  /** A blank target needs no zeros written, as long as nothing wrong was written to it. */
  get #areZerosFree(): boolean {
    return this.#isBlank && this.#counters.chunksRefused === 0;
  }

  /** Orders runs of chunks to be stored as zeros. */
  zeros(runs: readonly Run[]): void {
    for (const { first, count } of runs) this.#zeroRun(first, count);
  }

  #zeroRun(first: number, count: number): void {
    const isFree = this.#areZerosFree;
    for (let chunk = first; chunk < first + count; chunk++) {
      const half = this.#assembly.find(chunk);
      if (half !== undefined) this.#assembly.abandon(half);
      if (!isFree) this.#copy.storing(chunk);
    }
    if (isFree) {
      this.#copy.storedZeros(first, count);
      return;
    }
    this.#zeros.push({ first, count });
  }

  /** Cuts the next piece off the zeros that wait: a run may be the whole of a large disk. */
  #pollZeros(): StoreOrder | null {
    const run = this.#zeros[0];
    if (run === undefined) return null;
    const { first } = run;
    const most = Math.max(1, Math.floor(MOST_ZERO_BYTES / this.#geometry.chunkSizeBytes));
    const count = Math.min(run.count, most);
    run.first += count;
    run.count -= count;
    if (run.count === 0) this.#zeros.shift();
    const offsetBytes = this.#geometry.chunkOffset(first);
    const lengthBytes = this.#geometry.rangeLength(first, count);
    return { kind: 'zeros', first, count, offsetBytes, lengthBytes };
  }

  /**
   * Takes checks of blocks that make the wrong chunk.
   * @param isMapOfSession the server of this session has named the map that the chunk does not fit
   * @returns the chunk to ask for again, or -1
   */
  handleChecks(packet: BlockChecks, isMapOfSession: boolean): number {
    const { chunk, encodedLength, kindByte, first, checks } = packet;
    const collector = this.#assembly.find(chunk);
    if (collector === undefined || !collector.isDoubted) return -1;
    if (collector.encodedLength === encodedLength && collector.kindByte === kindByte) {
      collector.check(first, checks);
      if (collector.isDoubted) return -1;
      if (!collector.isComplete) return chunk;
      // It is just what the server has.
      if (isMapOfSession) this.misfits.note(chunk);
    }
    // Of another encoding, or wrong where it comes from: only the whole chunk may help.
    this.#assembly.abandon(collector);
    return chunk;
  }

  /** @returns the chunk to ask for again, or -1 */
  handleStored(order: StoreOrder, outcome: StoreOutcome): number {
    if (order.kind === 'zeros') {
      this.#copy.storedZeros(order.first, order.count);
      return -1;
    }
    if (outcome.kind === 'stored' && this.#copy.stored(order.chunk, outcome.digest)) {
      this.#assembly.release(order.slot);
      this.misfits.forget(order.chunk);
      return -1;
    }
    this.#counters.chunksRefused++;
    this.#copy.notStored(order.chunk);
    if (this.#copy.isKnownZero(order.chunk)) {
      // A zero chunk that came as data has its true content from the map.
      this.#assembly.release(order.slot);
      this.#zeroRun(order.chunk, 1);
      return -1;
    }
    // Most of its blocks are right: what was damaged on its way is found and asked for alone.
    this.#assembly.doubt(order.slot);
    return order.chunk;
  }
}
