/**
 * Over how long this client spreads what it sends. The server tells windows that grow with the
 * number of its clients: so that they are no louder together, each of them waits.
 */

/** Request windows over which all clients ask a server whether it still is what it was. */
const REJOIN_WINDOWS = 1.5;
const PARTING_WINDOWS = 0.25;
/** While many join, requests wait for a part of so much of the time that they have for it. */
const JOIN_SHARE = 0.25;

export class Spread {
  /** The request window that the server told last. */
  windowMs = 0;
  #joinMs = 0;
  #joinToldMs = Number.NEGATIVE_INFINITY;
  readonly #random: () => number;

  /** @param random numbers in [0, 1) */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** A part of a window that may grow yet, in [0, 1). */
  share(): number {
    return this.#random();
  }

  /** How long to wait with a request; in ms. */
  delayMs(): number {
    return this.#random() * Math.max(this.windowMs, JOIN_SHARE * this.#joinMs);
  }

  /** How long to wait with a report of the end: by then nobody asks any more; in ms. */
  partingDelayMs(): number {
    return this.#random() * PARTING_WINDOWS * this.windowMs;
  }

  /** A server told over how long clients are to join. */
  tellJoin(joinMs: number, now: number): void {
    // A server that was started again does not know yet how many wait for it.
    if (joinMs < this.#joinMs && now - this.#joinToldMs < this.#joinMs) return;
    this.#joinMs = joinMs;
    this.#joinToldMs = now;
  }

  /** Over how long clients join; in ms. */
  get joinMs(): number {
    return this.#joinMs;
  }

  /** Over how long clients ask their server anew, that is silent or was started again; in ms. */
  get rejoinMs(): number {
    return Math.max(this.#joinMs, REJOIN_WINDOWS * this.windowMs);
  }
}
