/**
 * Text to a terminal, pipe or file that may take none for a while: Ctrl-S, a serial line, a reader
 * that sleeps. Node writes to these in the thread that serves the network, and waits. Here
 * nothing waits: what is not taken is kept, up to a bound, and tried again. Status that will be out
 * of date by then is left out first.
 */

/** What became of an attempt to write: bytes taken, or null when the reader is gone for good. */
type WriteSome = (bytes: Buffer) => number | null;

/** More is kept only of what is worth keeping; nothing at all beyond the second bound. */
const MAX_WAITING_BYTES = 1024 * 1024;
const RETRY_MS = 20;
/** At the end nothing else is to be done meanwhile: a long line is out soon. */
const FLUSH_RETRY_MS = 1;
/** Whoever takes nothing for so long then, or not all in the longer time, gets no more. */
export const FLUSH_MS = 1000;
const MAX_FLUSH_MS = 10_000;

export class TextOutput {
  private readonly writeSome: WriteSome;
  private readonly waiting: Buffer[] = [];
  private waitingBytes = 0;
  private isBroken = false;
  private dropped = 0;
  private timer: NodeJS.Timeout | undefined;
  private onEmpty: (() => void) | null = null;
  /** At the end: gives the reader its time anew. */
  private onTaken: (() => void) | null = null;
  /** Makes the line that tells how many texts were left out. */
  describeDropped: (count: number) => string = (count) => `(${count} lines were left out)\n`;

  constructor(writeSome: WriteSome) {
    this.writeSome = writeSome;
  }

  /**
   * @param isPassing it says how things are just now, and will be said again
   * @returns false when it was left out
   */
  write(text: string, isPassing = false): boolean {
    if (this.isBroken || text === '') return true;
    if (this.waiting.length > 0 && (isPassing || this.waitingBytes > MAX_WAITING_BYTES)) {
      this.dropped++;
      return false;
    }
    this.push(text);
    if (this.waiting.length === 1) this.drain();
    return true;
  }

  private push(text: string): void {
    const bytes = Buffer.from(text);
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
  }

  private drain(): void {
    this.timer = undefined;
    while (this.waiting.length > 0) {
      const bytes = this.waiting[0]!;
      const taken = this.writeSome(bytes);
      if (taken === null) {
        this.break();
        return;
      }
      this.waitingBytes -= taken;
      if (taken > 0) this.onTaken?.();
      if (taken < bytes.length) {
        this.waiting[0] = bytes.subarray(taken);
        const retryMs = this.onEmpty === null ? RETRY_MS : FLUSH_RETRY_MS;
        this.timer = setTimeout(() => this.drain(), retryMs).unref();
        return;
      }
      this.waiting.shift();
      if (this.waiting.length === 0 && this.dropped > 0) {
        this.push(this.describeDropped(this.dropped));
        this.dropped = 0;
      }
    }
    this.onEmpty?.();
  }

  private break(): void {
    this.isBroken = true;
    this.waiting.length = 0;
    this.waitingBytes = 0;
    this.onEmpty?.();
  }

  /** Resolves when all is out, or has had its time. */
  flush(): Promise<void> {
    if (this.waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(idle);
        clearTimeout(all);
        this.onTaken = null;
        resolve();
      };
      const idle = setTimeout(end, FLUSH_MS);
      const all = setTimeout(end, MAX_FLUSH_MS);
      this.onTaken = () => idle.refresh();
      this.onEmpty = end;
    });
  }

  /** For tests: whether something waits for the reader. */
  get isWaiting(): boolean {
    return this.timer !== undefined;
  }
}
