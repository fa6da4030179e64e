/**
 * When a status is due, and what it says. While blocks go out, clients learn from it where the
 * pass is; when nothing is pending, they learn just that, and ask for what they still lack.
 */

import { encodeStatus } from '../protocol/from-server.js';
import { wirePosition } from '../protocol/position.js';
import type { ActiveClients } from './clients/active-clients.js';
import type { StartGate } from './start-gate.js';
import type { Stream } from './stream/stream.js';

const STATUS_INTERVAL_MS = 50;
/** While the stream is held: more often than the shortest quiet timeout that anybody sets. */
const HELD_STATUS_INTERVAL_MS = 250;
/** After the last pending chunk: soon and often, then less and less. */
const FIRST_IDLE_STATUS_MS = 2;
const LAST_IDLE_STATUS_MS = 1000;
/** Between statuses for clients that come. */
const JOINED_DISTANCE_MS = 2;

export class StatusClock {
  private readonly session: bigint;
  private readonly stream: Stream;
  private readonly activeClients: ActiveClients;
  private readonly gate: StartGate;
  /** The first status goes out at once: clients that wait already hear that we are here. */
  private wantedMs = Number.NEGATIVE_INFINITY;
  private lastMs = Number.NEGATIVE_INFINITY;
  private idleIntervalMs = FIRST_IDLE_STATUS_MS;
  private wasIdle = true;
  private isUrgent = false;

  constructor(session: bigint, stream: Stream, activeClients: ActiveClients, gate: StartGate) {
    this.session = session;
    this.stream = stream;
    this.activeClients = activeClients;
    this.gate = gate;
  }

  /** When the next status is due; Infinity while nobody listens. */
  get dueMs(): number {
    const distanceMs = this.isUrgent ? 0 : this.activeClients.statusDistanceMs;
    return Math.max(this.wantedMs, this.lastMs + distanceMs);
  }

  /** Somebody must learn where the stream is, by `dueMs` at the latest. */
  hasten(dueMs: number): void {
    this.wantedMs = Math.min(this.wantedMs, dueMs);
  }

  /**
   * A client came, or came back: it must learn where the stream is, and others how many there are.
   */
  noteJoined(now: number, isUrgent = false): void {
    this.hasten(Math.max(now, this.lastMs + JOINED_DISTANCE_MS));
    if (isUrgent) this.isUrgent = true;
  }

  /** What was asked for may be held to be underway: only our position tells that it is not. */
  noteRequest(now: number): void {
    if (this.stream.isIdle) this.hasten(now + FIRST_IDLE_STATUS_MS);
  }

  /** Packets of the stream went out. */
  noteSent(now: number): void {
    if (this.stream.isIdle) {
      this.hasten(now);
    } else if (this.wasIdle) {
      this.wasIdle = false;
      this.hasten(now + STATUS_INTERVAL_MS);
    }
  }

  /** The status to send at `now`, when one is due. */
  poll(now: number): Buffer | null {
    if (now < this.dueMs) return null;
    this.lastMs = now;
    this.isUrgent = false;
    const { isIdle } = this.stream;
    this.wantedMs = now + (isIdle ? this.nextIdleIntervalMs() : this.intervalMs);
    this.wasIdle = isIdle;
    return this.encode(isIdle, now);
  }

  private get intervalMs(): number {
    return this.gate.isHeld ? HELD_STATUS_INTERVAL_MS : STATUS_INTERVAL_MS;
  }

  private nextIdleIntervalMs(): number {
    this.idleIntervalMs = this.wasIdle
      ? Math.min(this.idleIntervalMs * 2, LAST_IDLE_STATUS_MS)
      : FIRST_IDLE_STATUS_MS;
    return this.activeClients.count > 0 ? this.idleIntervalMs : Number.POSITIVE_INFINITY;
  }

  private encode(isIdle: boolean, now: number): Buffer {
    return encodeStatus({
      session: this.session,
      position: wirePosition(this.stream.position),
      cursor: this.stream.cursor,
      pendingChunks: this.stream.pendingChunks,
      isIdle,
      awaitedClients: this.gate.awaitedClients,
      mapId: this.stream.mapId,
      reportIntervalMs: Math.round(this.activeClients.reportIntervalMs),
      requestWindowMs: Math.round(this.activeClients.requestWindowMs),
      joinWindowMs: Math.round(this.activeClients.joinWindowMs(now)),
      sentinels: this.activeClients.sentinels.map((client) => client.id),
    });
  }
}
