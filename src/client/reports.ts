/** What the server is told of this client: what came of the stream, and when to tell it. */

import type { ClientStateId, Report } from '../protocol/from-client.js';
import type { ImageDescription, Status } from '../protocol/from-server.js';
import { advancePosition, positionsBetween } from '../protocol/position.js';
import { dueWithPackets, type Spread } from './timing.js';

/** A position that every status contradicts for so long was a forgery. */
const BEHIND_MS = 1_000;

/** Where the client is in the stream, and what came of it so far. */
export class StreamCounters {
  /** One past the highest position seen. */
  position: number;
  /** Packets of the stream since the client joined, as reports count them. */
  packetsReceived = 0;
  /** Send positions that never arrived. */
  packetsLost = 0;
  /** Bytes of this session's packets, headers included. */
  wireBytes = 0;
  blocksReceived = 0;
  /** Blocks that were already here. */
  blocksDuplicate = 0;
  /** Chunks that came whole, and were not what the block map says. */
  chunksRefused = 0;
  requestsSent = 0;
  /** Nothing of this session has come yet: what went before was not lost, but before our time. */
  private isNew = true;
  private behindSinceMs = Number.POSITIVE_INFINITY;

  /** @param position where the stream is when the client joins */
  constructor(position: number) {
    this.position = position;
  }

  /** Counts a packet of the stream. */
  seen(position: number, length: number): void {
    this.packetsReceived++;
    this.wireBytes += length;
    const ahead = positionsBetween(this.position, position);
    if (ahead < 0) {
      // Overtaken on its way, as where a sender moves to another processor: not lost after all.
      if (this.packetsLost > 0) this.packetsLost--;
      return;
    }
    if (!this.isNew) this.packetsLost += ahead;
    this.isNew = false;
    this.position = advancePosition(position, 1);
  }

  /** Counts `count` packets of `length` bytes each, which follow one that was seen just before. */
  seenRun(first: number, count: number, length: number): void {
    this.packetsReceived += count;
    this.wireBytes += count * length;
    const overtaken = Math.min(count, positionsBetween(first, this.position));
    this.packetsLost = Math.max(0, this.packetsLost - overtaken);
    this.position = advancePosition(this.position, count - overtaken);
  }

  /** The server will send at `position` next. @returns false when later packets came already */
  know(position: number): boolean {
    const ahead = positionsBetween(this.position, position);
    if (ahead > 0) {
      if (!this.isNew) this.packetsLost += ahead;
      this.position = position;
    }
    return ahead >= 0;
  }

  /** As `know`, from a status: a position that no status bears out is given up. */
  learn(position: number, now: number): boolean {
    if (this.know(position)) {
      this.behindSinceMs = Number.POSITIVE_INFINITY;
      return true;
    }
    if (this.behindSinceMs === Number.POSITIVE_INFINITY) this.behindSinceMs = now;
    if (now - this.behindSinceMs < BEHIND_MS) return false;
    this.behindSinceMs = Number.POSITIVE_INFINITY;
    this.position = position;
    return true;
  }
}

/**
 * A client that the rate follows reports after about so many packets, but at these intervals: on a
 * slow network, more reports would say no more, and take as much of the machine as packets do.
 */
const SENTINEL_PACKETS = 800;
const SENTINEL_INTERVAL_MS = 10;
const MAX_SENTINEL_INTERVAL_MS = 20;
/** Weight of the latest interval in the average of packets a ms. */
const PACE_WEIGHT = 0.1;
/** Until the pace is known it is taken to be quick, so that the server learns quickly. */
const FIRST_PACKETS_PER_MS = 100;
const FIRST_INTERVAL_MS = 10;
/** A server that grants no more than this has so few clients that all may begin quickly. */
const FEW_CLIENTS_INTERVAL_MS = 20;
/** With nothing new to tell, reports thin out to this. */
const KEEPALIVE_MS = 500;

/** Few clients report at once; many share what they may report from the beginning. */
export function firstReportDelayMs(grantedMs: number, random: () => number): number {
  return grantedMs > FEW_CLIENTS_INTERVAL_MS ? random() * grantedMs : 0;
}

/** When to tell the server how far this client is. */
export class ReportClock {
  private readonly client: bigint;
  private readonly maxSentinelMs: number;
  private isSentinel = false;
  private intervalMs = FIRST_INTERVAL_MS;
  private backoffMs = FIRST_INTERVAL_MS;
  private packetsPerMs = FIRST_PACKETS_PER_MS;
  private lastPosition = -1;
  private lastMs = 0;
  dueMs: number;

  /**
   * @param now when the first report is due
   * @param isRoomy the receive buffer holds far more than what comes between two reports
   * @param grantedMs how often the client may report, until a status tells
   */
  constructor(client: bigint, now: number, isRoomy: boolean, grantedMs = 0) {
    this.client = client;
    // The server sends no more ahead of a small buffer than it holds, and would wait.
    this.maxSentinelMs = isRoomy ? MAX_SENTINEL_INTERVAL_MS : SENTINEL_INTERVAL_MS;
    this.dueMs = now;
    if (grantedMs > FEW_CLIENTS_INTERVAL_MS) {
      this.intervalMs = grantedMs;
      this.backoffMs = grantedMs;
    }
  }

  /** Takes the interval that the server grants. @param random in [0, 1): spreads the clients */
  follow(status: Status, now: number, random: number): void {
    const wasSentinel = this.isSentinel;
    this.isSentinel = status.sentinels.includes(this.client);
    const intervalMs = this.isSentinel
      ? this.sentinelIntervalMs
      : Math.max(status.reportIntervalMs, SENTINEL_INTERVAL_MS);
    if (wasSentinel && this.isSentinel) return;
    if (intervalMs === this.intervalMs) return;
    this.intervalMs = intervalMs;
    this.backoffMs = intervalMs;
    this.dueMs = now + (this.isSentinel ? 0 : random * intervalMs);
  }

  private get sentinelIntervalMs(): number {
    const fittingMs = SENTINEL_PACKETS / this.packetsPerMs;
    return Math.max(SENTINEL_INTERVAL_MS, Math.min(fittingMs, this.maxSentinelMs));
  }

  /** So long before its time, a seldom report goes along with packets that woke the thread. */
  private get earlyMs(): number {
    return this.isSentinel ? (this.intervalMs - SENTINEL_INTERVAL_MS) / 2 : 0;
  }

  /** Something changed that the server should know by `byMs`. */
  hurry(byMs: number): void {
    this.dueMs = Math.min(this.dueMs, byMs);
  }

  /** Notes a report made at `now`. */
  reported(now: number, position: number): void {
    this.notePace(now, position);
    if (this.isSentinel) this.intervalMs = this.sentinelIntervalMs;
    this.backoffMs =
      position === this.lastPosition
        ? Math.max(this.intervalMs, Math.min(this.backoffMs * 2, KEEPALIVE_MS))
        : this.intervalMs;
    this.lastPosition = position;
    this.lastMs = now;
    this.dueMs = now + this.backoffMs;
  }

  private notePace(now: number, position: number): void {
    const elapsedMs = now - this.lastMs;
    if (this.lastPosition < 0 || elapsedMs <= 0) return;
    const packets = Math.max(0, positionsBetween(this.lastPosition, position));
    this.packetsPerMs += PACE_WEIGHT * (packets / elapsedMs - this.packetsPerMs);
  }

  /** Packets came: a report that had thinned out is due at the usual interval again. */
  moved(now: number): void {
    if (this.dueMs > now + this.intervalMs) this.dueMs = now + this.intervalMs;
    else this.dueMs = dueWithPackets(this.dueMs, now, this.earlyMs);
  }
}

const MAX_REPORTS = 8;
const INTERVAL_MS = 50;
/** A server that was just started again learns of the copy by these. */
const MAX_LATE_REPORTS = 5;
const LATE_INTERVAL_MS = 1000;

/** Telling the server that a copy is proven, until it answers or was told often enough. */
export class FinalReport {
  private readonly spread: Spread;
  private reports = 0;
  dueMs: number;

  /** All that followed one stream end at once: so the first report waits, too. */
  constructor(spread: Spread, now: number) {
    this.spread = spread;
    this.dueMs = now + spread.partingDelayMs();
  }

  /** No answer came for so long that the server may be another one by now. */
  get isLate(): boolean {
    return this.reports > MAX_REPORTS;
  }

  /** Told often enough: the server is gone, or will learn it otherwise. */
  get isOver(): boolean {
    return this.reports > MAX_REPORTS + MAX_LATE_REPORTS;
  }

  /** Whether to report now. */
  take(now: number): boolean {
    if (now < this.dueMs) return false;
    this.reports++;
    const intervalMs = this.reports < MAX_REPORTS ? INTERVAL_MS : LATE_INTERVAL_MS;
    this.dueMs = now + intervalMs + this.spread.partingDelayMs();
    return !this.isOver;
  }
}

/** What a client tells that has received nothing. */
export function emptyReport(
  client: bigint,
  { session, position }: ImageDescription,
  state: ClientStateId,
): Report {
  const nothing = { missingChunks: 0, provenChunks: 0, packetsReceived: 0, packetsLost: 0 };
  return { session, client, position, state, clockUs: 0, receiveBufferBytes: 0, ...nothing };
}
