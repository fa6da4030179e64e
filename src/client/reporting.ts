/** When to tell the server how far this client is. */
import type { Status } from '../protocol/from-server.js';

/** Interval of a client that the rate follows. */
const SENTINEL_INTERVAL_MS = 10;
const FIRST_INTERVAL_MS = 10;
/** With nothing new to tell, reports thin out to this. */
const KEEPALIVE_MS = 500;

export class Reporting {
  readonly #client: bigint;
  #intervalMs = FIRST_INTERVAL_MS;
  #backoffMs = FIRST_INTERVAL_MS;
  #lastPosition = -1;
  #dueMs: number;

  constructor(client: bigint, now: number) {
    this.#client = client;
    this.#dueMs = now;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /** Takes the interval that the server grants. @param random in [0, 1): spreads the clients */
  follow(status: Status, now: number, random: number): void {
    const isSentinel = status.sentinels.includes(this.#client);
    const intervalMs = isSentinel
      ? SENTINEL_INTERVAL_MS
      : Math.max(status.reportIntervalMs, SENTINEL_INTERVAL_MS);
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    this.#backoffMs = intervalMs;
    this.#dueMs = now + (isSentinel ? 0 : random * intervalMs);
  }

  /** Something changed that the server should know now. */
  hurry(now: number): void {
    this.#dueMs = now;
  }

  /** Notes a report made at `now`. */
  reported(now: number, position: number): void {
    this.#backoffMs =
      position === this.#lastPosition
        ? Math.max(this.#intervalMs, Math.min(this.#backoffMs * 2, KEEPALIVE_MS))
        : this.#intervalMs;
    this.#lastPosition = position;
    this.#dueMs = now + this.#backoffMs;
  }

  /** Packets came: a report that had thinned out is due at the usual interval again. */
  moved(now: number): void {
    if (this.#dueMs > now + this.#intervalMs) this.#dueMs = now + this.#intervalMs;
  }
}
