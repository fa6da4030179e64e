/** Telling the server that a copy is proven, until it answers or was told often enough. */

const MOST_REPORTS = 8;
const INTERVAL_MS = 50;
/** A server that was just started again learns of the copy by these. */
const MOST_LATE_REPORTS = 5;
const LATE_INTERVAL_MS = 1000;

export class Parting {
  #reports = 0;
  #dueMs: number;

  constructor(now: number) {
    this.#dueMs = now;
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
    this.#dueMs = now + (this.#reports < MOST_REPORTS ? INTERVAL_MS : LATE_INTERVAL_MS);
    return !this.isOver;
  }
}
