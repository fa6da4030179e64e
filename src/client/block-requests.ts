/**
 * What to ask for, and when. Three things tell that something is missing: the pass moved on
 * past it, the server has nothing left to send, and, as the last resort, the channel is quiet. And
 * what is asked for in vain, as the server cannot read it.
 */

import { Failure } from '../failure.js';
import { Bitmap } from '../image/bitmap.js';
import { Space, type SpaceId } from '../protocol/block.js';
import {
  BLOCK_REQUEST_ROOM_BYTES,
  encodeBlockRequest,
  type HalfChunk,
  halfChunkBytes,
  RANGE_BYTES,
} from '../protocol/from-client.js';
import { positionsBetween } from '../protocol/position.js';
import type { Run } from '../protocol/run.js';
import type { ChunkStates } from './copy/chunk-states.js';
import type { Assembly, PartialChunk } from './copy/partial-chunk.js';
import type { Outbox } from './outputs.js';
import { dueWithPackets } from './timing.js';

/** Packets of one turn of asking. */
const MAX_PACKETS = 4;
/** With so long a window so many clients ask that one packet in a turn is enough. */
const LONG_WINDOW_MS = 200;
/** As many as fit one request: a long chunk that lost a twentieth of its blocks has hundreds. */
const MAX_RUNS_PER_HALF = 256;
/** Turns of asking are at least this far apart. */
const TURN_MS = 10;
/** The same half chunk is asked for again after this long. */
const HALF_RETRY_MS = 60;
/** How often half chunks are looked through; with packets, so much earlier. */
const CHECK_HALVES_MS = 30;
const CHECK_HALVES_EARLY_MS = 20;
/** A half chunk that got no block for this long, while others did, was passed. */
const HALF_STALE_MS = 25;
/** While the server is idle, the same is asked for again after this long. */
const IDLE_RETRY_MS = 80;

export interface RequestContext {
  session: bigint;
  client: bigint;
  /** One past the highest position seen. */
  position: number;
}

export class BlockRequests {
  /** Chunks to ask for at the next turn. */
  private readonly lostChunks: Bitmap;
  private turnDueMs = Number.POSITIVE_INFINITY;
  private lastTurnMs = Number.NEGATIVE_INFINITY;
  private askAllMs = Number.NEGATIVE_INFINITY;
  private halvesDueMs = Number.POSITIVE_INFINITY;
  private cursor = -1;
  private maxPackets = MAX_PACKETS;

  constructor(
    private readonly states: ChunkStates,
    private readonly assembly: Assembly,
  ) {
    this.lostChunks = new Bitmap(states.geometry.chunkCount);
  }

  /** When `poll` has something to do. */
  get dueMs(): number {
    return Math.min(this.turnDueMs, this.halvesDueMs);
  }

  /** A new session: its pass begins anew. */
  reset(): void {
    this.cursor = -1;
    this.askAllMs = Number.NEGATIVE_INFINITY;
  }

  /** Notes a chunk that was lost or did not fit. */
  lost(chunk: number, now: number, windowMs: number): void {
    this.lostChunks.set(chunk);
    this.schedule(now, windowMs);
  }

  /** Notes a half chunk that lost its slot; it is asked for with the next turn, not before. */
  giveUp(chunk: number): void {
    this.lostChunks.set(chunk);
  }

  /** The server's request window, by which it holds its clients apart. */
  keepWithin(windowMs: number, now: number): void {
    this.maxPackets = windowMs > LONG_WINDOW_MS ? 1 : MAX_PACKETS;
    // A turn that was put off because of many clients need not wait for those that are gone.
    if (this.turnDueMs < Number.POSITIVE_INFINITY) this.advance(now + windowMs);
  }

  /** A turn that is due takes it along: whoever is told often must not ask sooner for that. */
  private schedule(now: number, delayMs: number): void {
    if (delayMs <= TURN_MS || this.turnDueMs === Number.POSITIVE_INFINITY)
      this.advance(now + delayMs);
  }

  private advance(toMs: number): void {
    this.turnDueMs = Math.min(this.turnDueMs, Math.max(toMs, this.lastTurnMs + TURN_MS));
  }

  /** A chunk has begun to arrive. */
  halfBegun(now: number): void {
    if (this.halvesDueMs === Number.POSITIVE_INFINITY) this.halvesDueMs = now + CHECK_HALVES_MS;
  }

  /** Packets of the stream came. */
  moved(now: number): void {
    if (this.halvesDueMs < Number.POSITIVE_INFINITY) {
      this.halvesDueMs = dueWithPackets(this.halvesDueMs, now, CHECK_HALVES_EARLY_MS);
    } else if (this.assembly.openCount > 0) {
      this.halfBegun(now);
    }
  }

  /** Asks for all that is wanted. */
  askAll(now: number, delayMs: number): void {
    this.loseWanted(0, this.states.geometry.chunkCount);
    this.askAllMs = now;
    for (const half of this.assembly.halves()) half.askedMs = Number.NEGATIVE_INFINITY;
    this.schedule(now, delayMs);
  }

  /** The server has nothing to send. Repeats itself until something comes. */
  serverIdle(now: number, delayMs: number): void {
    if (this.assembly.openCount > 0) this.halvesDueMs = Math.min(this.halvesDueMs, now);
    if (now - this.askAllMs >= IDLE_RETRY_MS) this.askAll(now, delayMs);
  }

  /** The pass is at chunk `cursor`: what lies between the last known cursor and this went by. */
  passMoved(cursor: number, now: number, delayMs: number): void {
    const from = this.cursor;
    this.cursor = cursor;
    if (from < 0 || cursor === from) return;
    const before = this.lostChunks.count;
    if (cursor > from) {
      this.loseWanted(from, cursor);
    } else {
      this.loseWanted(from, this.states.geometry.chunkCount);
      this.loseWanted(0, cursor);
    }
    if (this.lostChunks.count > before) this.schedule(now, delayMs);
  }

  private loseWanted(from: number, end: number): void {
    const stop = Math.min(end, this.states.geometry.chunkCount);
    if (from >= stop) return;
    this.states.forEachWanted(from, (first, count) => {
      if (first >= stop) return false;
      this.lostChunks.setRange(first, Math.min(count, stop - first));
      return first + count < stop;
    });
  }

  /**
   * The requests that are due.
   * @param delayMs how long to hold back what is found to be missing now
   */
  poll(now: number, context: RequestContext, isServerIdle: boolean, delayMs: number): Buffer[] {
    if (now >= this.halvesDueMs) {
      this.checkHalves(now, context.position, isServerIdle, delayMs);
      this.halvesDueMs =
        this.assembly.openCount > 0 ? now + CHECK_HALVES_MS : Number.POSITIVE_INFINITY;
    }
    return now >= this.turnDueMs ? this.turn(now, context, isServerIdle, delayMs) : [];
  }

  /** Looks for half chunks that the stream has passed. */
  private checkHalves(now: number, position: number, isServerIdle: boolean, delayMs: number): void {
    for (const half of this.assembly.halves()) {
      if (this.isPassed(half, now, position, isServerIdle)) {
        this.schedule(now, delayMs);
        return;
      }
    }
  }

  private isPassed(
    half: PartialChunk,
    now: number,
    position: number,
    isServerIdle: boolean,
  ): boolean {
    // The target may hold it already: what that look brings is waited for.
    if (now - half.askedMs < HALF_RETRY_MS || !this.states.isWanted(half.chunk)) return false;
    if (isServerIdle || half.isDoubted) return true;
    const since = positionsBetween(half.lastPosition, position);
    return since > half.blockCount + 64 || (since > 1 && now - half.lastMs > HALF_STALE_MS);
  }

  /** Encodes the requests that are due. */
  private turn(
    now: number,
    context: RequestContext,
    isServerIdle: boolean,
    delayMs: number,
  ): Buffer[] {
    this.turnDueMs = Number.POSITIVE_INFINITY;
    this.lastTurnMs = now;
    const packets: Buffer[] = [];
    const builder = new RequestBuilder(context, Space.image, packets);
    for (const half of this.assembly.halves()) {
      this.lostChunks.clear(half.chunk);
      if (!this.isPassed(half, now, context.position, isServerIdle)) continue;
      if (packets.length >= this.maxPackets) break;
      const runs = half.isDoubted ? [] : half.missingRuns(MAX_RUNS_PER_HALF);
      builder.addHalf({ chunk: half.chunk, runs });
      half.askedMs = now;
    }
    this.lostChunks.forEachSetRange(0, (first, count) => {
      const next = this.addWanted(builder, first, first + count, packets);
      this.lostChunks.clearRange(first, next - first);
      return packets.length < this.maxPackets;
    });
    builder.finish();
    if (!this.lostChunks.isEmpty) this.schedule(now, Math.max(TURN_MS, delayMs));
    return packets;
  }

  /** @returns the chunk before which all is asked for */
  private addWanted(builder: RequestBuilder, from: number, end: number, packets: Buffer[]): number {
    let first = from;
    while (first < end && packets.length < this.maxPackets) {
      if (!this.states.isWanted(first)) {
        first++;
        continue;
      }
      let next = first + 1;
      while (next < end && this.states.isWanted(next)) next++;
      builder.addRange({ first, count: next - first });
      first = next;
    }
    return first;
  }
}

/** Fills block request packets up to their size limit. */
export class RequestBuilder {
  private ranges: Run[] = [];
  private halves: HalfChunk[] = [];
  private room = BLOCK_REQUEST_ROOM_BYTES;

  constructor(
    private readonly context: RequestContext,
    private readonly space: SpaceId,
    private readonly packets: Buffer[],
  ) {}

  addRange(range: Run): void {
    const last = this.ranges.at(-1);
    if (last !== undefined && last.first + last.count === range.first) {
      last.count += range.count;
      return;
    }
    if (this.room < RANGE_BYTES) this.finish();
    this.ranges.push(range);
    this.room -= RANGE_BYTES;
  }

  addHalf(half: HalfChunk): void {
    const bytes = halfChunkBytes(half.runs.length);
    if (this.room < bytes) this.finish();
    this.halves.push(half);
    this.room -= bytes;
  }

  /** Closes the packet begun, if it holds anything. */
  finish(): void {
    if (this.ranges.length === 0 && this.halves.length === 0) return;
    this.packets.push(
      encodeBlockRequest({
        session: this.context.session,
        client: this.context.client,
        asOfPosition: this.context.position,
        space: this.space,
        ranges: this.ranges,
        halves: this.halves,
      }),
    );
    this.ranges = [];
    this.halves = [];
    this.room = BLOCK_REQUEST_ROOM_BYTES;
  }
}

/** Ranges of bytes that the failure names. */
const MAX_RANGES = 16;
/** Asked once more for what it cannot read, a server says so again in that time. */
const PATIENCE_MS = 1500;

/** Chunks that the source cannot give, as the server says. */
export class UnreadableSource {
  private isEmpty = true;
  /** When all was asked for once more, since anybody may say that it cannot be had. */
  private triedMs = Number.NEGATIVE_INFINITY;
  private readonly said: Run[] = [];

  constructor(
    private readonly states: ChunkStates,
    private readonly outbox: Outbox,
    private readonly isCheckOnly: boolean,
  ) {}

  /**
   * With all else at its place, these chunks decide.
   * @param streamedMs when blocks or zeros last came
   * @returns whether to ask for all that is wanted: the server is to say it once more
   */
  decide(now: number, streamedMs: number): boolean {
    if (this.isEmpty || this.isCheckOnly) return false;
    if (this.isTrying(now)) return false;
    if (this.said.length > 0 && now - streamedMs >= PATIENCE_MS) this.giveUpSaid();
    if (!this.states.lacksOnlyUnreadable) return false;
    if (this.triedMs > Number.NEGATIVE_INFINITY) {
      this.fail('all else is on the target: mend the source, and run again with --resume');
      return false;
    }
    this.triedMs = now;
    this.states.forgive();
    return true;
  }

  private isTrying(now: number): boolean {
    return now - this.triedMs < PATIENCE_MS;
  }

  private giveUpSaid(): void {
    for (const { first, count } of this.said.splice(0)) this.states.giveUp(first, count);
  }

  /**
   * The server says so of a run of chunks. Its numbers are the network's.
   * @returns whether more has become wanted
   */
  note(first: number, count: number): boolean {
    const { map, geometry } = this.states;
    if (first >= geometry.chunkCount) return false;
    this.isEmpty = false;
    const run = { first, count: Math.min(count, geometry.chunkCount - first) };
    if (this.triedMs === Number.NEGATIVE_INFINITY) this.states.giveUp(run.first, run.count);
    else if (this.said.length < MAX_RANGES) this.said.push(run);
    // An image with such a chunk has no map to check by.
    const isUncheckable = map === null && this.states.uncheckedCount > 0;
    if (isUncheckable && this.isCheckOnly) this.fail('so there is nothing to compare with');
    else if (isUncheckable) this.states.stopChecking();
    return isUncheckable && !this.isCheckOnly;
  }

  /** The server was started again: its source may have been mended. */
  forgive(): void {
    this.isEmpty = true;
    this.triedMs = Number.NEGATIVE_INFINITY;
    this.said.length = 0;
    this.states.forgive();
  }

  private fail(consequence: string): void {
    const { geometry } = this.states;
    const ranges: string[] = [];
    let more = 0;
    this.states.forEachUnreadable((first, count) => {
      const last = first + count - 1;
      const lastByte = geometry.chunkOffset(last) + geometry.chunkLength(last) - 1;
      if (ranges.length < MAX_RANGES) ranges.push(`${geometry.chunkOffset(first)}-${lastByte}`);
      else more++;
      return true;
    });
    const rest = more > 0 ? ` and ${more} more ranges` : '';
    const what = `the server cannot read bytes ${ranges.join(', ')}${rest} of the image`;
    this.outbox.fail(new Failure('source', 'UNREADABLE', `${what}; ${consequence}`));
  }
}
