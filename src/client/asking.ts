/**
 * What to ask for, and when. Three things tell that something is missing: the pass moved on
 * past it, the server has nothing left to send, and, as the last resort, the channel is quiet.
 */
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
import type { Assembly } from './assembly.js';
import type { Collector } from './collector.js';
import type { Copy } from './copy.js';
import { dueWithPackets } from './deadline.js';

/** Packets of one turn of asking. */
const MOST_PACKETS = 4;
/** With so long a window so many clients ask that one packet in a turn is enough. */
const LONG_WINDOW_MS = 200;
/** As many as fit one request: a long chunk that lost a twentieth of its blocks has hundreds. */
const MOST_RUNS_PER_HALF = 256;
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

export interface AskingContext {
  session: bigint;
  client: bigint;
  /** One past the highest position seen. */
  position: number;
}

export class Asking {
  readonly #copy: Copy;
  readonly #assembly: Assembly;
  /** Chunks to ask for at the next turn. */
  readonly #lost: Bitmap;
  #dueMs = Number.POSITIVE_INFINITY;
  #lastTurnMs = Number.NEGATIVE_INFINITY;
  #askAllMs = Number.NEGATIVE_INFINITY;
  #halvesDueMs = Number.POSITIVE_INFINITY;
  #cursor = -1;
  #mostPackets = MOST_PACKETS;

  constructor(copy: Copy, assembly: Assembly) {
    this.#copy = copy;
    this.#assembly = assembly;
    this.#lost = new Bitmap(copy.geometry.chunkCount);
  }

  /** When `poll` has something to do. */
  get dueMs(): number {
    return Math.min(this.#dueMs, this.#halvesDueMs);
  }

  /** A new session: its pass begins anew. */
  reset(): void {
    this.#cursor = -1;
    this.#askAllMs = Number.NEGATIVE_INFINITY;
  }

  /** Notes a chunk that was lost or did not fit. */
  lost(chunk: number, now: number, windowMs: number): void {
    this.#lost.set(chunk);
    this.#schedule(now, windowMs);
  }

  /** Notes a half chunk that lost its slot; it is asked for with the next turn, not before. */
  giveUp(chunk: number): void {
    this.#lost.set(chunk);
  }

  /** The server's request window, by which it holds its clients apart. */
  keepWithin(windowMs: number, now: number): void {
    this.#mostPackets = windowMs > LONG_WINDOW_MS ? 1 : MOST_PACKETS;
    // A turn that was put off because of many clients need not wait for those that are gone.
    if (this.#dueMs < Number.POSITIVE_INFINITY) this.#advance(now + windowMs);
  }

  /** A turn that is due already takes it along: whoever is told often must not ask sooner for that. */
  #schedule(now: number, delayMs: number): void {
    if (delayMs <= TURN_MS || this.#dueMs === Number.POSITIVE_INFINITY)
      this.#advance(now + delayMs);
  }

  #advance(toMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, Math.max(toMs, this.#lastTurnMs + TURN_MS));
  }

  /** A chunk has begun to arrive. */
  halfBegun(now: number): void {
    if (this.#halvesDueMs === Number.POSITIVE_INFINITY) this.#halvesDueMs = now + CHECK_HALVES_MS;
  }

  /** Packets came. */
  moved(now: number): void {
    this.#halvesDueMs = dueWithPackets(this.#halvesDueMs, now, CHECK_HALVES_EARLY_MS);
  }

  /** Asks for all that is wanted. */
  askAll(now: number, delayMs: number): void {
    this.#loseWanted(0, this.#copy.geometry.chunkCount);
    this.#askAllMs = now;
    for (const half of this.#assembly.halves()) half.askedMs = Number.NEGATIVE_INFINITY;
    this.#schedule(now, delayMs);
  }

  /** The server has nothing to send. Repeats itself until something comes. */
  serverIdle(now: number, delayMs: number): void {
    if (this.#assembly.openCount > 0) this.#halvesDueMs = Math.min(this.#halvesDueMs, now);
    if (now - this.#askAllMs >= IDLE_RETRY_MS) this.askAll(now, delayMs);
  }

  /** The pass is at chunk `cursor`: what lies between the last known cursor and this went by. */
  passMoved(cursor: number, now: number, delayMs: number): void {
    const from = this.#cursor;
    this.#cursor = cursor;
    if (from < 0 || cursor === from) return;
    const before = this.#lost.count;
    if (cursor > from) {
      this.#loseWanted(from, cursor);
    } else {
      this.#loseWanted(from, this.#copy.geometry.chunkCount);
      this.#loseWanted(0, cursor);
    }
    if (this.#lost.count > before) this.#schedule(now, delayMs);
  }

  #loseWanted(from: number, end: number): void {
    const stop = Math.min(end, this.#copy.geometry.chunkCount);
    if (from >= stop) return;
    this.#copy.forEachWanted(from, (first, count) => {
      if (first >= stop) return false;
      this.#lost.setRange(first, Math.min(count, stop - first));
      return first + count < stop;
    });
  }

  /**
   * The requests that are due.
   * @param delayMs how long to hold back what is found to be missing now
   */
  poll(now: number, context: AskingContext, isServerIdle: boolean, delayMs: number): Buffer[] {
    if (now >= this.#halvesDueMs) {
      this.#checkHalves(now, context.position, isServerIdle, delayMs);
      this.#halvesDueMs =
        this.#assembly.openCount > 0 ? now + CHECK_HALVES_MS : Number.POSITIVE_INFINITY;
    }
    return now >= this.#dueMs ? this.#turn(now, context, isServerIdle, delayMs) : [];
  }

  /** Looks for half chunks that the stream has passed. */
  #checkHalves(now: number, position: number, isServerIdle: boolean, delayMs: number): void {
    for (const half of this.#assembly.halves()) {
      if (this.#isPassed(half, now, position, isServerIdle)) {
        this.#schedule(now, delayMs);
        return;
      }
    }
  }

  #isPassed(half: Collector, now: number, position: number, isServerIdle: boolean): boolean {
    // The target may hold it already: what that look brings is waited for.
    if (now - half.askedMs < HALF_RETRY_MS || !this.#copy.isWanted(half.chunk)) return false;
    if (isServerIdle || half.isDoubted) return true;
    const since = positionsBetween(half.lastPosition, position);
    return since > half.blockCount + 64 || (since > 1 && now - half.lastMs > HALF_STALE_MS);
  }

  /** Encodes the requests that are due. */
  #turn(now: number, context: AskingContext, isServerIdle: boolean, delayMs: number): Buffer[] {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#lastTurnMs = now;
    const packets: Buffer[] = [];
    const builder = new RequestBuilder(context, Space.image, packets);
    for (const half of this.#assembly.halves()) {
      this.#lost.clear(half.chunk);
      if (!this.#isPassed(half, now, context.position, isServerIdle)) continue;
      if (packets.length >= this.#mostPackets) break;
      const runs = half.isDoubted ? [] : half.missingRuns(MOST_RUNS_PER_HALF);
      builder.addHalf({ chunk: half.chunk, runs });
      half.askedMs = now;
    }
    this.#lost.forEachSetRange(0, (first, count) => {
      const next = this.#addWanted(builder, first, first + count, packets);
      this.#lost.clearRange(first, next - first);
      return packets.length < this.#mostPackets;
    });
    builder.finish();
    if (!this.#lost.isEmpty) this.#schedule(now, Math.max(TURN_MS, delayMs));
    return packets;
  }

  /** @returns the chunk before which all is asked for */
  #addWanted(builder: RequestBuilder, from: number, end: number, packets: Buffer[]): number {
    let first = from;
    while (first < end && packets.length < this.#mostPackets) {
      if (!this.#copy.isWanted(first)) {
        first++;
        continue;
      }
      let next = first + 1;
      while (next < end && this.#copy.isWanted(next)) next++;
      builder.addRange({ first, count: next - first });
      first = next;
    }
    return first;
  }
}

/** Fills block request packets up to their size limit. */
export class RequestBuilder {
  #ranges: Run[] = [];
  #halves: HalfChunk[] = [];
  #room = BLOCK_REQUEST_ROOM_BYTES;

  constructor(
    private readonly context: AskingContext,
    private readonly space: SpaceId,
    private readonly packets: Buffer[],
  ) {}

  addRange(range: Run): void {
    const last = this.#ranges.at(-1);
    if (last !== undefined && last.first + last.count === range.first) {
      last.count += range.count;
      return;
    }
    if (this.#room < RANGE_BYTES) this.finish();
    this.#ranges.push(range);
    this.#room -= RANGE_BYTES;
  }

  addHalf(half: HalfChunk): void {
    const bytes = halfChunkBytes(half.runs.length);
    if (this.#room < bytes) this.finish();
    this.#halves.push(half);
    this.#room -= bytes;
  }

  /** Closes the packet begun, if it holds anything. */
  finish(): void {
    if (this.#ranges.length === 0 && this.#halves.length === 0) return;
    this.packets.push(
      encodeBlockRequest({
        session: this.context.session,
        client: this.context.client,
        asOfPosition: this.context.position,
        space: this.space,
        ranges: this.#ranges,
        halves: this.#halves,
      }),
    );
    this.#ranges = [];
    this.#halves = [];
    this.#room = BLOCK_REQUEST_ROOM_BYTES;
  }
}
