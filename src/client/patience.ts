/**
 * How long nothing was heard: when the channel counts as quiet. And for how long there was no
 * progress: when to give up. Time in which this machine itself stood still counts for nothing.
 */
import type { Spread } from './spread.js';

/** Packets of an unknown session cause one map request per this time. */
const FOREIGN_ASK_MS = 200;
/** A server not heard of for this long may have moved to another address. */
const FORSAKEN_MS = 10_000;
/** Nothing waits longer for its turn. */
const LONGEST_TURN_MS = 1_000;
/** A turn that comes so late says that the machine stood still, or wrote to a slow disk. */
const LATE_MS = 100;

export class Patience {
  readonly #quietMs: number;
  readonly #giveUpMs: number;
  readonly #spread: Spread;
  #heardMs: number;
  #progressMs: number;
  #askedMs = Number.NEGATIVE_INFINITY;
  #rediscoverMs = Number.POSITIVE_INFINITY;
  #awakeMs: number;
  /** Of many clients that hear nothing at once, each asks at a time of its own. */
  #share: number;

  /**
   * @param quietMs the quiet timeout
   * @param giveUpMs Infinity to wait for ever
   */
  constructor(quietMs: number, giveUpMs: number, spread: Spread, now: number) {
    this.#quietMs = quietMs;
    this.#giveUpMs = giveUpMs;
    this.#spread = spread;
    this.#heardMs = now;
    this.#progressMs = now;
    this.#awakeMs = now;
    this.#share = spread.share();
  }

  /** The server is there. */
  heard(now: number): void {
    this.#heardMs = now;
  }

  /** Something came, was proven or compared: the copy gets on. */
  progressed(now: number): void {
    this.#progressMs = now;
  }

  /**
   * Called at every turn. What came while the machine stood still, or did something else, has not
   * been read yet: such time counts for nothing.
   * @param dueMs when the turn was due
   */
  wake(now: number, dueMs: number): void {
    const lateMs = now - Math.max(dueMs, this.#awakeMs);
    if (lateMs > LATE_MS) {
      this.#heardMs = Math.min(now, this.#heardMs + lateMs);
      this.#progressMs = Math.min(now, this.#progressMs + lateMs);
    }
    this.#awakeMs = now;
  }

  /** Waiting begins now. */
  begin(now: number): void {
    this.#heardMs = now;
    this.#progressMs = now;
  }

  /** A packet of a session that nobody knows: the server may have been started again. */
  heardForeign(now: number): void {
    if (this.#rediscoverMs < Number.POSITIVE_INFINITY) return;
    const dueMs = Math.max(now, this.#askedMs + FOREIGN_ASK_MS);
    this.#rediscoverMs = dueMs + this.#share * this.#spread.rejoinMs;
  }

  isQuiet(now: number): boolean {
    return now >= this.#quietDueMs;
  }

  /** Whether the chosen server may be elsewhere by now. */
  isForsaken(now: number): boolean {
    return now - this.#heardMs >= FORSAKEN_MS;
  }

  get #quietDueMs(): number {
    const sinceMs = Math.max(this.#heardMs, this.#askedMs);
    return sinceMs + this.#quietMs + this.#share * this.#spread.rejoinMs;
  }

  /** Whether the server is to be asked now; notes that it is. */
  takeRediscovery(now: number): boolean {
    if (!this.isQuiet(now) && now < this.#rediscoverMs) return false;
    this.#askedMs = now;
    this.#share = this.#spread.share();
    this.#rediscoverMs = Number.POSITIVE_INFINITY;
    return true;
  }

  isOver(now: number): boolean {
    return now >= this.giveUpDueMs;
  }

  /** Whether the server has not been heard either since there was progress. */
  get isSilentSinceProgress(): boolean {
    return this.#heardMs - this.#progressMs < this.#quietMs;
  }

  get giveUpDueMs(): number {
    return this.#progressMs + this.#giveUpMs;
  }

  /** When there is something to do while a server is looked for. */
  get turnDueMs(): number {
    return Math.min(this.giveUpDueMs, this.#awakeMs + LONGEST_TURN_MS);
  }

  /** When there is something to do while receiving. */
  get dueMs(): number {
    return Math.min(this.turnDueMs, this.#quietDueMs, this.#rediscoverMs);
  }
}
