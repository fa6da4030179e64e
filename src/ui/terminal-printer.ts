import type { Narrator, Status, StatusPart, TextSink, Watcher } from './watcher.js';

const MIN_REDRAW_MS = 100;
const BAR_WIDTH = 20;
const GAP = '  ';
const CLEAR_TO_END = '\u001b[K';

/** '[########------------]'. Full only at the end. */
function bar(ratio: number): string {
  const filled = Math.floor(Math.min(1, Math.max(0, ratio)) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

function join(parts: readonly StatusPart[]): string {
  return parts.map((part) => part.text).join(GAP);
}

/**
 * A status on one line of fewer than `columns` characters: a cursor in the last column would make
 * some terminals begin a new line. The least important parts give way; a bar comes if there is room.
 */
export function fitStatus(status: Status, columns: number): string {
  const room = Math.max(1, columns - 1);
  let parts = [...status.parts];
  if (join(parts).length > room) {
    parts = parts.map(({ text, short, rank }) => ({ text: short ?? text, rank }));
  }
  while (parts.length > 1 && join(parts).length > room) {
    const highest = Math.max(...parts.map((part) => part.rank));
    parts.splice(
      parts.findIndex((part) => part.rank === highest),
      1,
    );
  }
  const line = join(parts);
  if (status.ratio === undefined || line.length + GAP.length + BAR_WIDTH + 2 > room) {
    return line.slice(0, room);
  }
  const [label, ...rest] = parts;
  return [label?.text, bar(status.ratio), ...rest.map((part) => part.text)].join(GAP);
}

/** Lines that stay, and below them one line that is rewritten in place. */
export class TerminalPrinter<Event> implements Watcher<Event> {
  private lastDrawMs = Number.NEGATIVE_INFINITY;
  private shown = '';
  private closed = false;

  constructor(
    private readonly narrator: Narrator<Event>,
    private readonly out: TextSink,
    private readonly now: () => number,
  ) {}

  observe(event: Event): void {
    if (this.closed) return;
    const line = this.narrator.tell(event);
    if (line !== undefined) {
      this.draw(`${line}${CLEAR_TO_END}\n`);
    } else if (this.now() - this.lastDrawMs >= MIN_REDRAW_MS) {
      this.draw('');
    }
  }

  /** The last status stays to be read: where a run that failed had got to. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.narrator.status() !== undefined) this.draw('');
    if (this.shown !== '') this.out.write('\n');
  }

  /** Writes `above` over the live line, and the live line after it, in one go against flicker. */
  private draw(above: string): void {
    const status = this.narrator.status();
    const live = status === undefined ? '' : fitStatus(status, this.out.columns || 80);
    if (above === '' && live === this.shown) return;
    const start = this.shown === '' ? '' : '\r';
    const end = live === '' && above !== '' ? '' : CLEAR_TO_END;
    this.out.write(`${start}${above}${live}${end}`, above === '');
    this.shown = live;
    this.lastDrawMs = this.now();
  }
}
