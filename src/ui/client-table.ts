/** The clients of a server as a table that fits a terminal, those first that need a look. */
import type { ServedClient, ServerProgress } from '../server/events.js';
import { troubleOf } from '../server/trouble.js';
import { cutToWidth, displayWidth, padToWidth } from './display-width.js';
import { RateMeter } from './rate-meter.js';
import { safeText } from './safe-text.js';
import { formatCount, formatPercent, formatRate, formatRemaining } from './units.js';

const GAP = '  ';
const BAR_WIDTH = 16;
const ADDRESS_WIDTH = 15;
const STATE_WIDTH = 11;
const MIN_NAME_WIDTH = 12;
const MAX_NAME_WIDTH = 28;
/** From so many columns on there is room for more than name, share and state. */
const COLUMNS_WITH = { rate: 64, left: 76, address: 92, bar: 112 } as const;

interface Line {
  client: ServedClient;
  trouble: number;
}

export class ClientTable {
  private readonly now: () => number;
  private lines: Line[] = [];
  private chunkCount = 0;
  private blockBits = 0;
  private readonly meters = new Map<string, RateMeter>();

  constructor(now: () => number) {
    this.now = now;
  }

  /** @param blockSizeBytes of a full block's payload */
  begin(blockSizeBytes: number): void {
    this.blockBits = 8 * blockSizeBytes;
  }

  take({ clients, chunkCount }: ServerProgress): void {
    this.chunkCount = chunkCount;
    // The latest client of each machine.
    const byMachine = new Map(clients.map((client) => [client.machine, client]));
    this.lines = [...byMachine.values()]
      .map((client) => ({ client, trouble: troubleOf(client, false) }))
      .sort(
        (one, other) =>
          other.trouble - one.trouble ||
          Number(isOver(one.client)) - Number(isOver(other.client)) ||
          other.client.missingChunks - one.client.missingChunks,
      );
    this.meter();
  }

  private meter(): void {
    const ids = new Set(this.lines.map(({ client }) => client.id));
    for (const id of this.meters.keys()) if (!ids.has(id)) this.meters.delete(id);
    for (const { client } of this.lines) {
      const meter = this.meters.get(client.id) ?? new RateMeter();
      this.meters.set(client.id, meter);
      meter.add(this.now(), this.chunkCount - client.missingChunks);
    }
  }

  /**
   * @param columns of the window
   * @param mostLines lines that there is room for
   */
  render(columns: number, mostLines: number): string[] {
    const { lines } = this;
    const isCut = lines.length > mostLines;
    const shown = isCut ? lines.slice(0, Math.max(0, mostLines - 1)) : lines;
    const nameWidth = this.nameWidth(shown);
    const texts = shown.map(({ client }) => this.text(client, nameWidth, columns));
    if (isCut && mostLines > 0) texts.push(moreText(lines.slice(shown.length)));
    return texts.map((text) => cutToWidth(text, Math.max(1, columns - 1)).trimEnd());
  }

  private nameWidth(shown: readonly Line[]): number {
    const widths = shown.map(({ client }) => displayWidth(safeText(nameOf(client))));
    return Math.min(MAX_NAME_WIDTH, Math.max(MIN_NAME_WIDTH, ...widths));
  }

  private text(client: ServedClient, nameWidth: number, columns: number): string {
    const ratio = this.chunkCount === 0 ? 0 : 1 - client.missingChunks / this.chunkCount;
    const cells = [padToWidth(safeText(nameOf(client), nameWidth), nameWidth)];
    if (columns >= COLUMNS_WITH.address) {
      cells.push(padToWidth(safeText(client.address, ADDRESS_WIDTH), ADDRESS_WIDTH));
    }
    if (columns >= COLUMNS_WITH.bar) cells.push(barOf(ratio));
    cells.push(formatPercent(ratio).padStart(7));
    if (columns >= COLUMNS_WITH.rate) {
      const bits = isUnderWay(client) ? client.receivedPacketsPerSecond * this.blockBits : 0;
      cells.push((bits > 0 ? formatRate(bits) : '').padStart(11));
      const isLossy = client.lossRatio >= 0.0005;
      cells.push((isLossy ? `${formatPercent(client.lossRatio)} lost` : '').padStart(12));
    }
    cells.push(wordOf(client).padEnd(STATE_WIDTH));
    if (columns >= COLUMNS_WITH.left) cells.push(this.leftText(client).padStart(7));
    return cells.join(GAP);
  }

  private leftText(client: ServedClient): string {
    const perSecond = this.meters.get(client.id)?.perSecond(this.now()) ?? 0;
    if (perSecond <= 0 || !isUnderWay(client)) return '';
    return formatRemaining((client.missingChunks * 1000) / perSecond);
  }
}

/** What its operator calls it, or what it calls itself. */
function nameOf({ label, host }: ServedClient): string {
  return label === '' ? host : label;
}

function isUnderWay({ state }: ServedClient): boolean {
  return state === 'joined' || state === 'receiving' || state === 'proving';
}

function isOver({ state }: ServedClient): boolean {
  return state === 'done' || state === 'compared';
}

function wordOf({ state, followed }: ServedClient): string {
  return state === 'receiving' && !followed ? 'left behind' : state;
}

function barOf(ratio: number): string {
  const filled = Math.floor(Math.min(1, Math.max(0, ratio)) * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

function moreText(lines: readonly Line[]): string {
  const done = lines.filter(({ client }) => isOver(client)).length;
  const words = done > 0 ? `, ${formatCount(done)} of them done` : '';
  return `and ${formatCount(lines.length)} more${words}`;
}
