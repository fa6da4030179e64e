/**
 * What is to be put on the target, and what came of it: chunks that came, runs of nothing, older
 * versions of chunks that are mended, and chunks that never fit.
 */

import { Failure } from '../../failure.js';
import type { Geometry } from '../../image/geometry.js';
import { Encoding, type EncodingId, encodingOfKind, kindOf, Space } from '../../protocol/block.js';
import type { BlockChecks } from '../../protocol/block-checks.js';
import type { Run } from '../../protocol/run.js';
import type { Outbox, StoreOrder, StoreOutcome } from '../outputs.js';
import type { StreamCounters } from '../reports.js';
import { type ClientSealing, sealBytesOf } from '../sealing.js';
import type { ChunkStates } from './chunk-states.js';
import type { Assembly, PartialChunk } from './partial-chunk.js';
import type { BlankKind } from './unproven-digests.js';

/** Longest run of zeros stored at once, so that progress shows and memory is bounded. */
const MAX_BLANK_BYTES = 64 * 1024 * 1024;

export class TargetWrites {
  private readonly geometry: Geometry;
  private readonly orders: StoreOrder[] = [];
  readonly older: OlderChunks;
  private readonly misfits: Misfits;
  /** Runs of chunks that are to be stored as zeros, or cleared as nothing uses them. */
  private readonly blankRuns: { kind: BlankKind; run: Run }[] = [];

  /**
   * @param isBlank the target reads as zeros wherever nothing was written
   * @param clearsFree what no file system uses is not left as it is
   */
  constructor(
    private readonly states: ChunkStates,
    private readonly assembly: Assembly,
    private readonly counters: StreamCounters,
    private readonly isBlank: boolean,
    private readonly clearsFree: boolean,
    outbox: Outbox,
    private readonly sealing: ClientSealing | null = null,
  ) {
    this.geometry = states.geometry;
    this.older = new OlderChunks(states, assembly, sealing);
    this.misfits = new Misfits(states, outbox);
  }

  poll(): StoreOrder | null {
    return this.orders.shift() ?? this.pollBlank() ?? this.older.poll();
  }

  /** What the target holds of a chunk is not right. @returns whether most of it may be */
  mend(chunk: number): boolean {
    return this.older.add(chunk);
  }

  /** All blocks of a chunk are here. */
  complete(partial: PartialChunk): void {
    const { chunk } = partial;
    const expected = this.states.expectedOf(chunk);
    if (this.states.provesFirst && expected === null) throw new Error(`chunk ${chunk} unproven`);
    this.assembly.close(partial);
    this.states.storing(chunk);
    this.orders.push({
      kind: 'store',
      chunk,
      slot: partial.slot,
      encodedLength: partial.encodedLength,
      encoding: encodingOfKind(partial.kindByte) as EncodingId,
      seal: this.sealing?.chunkSeal(chunk, partial.kindByte) ?? null,
      offsetBytes: this.geometry.chunkOffset(chunk),
      lengthBytes: this.geometry.chunkLength(chunk),
      expected,
    });
  }

  /**
   * Whether nothing is to be done for chunks of a kind. A blank target needs no zeros written, as
   * long as nothing wrong was written to it; what is free is left alone unless it is to be cleared.
   */
  private isDone(kind: BlankKind): boolean {
    if (kind === 'free' && !this.clearsFree) return true;
    return this.isBlank && this.counters.chunksRefused === 0;
  }

  /** Has runs of chunks stored as zeros, or left alone or cleared as nothing uses them. */
  blank(kind: BlankKind, runs: readonly Run[]): void {
    for (const { first, count } of runs) this.blankRun(kind, first, count);
  }

  private blankRun(kind: BlankKind, first: number, count: number): void {
    const isDone = this.isDone(kind);
    for (let chunk = first; chunk < first + count; chunk++) {
      const half = this.assembly.find(chunk);
      if (half !== undefined) this.assembly.abandon(half);
      if (!isDone) this.states.storing(chunk);
    }
    if (isDone) this.states.storedBlank(kind, first, count);
    else this.blankRuns.push({ kind, run: { first, count } });
  }

  /** Cuts the next piece off what waits: a run may be the whole of a large disk. */
  private pollBlank(): StoreOrder | null {
    const next = this.blankRuns[0];
    if (next === undefined) return null;
    const { run } = next;
    const { first } = run;
    const maxCount = Math.max(1, Math.floor(MAX_BLANK_BYTES / this.geometry.chunkSizeBytes));
    const count = Math.min(run.count, maxCount);
    run.first += count;
    run.count -= count;
    if (run.count === 0) this.blankRuns.shift();
    const offsetBytes = this.geometry.chunkOffset(first);
    const lengthBytes = this.geometry.rangeLength(first, count);
    const isFree = next.kind === 'free';
    return { kind: 'store-zeros', isFree, first, count, offsetBytes, lengthBytes };
  }

  /**
   * Takes checks of blocks that make the wrong chunk.
   * @param isMapOfSession the server of this session has named the map that the chunk does not fit
   * @returns the chunk to ask for again, or -1
   */
  handleChecks(packet: BlockChecks, isMapOfSession: boolean): number {
    const { chunk, encodedLength, kindByte, first, checks } = packet;
    const partial = this.assembly.find(chunk);
    if (partial === undefined || !partial.isDoubted) return -1;
    if (partial.encodedLength === encodedLength && partial.kindByte === kindByte) {
      partial.check(first, checks);
      if (partial.isDoubted) return -1;
      this.older.judge(partial);
      if (partial.isVain) {
        this.assembly.abandon(partial);
        return chunk;
      }
      if (!partial.isComplete) return chunk;
      if (partial.isRenewed) {
        this.complete(partial);
        return -1;
      }
      // It is just what the server has.
      if (isMapOfSession) this.misfits.note(chunk);
    }
    // Of another encoding, or wrong where it comes from: only the whole chunk may help.
    this.assembly.abandon(partial);
    return chunk;
  }

  /** @returns the chunk to ask for again, or -1 */
  handleStored(order: StoreOrder, outcome: StoreOutcome): number {
    if (order.kind === 'store-zeros') {
      this.states.storedBlank(order.isFree ? 'free' : 'zero', order.first, order.count);
      return -1;
    }
    if (order.kind === 'load') {
      this.states.notStored(order.chunk);
      if (outcome.kind === 'loaded') this.assembly.taken(order.slot, this.counters.position);
      else this.assembly.release(order.slot);
      return order.chunk;
    }
    if (outcome.kind === 'stored' && this.states.stored(order.chunk, outcome.digest)) {
      this.assembly.release(order.slot);
      this.misfits.forget(order.chunk);
      return -1;
    }
    this.counters.chunksRefused++;
    this.states.notStored(order.chunk);
    const kind = this.states.knownKindOf(order.chunk);
    if (kind === 'zero' || kind === 'free') {
      // One that came as data has its true content from the map.
      this.assembly.release(order.slot);
      this.blankRun(kind, order.chunk, 1);
      return -1;
    }
    // Most of its blocks are right: what was damaged on its way is found and asked for alone.
    this.assembly.doubt(order.slot);
    return order.chunk;
  }
}

/** More are asked for whole: who differs so much gains little. */
const MAX_WAITING = 64;
/** Slots that older versions take at once. */
const MAX_LOADED = 8;
/**
 * After so many more chunks of which little was left than such of which much was, it is given up.
 */
const PATIENCE = 8;

/**
 * Chunks of which the target holds an older version. It is read into memory, as if all its blocks
 * had come and some of them damaged: the checks of the server's blocks then tell which to ask for.
 * So a change of a few bytes costs some blocks, and not the chunk. With a key it is sealed in
 * memory: a seal has each byte in its place, so the same holds for its blocks.
 */
class OlderChunks {
  /** Of the server's blocks. */
  blockSize = 1;
  private readonly waiting: number[] = [];
  private vain = 0;

  constructor(
    private readonly states: ChunkStates,
    private readonly assembly: Assembly,
    private readonly sealing: ClientSealing | null,
  ) {}

  /** @returns false when the chunk had better be asked for whole */
  add(chunk: number): boolean {
    if (this.vain >= PATIENCE || this.waiting.length >= MAX_WAITING) return false;
    const half = this.assembly.find(chunk);
    if (half !== undefined) {
      // Of what comes for others, much is worth more than an older version, and a few blocks less.
      if (half.receivedCount >= half.blockCount / 2) return false;
      this.assembly.abandon(half);
    }
    // Until it is in memory, nobody asks for it, and what comes of it has no place.
    this.states.storing(chunk);
    this.waiting.push(chunk);
    return true;
  }

  poll(): StoreOrder | null {
    if (this.waiting.length === 0 || this.assembly.olderCount >= MAX_LOADED) return null;
    const chunk = this.waiting[0]!;
    const { geometry } = this.states;
    const lengthBytes = geometry.chunkLength(chunk);
    const kindByte = kindOf(Space.image, Encoding.raw, 0);
    const encodedLength = lengthBytes + sealBytesOf(this.sealing);
    const partial = this.assembly.take(chunk, kindByte, encodedLength, this.blockSize);
    if (partial === null) return null;
    this.waiting.shift();
    const offsetBytes = geometry.chunkOffset(chunk);
    const seal = this.sealing?.chunkSeal(chunk, kindByte) ?? null;
    return { kind: 'load', chunk, slot: partial.slot, offsetBytes, lengthBytes, seal };
  }

  /** It is known what is left of an older version. */
  judge({ isOlder, isVain }: PartialChunk): void {
    if (isOlder) this.vain = Math.max(0, this.vain + (isVain ? 1 : -1));
  }
}

/** Forged blocks may look like that once; asking for ever would be no end. */
const MAX_MISFITS = 3;
/** Chunks that are counted at once: one of them is enough to end the copy. */
const MAX_MISFIT_CHUNKS = 256;

/** Chunks that the server sends whole and undamaged, and that still do not fit its block map. */
class Misfits {
  private readonly times = new Map<number, number>();

  constructor(
    private readonly states: ChunkStates,
    private readonly outbox: Outbox,
  ) {}

  /** A chunk came just as the server has it, and does not fit. */
  note(chunk: number): void {
    const times = (this.times.get(chunk) ?? 0) + 1;
    if (this.times.size < MAX_MISFIT_CHUNKS || times > 1) this.times.set(chunk, times);
    if (times < MAX_MISFITS) return;
    const { geometry } = this.states;
    const firstByte = geometry.chunkOffset(chunk);
    const lastByte = firstByte + geometry.chunkLength(chunk) - 1;
    this.outbox.fail(
      new Failure(
        'source',
        'DOES_NOT_FIT',
        `the server sends bytes ${firstByte} to ${lastByte} of its image other than its block ` +
          `map has them (tried ${times} times): the image changed there; start multiserver anew`,
      ),
    );
  }

  /** It came right after all. */
  forget(chunk: number): void {
    this.times.delete(chunk);
  }
}
