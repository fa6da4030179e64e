/** Telling the server that a copy is proven, until it answers or was told often enough. */

const MOST_REPORTS = 8;
const INTERVAL_MS = 50;

export class Parting {
  #reports = 0;
  #dueMs: number;

  constructor(now: number) {
    this.#dueMs = now;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /** Told often enough: the server is gone, or will learn it otherwise. */
  get isOver(): boolean {
    return this.#reports > MOST_REPORTS;
  }

  /** Whether to report now. */
  take(now: number): boolean {
    if (now < this.#dueMs) return false;
    this.#dueMs = now + INTERVAL_MS;
    return ++this.#reports <= MOST_REPORTS;
  }
}
