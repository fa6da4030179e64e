import { cutToWidth, displayWidth } from './display-width.js';
import type { Narrator, Status, StatusPart, TextSink, Watcher } from './watcher.js';

const MIN_REDRAW_MS = 100;
const BAR_WIDTH = 20;
const GAP = '  ';
const CLEAR_TO_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
/** Lines above the status that a window keeps free for what was said. */
const FREE_LINES = 4;
const USUAL_ROWS = 24;
const RED = '\u001b[1;31m';
const PLAIN = '\u001b[0m';

/** '[########------------]'. Full only at the end. */
function bar(ratio: number): string {
  const filled = Math.floor(Math.min(1, Math.max(0, ratio)) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

function join(parts: readonly StatusPart[]): string {
  return parts.map((part) => part.text).join(GAP);
}

/**
 * A status on one line that takes fewer than `columns`: a cursor in the last column would make
 * some terminals begin a new line. The least important parts give way; a bar comes if there is
 * room.
 */
export function fitStatus(status: Status, columns: number): string {
  const room = Math.max(1, columns - 1);
  let parts = [...status.parts];
  if (displayWidth(join(parts)) > room) {
    parts = parts.map(({ text, short, rank }) => ({ text: short ?? text, rank }));
  }
  while (parts.length > 1 && displayWidth(join(parts)) > room) {
    const highest = Math.max(...parts.map((part) => part.rank));
    parts.splice(
      parts.findIndex((part) => part.rank === highest),
      1,
    );
  }
  const line = join(parts);
  if (status.ratio === undefined || displayWidth(line) + GAP.length + BAR_WIDTH + 2 > room) {
    return cutToWidth(line, room);
  }
  const [label, ...rest] = parts;
  return [label?.text, bar(status.ratio), ...rest.map((part) => part.text)].join(GAP);
}

/** Lines that take fewer than `columns`, broken between words; the later ones are set in. */
export function wrapWords(line: string, columns: number): string[] {
  const room = Math.max(20, columns - 1);
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(' ')) {
    if (current !== '' && displayWidth(current) + 1 + displayWidth(word) > room) {
      lines.push(current);
      current = `${GAP}${word}`;
    } else {
      current = current === '' ? word : `${current} ${word}`;
    }
  }
  return [...lines, current];
}

/** Lines that stay, and below them some that are rewritten in place: a table, and the status. */
export class TerminalPrinter<Event> implements Watcher<Event> {
  private lastDrawMs = Number.NEGATIVE_INFINITY;
  private shown: readonly string[] = [];
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
      const isAlarming = this.narrator.isAlarming?.(event) ?? false;
      const lines = line.split('\n').flatMap((part) => wrapWords(part, this.columns));
      const shown = lines.map((part) => (isAlarming ? `${RED}${part}${PLAIN}` : part));
      this.draw(shown.map((part) => `${part}${CLEAR_TO_END}\n`).join(''));
    } else if (this.now() - this.lastDrawMs >= MIN_REDRAW_MS) {
      this.draw('');
    }
  }

  /** The last status stays to be read: where a run that failed had got to. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    const last = this.narrator.status() === undefined ? this.shown : this.live;
    if (last.length === 0) return;
    // Written even if it is the same: a terminal that echoes Ctrl-C has put '^C' behind it.
    this.out.write(`${this.textOf('', last)}\n`);
  }

  private get columns(): number {
    return this.out.columns || 80;
  }

  /** The lines that are rewritten, the status last; none when there is nothing to say. */
  private get live(): string[] {
    const status = this.narrator.status();
    if (status === undefined) return [];
    const { columns } = this;
    const room = (this.out.rows || USUAL_ROWS) - FREE_LINES;
    const table = this.narrator.table?.(columns, Math.max(0, room)) ?? [];
    return [...table, fitStatus(status, columns)];
  }

  /** Writes `above` over the live lines, and these after it, in one go against flicker. */
  private draw(above: string): void {
    const { live, shown } = this;
    if (above === '' && live.join('\n') === shown.join('\n')) return;
    const isTaken = this.out.write(this.textOf(above, live), above === '');
    if (isTaken !== false) this.shown = live;
    this.lastDrawMs = this.now();
  }

  private textOf(above: string, live: readonly string[]): string {
    const { shown } = this;
    const up = shown.length > 1 ? `\u001b[${shown.length - 1}A` : '';
    const start = shown.length === 0 ? '' : `\r${up}`;
    const isEmpty = live.length === 0 && above !== '';
    const clear = shown.length > 1 || live.length > 1 ? CLEAR_BELOW : CLEAR_TO_END;
    const end = isEmpty && shown.length <= 1 ? '' : clear;
    return `${start}${above}${live.join(`${CLEAR_TO_END}\n`)}${end}`;
  }
}
