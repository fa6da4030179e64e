/**
 * When a status is due, and what it says. While blocks go out, clients learn from it where the
 * pass is; when nothing is pending, they learn just that, and ask for what they still lack.
 */
import { encodeStatus } from '../protocol/from-server.js';
import { wirePosition } from '../protocol/position.js';
import type { Listeners } from './listeners.js';
import type { Stream } from './stream.js';

const STATUS_INTERVAL_MS = 50;
/** After the last pending chunk: soon and often, then less and less. */
const FIRST_IDLE_STATUS_MS = 2;
const LAST_IDLE_STATUS_MS = 1000;
/** Between statuses for clients that come. */
const JOINED_DISTANCE_MS = 2;

export class StatusClock {
  readonly #session: bigint;
  readonly #stream: Stream;
  readonly #listeners: Listeners;
  /** The first status goes out at once: clients that wait already hear that we are here. */
  #dueMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;
  #idleIntervalMs = FIRST_IDLE_STATUS_MS;
  #wasIdle = true;
  #isUrgent = false;

  constructor(session: bigint, stream: Stream, listeners: Listeners) {
    this.#session = session;
    this.#stream = stream;
    this.#listeners = listeners;
  }

  /** When the next status is due; Infinity while nobody listens. */
  get dueMs(): number {
    const distanceMs = this.#isUrgent ? 0 : this.#listeners.statusDistanceMs;
    return Math.max(this.#dueMs, this.#lastMs + distanceMs);
  }

  /** Somebody must learn where the stream is, by `dueMs` at the latest. */
  hasten(dueMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, dueMs);
  }

  /** A client came, or came back: it must learn where the stream is, and others how many there are. */
  noteJoined(now: number, isUrgent = false): void {
    this.hasten(Math.max(now, this.#lastMs + JOINED_DISTANCE_MS));
    if (isUrgent) this.#isUrgent = true;
  }

  /** What was asked for may be held to be underway: only our position tells that it is not. */
  noteRequest(now: number): void {
    if (this.#stream.isIdle) this.hasten(now + FIRST_IDLE_STATUS_MS);
  }

  /** Packets of the stream went out. */
  noteSent(now: number): void {
    if (this.#stream.isIdle) {
      this.hasten(now);
    } else if (this.#wasIdle) {
      this.#wasIdle = false;
      this.hasten(now + STATUS_INTERVAL_MS);
    }
  }

  /** The status to send at `now`, when one is due. */
  poll(now: number): Buffer | null {
    if (now < this.dueMs) return null;
    this.#lastMs = now;
    this.#isUrgent = false;
    const { isIdle } = this.#stream;
    this.#dueMs = now + (isIdle ? this.#nextIdleIntervalMs() : STATUS_INTERVAL_MS);
    this.#wasIdle = isIdle;
    return this.#encode(isIdle, now);
  }

  #nextIdleIntervalMs(): number {
    this.#idleIntervalMs = this.#wasIdle
      ? Math.min(this.#idleIntervalMs * 2, LAST_IDLE_STATUS_MS)
      : FIRST_IDLE_STATUS_MS;
    return this.#listeners.count > 0 ? this.#idleIntervalMs : Number.POSITIVE_INFINITY;
  }

  #encode(isIdle: boolean, now: number): Buffer {
    return encodeStatus({
      session: this.#session,
      position: wirePosition(this.#stream.position),
      cursor: this.#stream.cursor,
      pendingChunks: this.#stream.pendingChunks,
      isIdle,
      mapId: this.#stream.mapId,
      reportIntervalMs: Math.round(this.#listeners.reportIntervalMs),
      requestWindowMs: Math.round(this.#listeners.requestWindowMs),
      joinWindowMs: Math.round(this.#listeners.joinWindowMs(now)),
      sentinels: this.#listeners.sentinels.map((client) => client.id),
    });
  }
}
