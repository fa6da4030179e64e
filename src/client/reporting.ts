/** When to tell the server how far this client is. */
import type { Status } from '../protocol/from-server.js';
import { positionsBetween } from '../protocol/position.js';
import { dueWithPackets } from './deadline.js';

/**
 * A client that the rate follows reports after about so many packets, but at these intervals: on a slow
 * network, more reports would say no more, and take as much of the machine as the packets do.
 */
const SENTINEL_PACKETS = 800;
const SENTINEL_INTERVAL_MS = 10;
const MOST_SENTINEL_INTERVAL_MS = 20;
/** Weight of the latest interval in the average of packets a ms. */
const PACE_WEIGHT = 0.1;
/** Until the pace is known it is taken to be quick, so that the server learns quickly. */
const FIRST_PACKETS_PER_MS = 100;
const FIRST_INTERVAL_MS = 10;
/** A server that grants no more than this has so few clients that all may begin quickly. */
export const FEW_CLIENTS_INTERVAL_MS = 20;
/** With nothing new to tell, reports thin out to this. */
const KEEPALIVE_MS = 500;

export class Reporting {
  readonly #client: bigint;
  readonly #mostSentinelMs: number;
  #isSentinel = false;
  #intervalMs = FIRST_INTERVAL_MS;
  #backoffMs = FIRST_INTERVAL_MS;
  #packetsPerMs = FIRST_PACKETS_PER_MS;
  #lastPosition = -1;
  #lastMs = 0;
  #dueMs: number;

  /**
   * @param now when the first report is due
   * @param isRoomy the receive buffer holds far more than what comes between two reports
   * @param grantedMs how often the client may report, until a status tells
   */
  constructor(client: bigint, now: number, isRoomy: boolean, grantedMs = 0) {
    this.#client = client;
    // The server sends no more ahead of a small buffer than it holds, and would wait.
    this.#mostSentinelMs = isRoomy ? MOST_SENTINEL_INTERVAL_MS : SENTINEL_INTERVAL_MS;
    this.#dueMs = now;
    if (grantedMs > FEW_CLIENTS_INTERVAL_MS) {
      this.#intervalMs = grantedMs;
      this.#backoffMs = grantedMs;
    }
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /** Takes the interval that the server grants. @param random in [0, 1): spreads the clients */
  follow(status: Status, now: number, random: number): void {
    const wasSentinel = this.#isSentinel;
    this.#isSentinel = status.sentinels.includes(this.#client);
    const intervalMs = this.#isSentinel
      ? this.#sentinelIntervalMs
      : Math.max(status.reportIntervalMs, SENTINEL_INTERVAL_MS);
    if (wasSentinel && this.#isSentinel) return;
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    this.#backoffMs = intervalMs;
    this.#dueMs = now + (this.#isSentinel ? 0 : random * intervalMs);
  }

  get #sentinelIntervalMs(): number {
    const fittingMs = SENTINEL_PACKETS / this.#packetsPerMs;
    return Math.max(SENTINEL_INTERVAL_MS, Math.min(fittingMs, this.#mostSentinelMs));
  }

  /** So long before its time, a seldom report goes along with packets that woke the thread anyway. */
  get #earlyMs(): number {
    return this.#isSentinel ? (this.#intervalMs - SENTINEL_INTERVAL_MS) / 2 : 0;
  }

  /** Something changed that the server should know by `dueMs`. */
  hurry(dueMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, dueMs);
  }

  /** Notes a report made at `now`. */
  reported(now: number, position: number): void {
    this.#notePace(now, position);
    if (this.#isSentinel) this.#intervalMs = this.#sentinelIntervalMs;
    this.#backoffMs =
      position === this.#lastPosition
        ? Math.max(this.#intervalMs, Math.min(this.#backoffMs * 2, KEEPALIVE_MS))
        : this.#intervalMs;
    this.#lastPosition = position;
    this.#lastMs = now;
    this.#dueMs = now + this.#backoffMs;
  }

  #notePace(now: number, position: number): void {
    const elapsedMs = now - this.#lastMs;
    if (this.#lastPosition < 0 || elapsedMs <= 0) return;
    const packets = Math.max(0, positionsBetween(this.#lastPosition, position));
    this.#packetsPerMs += PACE_WEIGHT * (packets / elapsedMs - this.#packetsPerMs);
  }

  /** Packets came: a report that had thinned out is due at the usual interval again. */
  moved(now: number): void {
    if (this.#dueMs > now + this.#intervalMs) this.#dueMs = now + this.#intervalMs;
    else this.#dueMs = dueWithPackets(this.#dueMs, now, this.#earlyMs);
  }
}
