/**
 * The clients that want packets now, and the few of them that the rate follows: looked up once
 * a round, since the client table is long and packets are many. From how many they are follows
 * how often each may speak.
 */
import { LARGEST_REQUEST_WINDOW_MS } from '../protocol/from-server.js';
import type { ClientTable } from './client-table.js';
import { type Client, electSentinels } from './clients.js';
import { ROUND_MS } from './rate.js';

/** A client not heard of for this long, and for three of its intervals, wants nothing. */
export const LEAST_SILENT_MS = 3000;
/** Even with nothing new to tell, a client that the rate follows speaks twice a second. */
const UNHEARD_AFTER_MS = 1200;
/** Reports per second from all clients together, sentinels aside. */
const REPORTS_PER_SECOND = 200;
const LEAST_REPORT_INTERVAL_MS = 20;
const LARGEST_REPORT_INTERVAL_MS = 65_535;
/** Of so many clients, one more or less can wait for the next round. */
const MOST_NOTED_AT_ONCE = 64;
/** Clients' block requests per millisecond that the request window allows for. */
const REQUESTS_PER_MS = 2;

export class Listeners {
  readonly #clients: ClientTable;
  #hungry: readonly Client[] = [];
  #sentinels: readonly Client[] = [];
  /** Of the hungry, those that reported: invented clients must not lengthen everybody's interval. */
  #reportingCount = 0;
  #roundAtMs = Number.NEGATIVE_INFINITY;

  constructor(clients: ClientTable) {
    this.#clients = clients;
  }

  /** When the next round is due. */
  get nextRoundMs(): number {
    return this.#roundAtMs + ROUND_MS;
  }

  /** How many clients want packets. */
  get count(): number {
    return this.#hungry.length;
  }

  /** Those whose reports the rate follows. */
  get sentinels(): readonly Client[] {
    return this.#sentinels;
  }

  /** How long a client waits between two reports. */
  get reportIntervalMs(): number {
    const intervalMs = (this.#reportingCount * 1000) / REPORTS_PER_SECOND;
    return Math.min(LARGEST_REPORT_INTERVAL_MS, Math.max(LEAST_REPORT_INTERVAL_MS, intervalMs));
  }

  /** Over how long the clients spread their block requests. */
  get requestWindowMs(): number {
    return Math.min(LARGEST_REQUEST_WINDOW_MS, this.count / REQUESTS_PER_MS);
  }

  /** Whether somebody was heard of lately: to an empty room nothing need be said. */
  isHeard(now: number): boolean {
    const sinceMs = now - Math.max(UNHEARD_AFTER_MS, 3 * this.reportIntervalMs);
    return this.#hungry.some((client) => client.lastHeardMs >= sinceMs);
  }

  /** A client came or went: the next round is due at once. */
  noteChange(): void {
    if (this.#hungry.length > MOST_NOTED_AT_ONCE) return;
    this.#roundAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Begins a round, if one is due. @returns whether it did */
  update(now: number): boolean {
    if (now - this.#roundAtMs < ROUND_MS) return false;
    this.#roundAtMs = now;
    const silentAfterMs = Math.max(LEAST_SILENT_MS, 3 * this.reportIntervalMs);
    this.#hungry = this.#clients.hungry(now, silentAfterMs);
    this.#reportingCount = 0;
    for (const { reportedMs } of this.#hungry) if (reportedMs !== null) this.#reportingCount++;
    this.#sentinels = electSentinels(this.#hungry, now);
    return true;
  }
}
