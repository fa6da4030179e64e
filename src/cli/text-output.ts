/**
 * Text to a terminal, pipe or file that may take none for a while: Ctrl-S, a serial line, a reader
 * that sleeps. Node writes to these in the thread that serves the network, and waits. Here
 * nothing waits: what is not taken is kept, up to a bound, and tried again. Status that will be out
 * of date by then is left out first.
 */

/** What became of an attempt to write: bytes taken, or null when the reader is gone for good. */
export type WriteSome = (bytes: Buffer) => number | null;

/** More is kept only of what is worth keeping; nothing at all beyond the second bound. */
const MOST_WAITING_BYTES = 1024 * 1024;
const RETRY_MS = 20;
/** At the end, whoever does not read gets no more time than this. */
const FLUSH_MS = 1000;

export class TextOutput {
  readonly #writeSome: WriteSome;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isBroken = false;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #onEmpty: (() => void) | null = null;
  /** Makes the line that tells how many texts were left out. */
  describeDropped: (count: number) => string = (count) => `(${count} lines were left out)\n`;

  constructor(writeSome: WriteSome) {
    this.#writeSome = writeSome;
  }

  /** @param isPassing it says how things are just now, and will be said again */
  write(text: string, isPassing = false): void {
    if (this.#isBroken || text === '') return;
    if (this.#waiting.length > 0 && (isPassing || this.#waitingBytes > MOST_WAITING_BYTES)) {
      this.#dropped++;
      return;
    }
    this.#push(text);
    if (this.#waiting.length === 1) this.#drain();
  }

  #push(text: string): void {
    const bytes = Buffer.from(text);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  #drain(): void {
    this.#timer = undefined;
    while (this.#waiting.length > 0) {
      const bytes = this.#waiting[0]!;
      const taken = this.#writeSome(bytes);
      if (taken === null) {
        this.#break();
        return;
      }
      this.#waitingBytes -= taken;
      if (taken < bytes.length) {
        this.#waiting[0] = bytes.subarray(taken);
        this.#timer = setTimeout(() => this.#drain(), RETRY_MS).unref();
        return;
      }
      this.#waiting.shift();
      if (this.#waiting.length === 0 && this.#dropped > 0) {
        this.#push(this.describeDropped(this.#dropped));
        this.#dropped = 0;
      }
    }
    this.#onEmpty?.();
  }

  #break(): void {
    this.#isBroken = true;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
    this.#onEmpty?.();
  }

  /** Resolves when all is out, or has had its time. */
  flush(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** For tests: whether something waits for the reader. */
  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }
}
