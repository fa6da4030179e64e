/** How much of what a server says for people is passed on: anybody may speak in its name. */

const MOST_IN_WINDOW = 5;
const WINDOW_MS = 10_000;
/** The same is told again after this long. */
const REPEAT_MS = 60_000;
const MOST_REMEMBERED = 64;

export class NoticeLimit {
  #windowEndMs = Number.NEGATIVE_INFINITY;
  #passed = 0;
  #left = 0;
  /** When each text was last passed on. */
  readonly #told = new Map<string, number>();

  /** Takes a notice. @returns the texts to pass on */
  take(text: string, now: number): string[] {
    const texts: string[] = [];
    if (now >= this.#windowEndMs) {
      if (this.#left > 0) texts.push(`${this.#left} more notices of the server were left out`);
      this.#windowEndMs = now + WINDOW_MS;
      this.#passed = 0;
      this.#left = 0;
    }
    if (now - (this.#told.get(text) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return texts;
    if (this.#passed >= MOST_IN_WINDOW) {
      this.#left++;
      return texts;
    }
    this.#passed++;
    if (this.#told.size >= MOST_REMEMBERED) this.#told.clear();
    this.#told.set(text, now);
    texts.push(text);
    return texts;
  }
}
