/**
 * The clients that want packets now, and the few of them that the rate follows: looked up once
 * a round, since the client table is long and packets are many. From how many they are follows
 * how often each may speak.
 */

import {
  MAX_JOIN_WINDOW_MS,
  MAX_REQUEST_WINDOW_MS,
  MAX_SENTINELS,
} from '../../protocol/from-server.js';
import { ROUND_MS } from '../rate.js';
import { type Client, electSentinels } from './client.js';
import type { Clients } from './clients.js';

/** A client not heard of for this long, and for three of its intervals, wants nothing. */
export const MIN_SILENT_MS = 3000;
/** Even with nothing new to tell, a client that the rate follows speaks twice a second. */
const UNHEARD_AFTER_MS = 1200;
/** Reports per second from all clients together, sentinels aside. */
const REPORTS_PER_SECOND = 200;
const MIN_REPORT_INTERVAL_MS = 20;
const MAX_REPORT_INTERVAL_MS = 65_535;
/** Of so many clients, one more or less can wait for the next round. */
const MAX_NOTED_AT_ONCE = 64;
/** Requests of few clients per millisecond that the request window allows for. */
const REQUESTS_PER_MS = 2;
/** Of more clients than so many, each makes the window longer by so much: they get no louder. */
const FEW_CLIENTS = 35;
const WINDOW_MS_PER_CLIENT = 5;
/** Many clients have fewer sentinels: what these report is most of what the server hears. */
const SENTINELS_TIMES_CLIENTS = 240;
const MIN_SENTINELS = 4;
/** Clients of one address that never reported, but are believed in. */
const NEWCOMERS_OF_ADDRESS = 4;
/** Statuses are so far apart, and further the more clients there are. */
const MIN_STATUS_DISTANCE_MS = 2;
const CLIENTS_PER_DISTANCE_MS = 20;
const MAX_STATUS_DISTANCE_MS = 100;

export class ActiveClients {
  private readonly clients: Clients;
  private readonly joinWindow = new JoinWindow();
  private hungry: readonly Client[] = [];
  private elected: readonly Client[] = [];
  /** Of the hungry, those that are to be reckoned with. */
  private believedCount = 0;
  /** Clients that joined since the last round. */
  private joinedCount = 0;
  private roundAtMs = Number.NEGATIVE_INFINITY;

  constructor(clients: Clients) {
    this.clients = clients;
  }

  /** When the next round is due. */
  get nextRoundMs(): number {
    return this.roundAtMs + ROUND_MS;
  }

  /** How many clients want packets. */
  get count(): number {
    return this.hungry.length;
  }

  /** How many clients have to share what all together may send. */
  private get crowd(): number {
    return this.believedCount + this.joinedCount;
  }

  /** Those whose reports the rate follows. */
  get sentinels(): readonly Client[] {
    return this.elected;
  }

  /** How long a client waits between two reports. */
  get reportIntervalMs(): number {
    const intervalMs = (this.crowd * 1000) / REPORTS_PER_SECOND;
    return Math.min(MAX_REPORT_INTERVAL_MS, Math.max(MIN_REPORT_INTERVAL_MS, intervalMs));
  }

  /** Over how long the clients spread what they send. */
  get requestWindowMs(): number {
    const count = this.crowd;
    const windowMs = Math.max(
      count / REQUESTS_PER_MS,
      (count - FEW_CLIENTS) * WINDOW_MS_PER_CLIENT,
    );
    return Math.min(MAX_REQUEST_WINDOW_MS, windowMs);
  }

  /** Over how long those join that wait to. */
  joinWindowMs(now: number): number {
    return this.joinWindow.windowMs(now);
  }

  /** What all clients hear is not repeated sooner, however many of them come at once. */
  get statusDistanceMs(): number {
    const distanceMs = this.crowd / CLIENTS_PER_DISTANCE_MS;
    return Math.min(MAX_STATUS_DISTANCE_MS, Math.max(MIN_STATUS_DISTANCE_MS, distanceMs));
  }

  /** Whether somebody was heard of lately: to an empty room nothing need be said. */
  isHeard(now: number): boolean {
    const sinceMs = now - Math.max(UNHEARD_AFTER_MS, 3 * this.reportIntervalMs);
    return this.hungry.some((client) => client.lastHeardMs >= sinceMs);
  }

  /** A client came. @returns whether the others should hear at once over how long to join */
  noteJoined(isAtOnce: boolean, now: number): boolean {
    this.joinedCount++;
    this.noteChange();
    return isAtOnce && this.joinWindow.note(now);
  }

  /** A client came or went: the next round is due at once. */
  noteChange(): void {
    if (this.hungry.length > MAX_NOTED_AT_ONCE) return;
    this.roundAtMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Clients that reported, and a few more of each address. Others may be invented: they must not
   * lengthen everybody's windows and intervals.
   */
  private countBelieved(now: number): number {
    let count = 0;
    for (const { reportedMs, clientAddress } of this.hungry) {
      if (reportedMs !== null || clientAddress === null) {
        count++;
        continue;
      }
      if (clientAddress.roundMs !== now) clientAddress.newcomers = 0;
      clientAddress.roundMs = now;
      if (++clientAddress.newcomers <= NEWCOMERS_OF_ADDRESS) count++;
    }
    return count;
  }

  /** Begins a round, if one is due. @returns whether it did */
  update(now: number): boolean {
    if (now - this.roundAtMs < ROUND_MS) return false;
    this.roundAtMs = now;
    const silentAfterMs = Math.max(MIN_SILENT_MS, 3 * this.reportIntervalMs);
    this.hungry = this.clients.hungry(now, silentAfterMs);
    this.joinedCount = 0;
    this.believedCount = this.countBelieved(now);
    const share = Math.round(SENTINELS_TIMES_CLIENTS / Math.max(1, this.hungry.length));
    const most = Math.min(MAX_SENTINELS, Math.max(MIN_SENTINELS, share));
    this.elected = electSentinels(this.hungry, now, most);
    return true;
  }
}

/** Of clients that listen, for each that asked at once: see `AT_ONCE_SHARE` of the client. */
const LISTENERS_FOR_EACH = 7;
/** What comes within about this time is one burst. */
const BURST_MS = 100;
/** So small a burst needs no spreading of the others. */
const SMALL_BURST = 30;
/** Clients that are to join in a millisecond. */
const JOINS_PER_MS = 0.1;

/**
 * Over how long clients are to join. Of those that start at once, or hear at once that a server is
 * there, a small share asks at once; the others listen first. So from the size of a burst follows
 * how many wait, and over how long they have to join, so that no second has too many of them.
 */
class JoinWindow {
  /** Clients of the burst, less those that came too long ago. */
  private burst = 0;
  private joinedMs = Number.NEGATIVE_INFINITY;
  private latestWindowMs = 0;
  private endMs = Number.NEGATIVE_INFINITY;

  /**
   * A client joins that did not listen first.
   * @returns whether those that listen now are to wait: they should hear so at once
   */
  note(now: number): boolean {
    this.burst = this.burst * Math.exp((this.joinedMs - now) / BURST_MS) + 1;
    this.joinedMs = now;
    const waiting = LISTENERS_FOR_EACH * Math.max(0, this.burst - SMALL_BURST);
    const windowMs = Math.min(MAX_JOIN_WINDOW_MS, waiting / JOINS_PER_MS);
    if (windowMs > this.windowMs(now)) {
      this.latestWindowMs = windowMs;
      this.endMs = now + windowMs;
    }
    return this.windowMs(now) > 0;
  }

  /** Over how long those that wait are to join; 0 when few or none wait. */
  windowMs(now: number): number {
    return now < this.endMs ? this.latestWindowMs : 0;
  }
}
