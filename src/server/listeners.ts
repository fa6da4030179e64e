/**
 * The clients that want packets now, and the few of them that the rate follows: looked up once
 * a round, since the client table is long and packets are many. From how many they are follows
 * how often each may speak.
 */
import { LARGEST_REQUEST_WINDOW_MS, MOST_SENTINELS } from '../protocol/from-server.js';
import type { ClientTable } from './client-table.js';
import { type Client, electSentinels } from './clients.js';
import { Joining } from './joining.js';
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
/** Requests of few clients per millisecond that the request window allows for. */
const REQUESTS_PER_MS = 2;
/** Of more clients than so many, each makes the window longer by so much: they get no louder. */
const FEW_CLIENTS = 35;
const WINDOW_MS_PER_CLIENT = 5;
/** Many clients have fewer sentinels: what these report is most of what the server hears. */
const SENTINELS_TIMES_CLIENTS = 240;
const LEAST_SENTINELS = 4;
/** Clients of one address that never reported, but are believed in. */
const NEWCOMERS_OF_ADDRESS = 4;
/** Statuses are so far apart, and further the more clients there are. */
const LEAST_STATUS_DISTANCE_MS = 2;
const CLIENTS_PER_DISTANCE_MS = 20;
const MOST_STATUS_DISTANCE_MS = 100;

export class Listeners {
  readonly #clients: ClientTable;
  readonly #joining = new Joining();
  #hungry: readonly Client[] = [];
  #sentinels: readonly Client[] = [];
  /** Of the hungry, those that are to be reckoned with. */
  #believedCount = 0;
  /** Clients that joined since the last round. */
  #joinedCount = 0;
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

  /** How many clients have to share what all together may send. */
  get #crowd(): number {
    return this.#believedCount + this.#joinedCount;
  }

  /** Those whose reports the rate follows. */
  get sentinels(): readonly Client[] {
    return this.#sentinels;
  }

  /** How long a client waits between two reports. */
  get reportIntervalMs(): number {
    const intervalMs = (this.#crowd * 1000) / REPORTS_PER_SECOND;
    return Math.min(LARGEST_REPORT_INTERVAL_MS, Math.max(LEAST_REPORT_INTERVAL_MS, intervalMs));
  }

  /** Over how long the clients spread what they send. */
  get requestWindowMs(): number {
    const count = this.#crowd;
    const windowMs = Math.max(
      count / REQUESTS_PER_MS,
      (count - FEW_CLIENTS) * WINDOW_MS_PER_CLIENT,
    );
    return Math.min(LARGEST_REQUEST_WINDOW_MS, windowMs);
  }

  /** Over how long those join that wait to. */
  joinWindowMs(now: number): number {
    return this.#joining.windowMs(now);
  }

  /** What all clients hear is not repeated sooner, however many of them come at once. */
  get statusDistanceMs(): number {
    const distanceMs = this.#crowd / CLIENTS_PER_DISTANCE_MS;
    return Math.min(MOST_STATUS_DISTANCE_MS, Math.max(LEAST_STATUS_DISTANCE_MS, distanceMs));
  }

  /** Whether somebody was heard of lately: to an empty room nothing need be said. */
  isHeard(now: number): boolean {
    const sinceMs = now - Math.max(UNHEARD_AFTER_MS, 3 * this.reportIntervalMs);
    return this.#hungry.some((client) => client.lastHeardMs >= sinceMs);
  }

  /** A client came. @returns whether the others should hear at once over how long to join */
  noteJoined(isAtOnce: boolean, now: number): boolean {
    this.#joinedCount++;
    this.noteChange();
    return isAtOnce && this.#joining.note(now);
  }

  /** A client came or went: the next round is due at once. */
  noteChange(): void {
    if (this.#hungry.length > MOST_NOTED_AT_ONCE) return;
    this.#roundAtMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Clients that reported, and a few more of each address. Others may be invented: they must not lengthen
   * everybody's windows and intervals.
   */
  #countBelieved(now: number): number {
    let count = 0;
    for (const { reportedMs, origin } of this.#hungry) {
      if (reportedMs !== null || origin === null) {
        count++;
        continue;
      }
      if (origin.roundMs !== now) origin.newcomers = 0;
      origin.roundMs = now;
      if (++origin.newcomers <= NEWCOMERS_OF_ADDRESS) count++;
    }
    return count;
  }

  /** Begins a round, if one is due. @returns whether it did */
  update(now: number): boolean {
    if (now - this.#roundAtMs < ROUND_MS) return false;
    this.#roundAtMs = now;
    const silentAfterMs = Math.max(LEAST_SILENT_MS, 3 * this.reportIntervalMs);
    this.#hungry = this.#clients.hungry(now, silentAfterMs);
    this.#joinedCount = 0;
    this.#believedCount = this.#countBelieved(now);
    const share = Math.round(SENTINELS_TIMES_CLIENTS / Math.max(1, this.#hungry.length));
    const most = Math.min(MOST_SENTINELS, Math.max(LEAST_SENTINELS, share));
    this.#sentinels = electSentinels(this.#hungry, now, most);
    return true;
  }
}
