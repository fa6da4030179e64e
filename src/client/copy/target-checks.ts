/**
 * Looks through what the target holds already, chunk by chunk, as far as the block map is in:
 * the disk is the state, and nothing else is believed about an earlier copy.
 */

import { Failure } from '../../failure.js';
import { Bitmap } from '../../image/bitmap.js';
import { appendToRuns, type Run } from '../../protocol/run.js';
import type { CheckOrder, CheckOutcome, Outbox } from '../outputs.js';
import type { ChunkStates } from './chunk-states.js';
import type { Assembly } from './partial-chunk.js';

/** Looks that are under way at once: enough to keep the workers busy. */
const MAX_RUNNING = 16;
/** Longest run of zero chunks looked at together. */
const MAX_ZERO_RUN_BYTES = 16 * 1024 * 1024;
/** Fits no chunk. */
const NOTHING = new Uint8Array(0);

/** Which places to look at, and when. */
export class CheckQueue {
  private readonly states: ChunkStates;
  /** Chunks to look at that are not being looked at yet. */
  private readonly due: Bitmap;
  /** Runs that are not all zeros are looked at again, chunk by chunk. */
  private readonly single: Bitmap;
  private next = 0;
  private running = 0;
  isDirect = false;

  constructor(states: ChunkStates, holdsEarlierData: boolean) {
    const { chunkCount } = states.geometry;
    this.states = states;
    this.due = new Bitmap(chunkCount);
    this.single = new Bitmap(chunkCount);
    if (holdsEarlierData) this.due.setRange(0, chunkCount);
  }

  /** A page of the map came in, or chunks have become doubtful: begin there again. */
  rewind(chunk: number): void {
    this.next = Math.min(this.next, chunk);
  }

  add(chunk: number): void {
    this.due.set(chunk);
    this.rewind(chunk);
  }

  /** Next place to look at, or null for now. */
  poll(): CheckOrder | null {
    if (this.running >= MAX_RUNNING) return null;
    const first = this.nextDue();
    if (first < 0) return null;
    const { geometry } = this.states;
    const count = this.runFrom(first);
    this.due.clearRange(first, count);
    this.next = first + count;
    this.running++;
    const offsetBytes = geometry.chunkOffset(first);
    const last = first + count - 1;
    const lengthBytes = geometry.chunkOffset(last) + geometry.chunkLength(last) - offsetBytes;
    const { isDirect } = this;
    return { kind: 'check', first, count, offsetBytes, lengthBytes, isDirect };
  }

  /** A look has ended. @returns false when the run has to be looked at chunk by chunk */
  ended(order: CheckOrder, isZero: boolean): boolean {
    this.running--;
    if (order.count === 1 || isZero) return true;
    this.single.setRange(order.first, order.count);
    for (let chunk = order.first; chunk < order.first + order.count; chunk++) this.add(chunk);
    return false;
  }

  private nextDue(): number {
    const { geometry } = this.states;
    let chunk = this.due.nextSet(this.next);
    while (chunk >= 0) {
      const page = geometry.pageOf(chunk);
      if (!this.states.pages.hasPage(page)) {
        chunk = this.due.nextSet(geometry.firstChunkOf(page + 1));
      } else if (this.states.isUnchecked(chunk)) {
        return chunk;
      } else {
        // It came from the network in the meantime.
        this.due.clear(chunk);
        chunk = this.due.nextSet(chunk + 1);
      }
    }
    return -1;
  }

  private runFrom(first: number): number {
    const { states } = this;
    if (!states.looksZero(first) || this.single.has(first)) return 1;
    const maxCount = Math.max(1, MAX_ZERO_RUN_BYTES / states.geometry.chunkSizeBytes);
    let count = 1;
    while (count < maxCount && this.joins(first + count)) count++;
    return count;
  }

  private joins(chunk: number): boolean {
    return (
      chunk < this.due.length &&
      this.due.has(chunk) &&
      !this.single.has(chunk) &&
      this.states.isUnchecked(chunk) &&
      this.states.looksZero(chunk)
    );
  }
}

/** What is to be done about what was found: chunks that differ. */
interface Differences {
  /** To be asked for. */
  lost: number[];
  /** The same, of which the target has an older version. */
  older: number[];
  /** To be written as zeros. */
  zeros: Run[];
}

/** Judges what was found on the target, before the copy and, to verify, after it. */
export class TargetChecks {
  private readonly queue: CheckQueue;
  private readonly verification: Verification;
  /** Bytes that the target held already, and holds still. */
  keptBytes = 0;
  differingBytes = 0;
  private readonly differing: Bitmap;

  /** @param mayRepair false when nothing may be written, only compared */
  constructor(
    private readonly states: ChunkStates,
    private readonly assembly: Assembly,
    outbox: Outbox,
    holdsEarlierData: boolean,
    private readonly mayRepair: boolean,
  ) {
    this.differing = new Bitmap(states.geometry.chunkCount);
    this.queue = new CheckQueue(states, holdsEarlierData);
    this.verification = new Verification(states, this.queue, outbox);
  }

  /** Chunks found to differ from the image. */
  get differingChunks(): number {
    return this.differing.count;
  }

  /** Which these are. */
  get differingRuns(): Run[] {
    const runs: Run[] = [];
    this.differing.forEachSetRange(0, (first, count) => {
      runs.push({ first, count });
    });
    return runs;
  }

  /** A copy that was proven is being read back, or was. */
  get isVerifying(): boolean {
    return this.verification.hasBegun;
  }

  /** Something is left to read back of a copy that is proven and synced. */
  get wantsVerifying(): boolean {
    return this.verification.isWanted;
  }

  /** Reads a copy back that is proven and synced. */
  verify(): void {
    this.verification.begin();
  }

  /** A page of the map came in: what it tells of can be looked at. */
  rewind(chunk: number): void {
    this.queue.rewind(chunk);
  }

  poll(): CheckOrder | null {
    return this.queue.poll();
  }

  /** Takes what was found. */
  handle(order: CheckOrder, outcome: CheckOutcome): Differences {
    const { states } = this;
    const differences: Differences = { lost: [], older: [], zeros: [] };
    const digest = outcome.kind === 'found' ? outcome.digest : NOTHING;
    if (!this.queue.ended(order, digest === null)) return differences;
    for (let chunk = order.first; chunk < order.first + order.count; chunk++) {
      if (!states.isUnchecked(chunk)) continue;
      if (states.checked(chunk, digest)) {
        this.fits(chunk);
        continue;
      }
      this.differs(chunk);
      if (!this.mayRepair) continue;
      if (states.looksZero(chunk)) appendToRuns(differences.zeros, chunk);
      else if (digest === null || digest.length === 0) differences.lost.push(chunk);
      else differences.older.push(chunk);
    }
    return differences;
  }

  private fits(chunk: number): void {
    const half = this.assembly.find(chunk);
    if (half !== undefined) this.assembly.abandon(half);
    if (!this.isVerifying) this.keptBytes += this.states.geometry.chunkLength(chunk);
  }

  private differs(chunk: number): void {
    if (this.isVerifying) {
      this.verification.misfit(chunk);
    } else if (this.differing.set(chunk)) {
      this.differingBytes += this.states.geometry.chunkLength(chunk);
    }
  }
}

/**
 * Reads a synced copy back and proves it once more. What does not fit is fetched again and read
 * back again; a second misfit means that the target does not keep what is written to it.
 */
class Verification {
  private misfits: number[] = [];
  private rounds = 0;

  constructor(
    private readonly states: ChunkStates,
    private readonly queue: CheckQueue,
    private readonly outbox: Outbox,
  ) {}

  get hasBegun(): boolean {
    return this.rounds > 0;
  }

  /** Whether there is anything to read back. */
  get isWanted(): boolean {
    return this.rounds === 0 || this.misfits.length > 0;
  }

  /** Begins a round over a copy that is proven and synced. */
  begin(): void {
    const isFirst = this.rounds === 0;
    const chunks = isFirst ? this.states.geometry.chunkCount : this.misfits.length;
    this.queue.isDirect = true;
    for (let i = 0; i < chunks; i++) {
      const chunk = isFirst ? i : this.misfits[i]!;
      // Nothing was promised of what is there.
      if (this.states.knownKindOf(chunk) === 'free') continue;
      this.states.doubt(chunk);
      this.queue.add(chunk);
    }
    this.misfits = [];
    this.rounds++;
  }

  /** The target gives back something else than was written. */
  misfit(chunk: number): void {
    if (this.rounds === 1) {
      this.misfits.push(chunk);
      return;
    }
    const { geometry } = this.states;
    const firstByte = geometry.chunkOffset(chunk);
    const lastByte = firstByte + geometry.chunkLength(chunk) - 1;
    this.outbox.fail(
      new Failure(
        'target',
        'VERIFY_FAILED',
        `the target does not give back what was written: bytes ${firstByte} to ${lastByte} were ` +
          'wrong twice; check the disk and its cables, and use another one',
      ),
    );
  }
}
