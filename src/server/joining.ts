/**
 * Over how long clients are to join. Of those that start at once, or hear at once that a server is
 * there, a small share asks at once; the others listen first. So from the size of a burst follows
 * how many wait, and over how long they have to join, so that no second has too many of them.
 */
import { LARGEST_JOIN_WINDOW_MS } from '../protocol/from-server.js';

/** Of clients that listen, for each that asked at once: see `AT_ONCE_SHARE` of the client. */
const LISTENERS_FOR_EACH = 7;
/** What comes within about this time is one burst. */
const BURST_MS = 100;
/** So small a burst needs no spreading of the others. */
const SMALL_BURST = 30;
/** Clients that are to join in a millisecond. */
const JOINS_PER_MS = 0.1;

export class Joining {
  /** Clients of the burst, less those that came too long ago. */
  #burst = 0;
  #joinedMs = Number.NEGATIVE_INFINITY;
  #windowMs = 0;
  #endMs = Number.NEGATIVE_INFINITY;

  /**
   * A client joins that did not listen first.
   * @returns whether those that listen now are to wait: they should hear so at once
   */
  note(now: number): boolean {
    this.#burst = this.#burst * Math.exp((this.#joinedMs - now) / BURST_MS) + 1;
    this.#joinedMs = now;
    const waiting = LISTENERS_FOR_EACH * Math.max(0, this.#burst - SMALL_BURST);
    const windowMs = Math.min(LARGEST_JOIN_WINDOW_MS, waiting / JOINS_PER_MS);
    if (windowMs > this.windowMs(now)) {
      this.#windowMs = windowMs;
      this.#endMs = now + windowMs;
    }
    return this.windowMs(now) > 0;
  }

  /** Over how long those that wait are to join; 0 when few or none wait. */
  windowMs(now: number): number {
    return now < this.#endMs ? this.#windowMs : 0;
  }
}
