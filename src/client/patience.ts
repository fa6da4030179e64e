/**
 * How long nothing was heard: when the channel counts as quiet, and when to give up. Time in
 * which this machine itself stood still counts for nothing.
 */

/** Packets of an unknown session cause one map request per this time. */
const FOREIGN_ASK_MS = 200;
/** A server not heard of for this long may have moved to another address. */
const FORSAKEN_MS = 10_000;
/** Nothing waits longer than a second for its turn: after such a gap, all of us slept. */
const SUSPENDED_MS = 1_500;

export class Patience {
  readonly #quietMs: number;
  readonly #giveUpMs: number;
  #heardMs: number;
  #askedMs = Number.NEGATIVE_INFINITY;
  #rediscoverMs = Number.POSITIVE_INFINITY;
  #awakeMs: number;

  /**
   * @param quietMs the quiet timeout
   * @param giveUpMs Infinity to wait for ever
   */
  constructor(quietMs: number, giveUpMs: number, now: number) {
    this.#quietMs = quietMs;
    this.#giveUpMs = giveUpMs;
    this.#heardMs = now;
    this.#awakeMs = now;
  }

  /** The server is there. */
  heard(now: number): void {
    this.#heardMs = now;
  }

  /** Called at every turn: finds out whether the machine was suspended since the last one. */
  wake(now: number): void {
    const gapMs = now - this.#awakeMs;
    if (gapMs > SUSPENDED_MS) this.#heardMs = Math.min(now, this.#heardMs + gapMs);
    this.#awakeMs = now;
  }

  /** The server is to be asked whether it is still the same, a quiet time from now. */
  begin(now: number): void {
    this.#heardMs = now;
    this.#rediscoverMs = now + this.#quietMs;
  }

  /** A packet of a session that nobody knows: the server may have been started again. */
  heardForeign(now: number): void {
    const dueMs = Math.max(now, this.#askedMs + FOREIGN_ASK_MS);
    this.#rediscoverMs = Math.min(this.#rediscoverMs, dueMs);
  }

  isQuiet(now: number): boolean {
    return now >= this.#quietDueMs;
  }

  /** Whether the chosen server may be elsewhere by now. */
  isForsaken(now: number): boolean {
    return now - this.#heardMs >= FORSAKEN_MS;
  }

  get #quietDueMs(): number {
    return Math.max(this.#heardMs, this.#askedMs) + this.#quietMs;
  }

  /** Whether the server is to be asked now; notes that it is. */
  takeRediscovery(now: number): boolean {
    if (!this.isQuiet(now) && now < this.#rediscoverMs) return false;
    this.#askedMs = now;
    this.#rediscoverMs = Number.POSITIVE_INFINITY;
    return true;
  }

  isOver(now: number): boolean {
    return now >= this.giveUpDueMs;
  }

  get giveUpDueMs(): number {
    return this.#heardMs + this.#giveUpMs;
  }

  /** When there is something to do while receiving. */
  get dueMs(): number {
    return Math.min(this.giveUpDueMs, this.#quietDueMs, this.#rediscoverMs);
  }
}
