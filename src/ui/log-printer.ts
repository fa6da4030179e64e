import type { Narrator, Status, TextSink, Watcher } from './watcher.js';

const PERIOD_MS = 5000;
/** States that last less are passed over: a server may be idle and busy many times a second. */
const MIN_STATE_PERIOD_MS = 1000;

function sentence(status: Status): string {
  return status.parts
    .filter((part) => part.unknown !== true)
    .map((part) => part.text.trim().replace(/ {2,}/g, ' '))
    .join(', ');
}

/**
 * Plain lines for files and journals: what is worth keeping, new states, and now and then a status.
 */
export class LogPrinter<Event> implements Watcher<Event> {
  private lastStatusMs = Number.NEGATIVE_INFINITY;
  private lastState = '';
  private lastText = '';
  private closed = false;

  /** @param prefix begins each line: the program's name */
  constructor(
    private readonly prefix: string,
    private readonly narrator: Narrator<Event>,
    private readonly out: TextSink,
    private readonly now: () => number,
  ) {}

  observe(event: Event): void {
    if (this.closed) return;
    const line = this.narrator.tell(event);
    if (line !== undefined) this.print(line);
    const status = this.narrator.status();
    if (status === undefined) return;
    const sinceMs = this.now() - this.lastStatusMs;
    const due = status.state === this.lastState ? PERIOD_MS : MIN_STATE_PERIOD_MS;
    if (sinceMs >= due) this.printStatus(status);
  }

  /** The last status is worth a line if it is news: where a run that failed had got to. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    const status = this.narrator.status();
    if (status !== undefined) this.printStatus(status);
  }

  private printStatus(status: Status): void {
    const text = sentence(status);
    // A server may be idle for days.
    if (text !== this.lastText) this.print(text, true);
    this.lastText = text;
    this.lastState = status.state;
    this.lastStatusMs = this.now();
  }

  private print(line: string, isPassing = false): void {
    const lines = line.split('\n').map((part) => `${this.prefix}: ${part}\n`);
    this.out.write(lines.join(''), isPassing);
  }
}
