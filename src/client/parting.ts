/** Telling the server that a copy is proven, until it answers or was told often enough. */
import type { Spread } from './spread.js';

const MOST_REPORTS = 8;
const INTERVAL_MS = 50;
/** A server that was just started again learns of the copy by these. */
const MOST_LATE_REPORTS = 5;
const LATE_INTERVAL_MS = 1000;

export class Parting {
  readonly #spread: Spread;
  #reports = 0;
  #dueMs: number;

  /** All that followed one stream end at once: so the first report waits, too. */
  constructor(spread: Spread, now: number) {
    this.#spread = spread;
    this.#dueMs = now + spread.partingDelayMs();
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /** No answer came for so long that the server may be another one by now. */
  get isLate(): boolean {
    return this.#reports > MOST_REPORTS;
  }

  /** Told often enough: the server is gone, or will learn it otherwise. */
  get isOver(): boolean {
    return this.#reports > MOST_REPORTS + MOST_LATE_REPORTS;
  }

  /** Whether to report now. */
  take(now: number): boolean {
    if (now < this.#dueMs) return false;
    this.#reports++;
    const intervalMs = this.#reports < MOST_REPORTS ? INTERVAL_MS : LATE_INTERVAL_MS;
    this.#dueMs = now + intervalMs + this.#spread.partingDelayMs();
    return !this.isOver;
  }
}
