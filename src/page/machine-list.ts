/**
 * The machines as a list of which only the rows in sight exist: a thousand of them scroll like
 * ten. Moved through with the arrow keys, opened with Enter.
 */
import { formatPercent, formatRate } from '../ui/units.js';
import { element, make, setBar, setText } from './elements.js';
import type { ShownRow } from './model.js';
import { clockOf, lossClass, rowWords } from './words.js';

/** Rows beyond the edges that are there already when they are scrolled to. */
const SPARE_ROWS = 6;

interface RowElement {
  root: HTMLElement;
  name: HTMLElement;
  sub: HTMLElement;
  bar: HTMLElement;
  percent: HTMLElement;
  rate: HTMLElement;
  loss: HTMLElement;
  state: HTMLElement;
  left: HTMLElement;
}

export class MachineList {
  private readonly list = element('list');
  private readonly holder = element('rows');
  private readonly pool: RowElement[] = [];
  private rows: readonly ShownRow[] = [];
  private selectedKey: string | null = null;
  private readonly onOpen: (row: ShownRow) => void;

  constructor(onOpen: (row: ShownRow) => void) {
    this.onOpen = onOpen;
    this.list.addEventListener('scroll', () => this.draw(), { passive: true });
    this.list.addEventListener('keydown', (event) => this.handleKey(event));
    this.holder.addEventListener('click', (event) => {
      const root = (event.target as Element).closest<HTMLElement>('.row');
      const row = this.rows[Number(root?.dataset.index ?? -1)];
      if (row === undefined) return;
      this.select(row);
      this.onOpen(row);
    });
    new ResizeObserver(() => this.draw()).observe(this.list);
  }

  show(rows: readonly ShownRow[]): void {
    this.rows = rows;
    this.draw();
  }

  private get rowHeight(): number {
    return matchMedia('(max-width: 760px)').matches ? 68 : 52;
  }

  private draw(): void {
    const { rowHeight, rows, list } = this;
    const height = `${rows.length * rowHeight}px`;
    if (this.holder.style.height !== height) this.holder.style.height = height;
    const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - SPARE_ROWS);
    const inSight = Math.ceil(list.clientHeight / rowHeight) + 2 * SPARE_ROWS;
    const end = Math.min(rows.length, first + inSight);
    for (let index = first; index < end; index++) {
      this.fill(this.elementAt(index - first), rows[index]!, index, rowHeight);
    }
    for (let spare = Math.max(0, end - first); spare < this.pool.length; spare++) {
      this.pool[spare]!.root.hidden = true;
    }
    this.tellSelected();
  }

  private elementAt(place: number): RowElement {
    const there = this.pool[place];
    if (there !== undefined) return there;
    const made = makeRow(place);
    this.pool.push(made);
    this.holder.append(made.root);
    return made;
  }

  private fill(target: RowElement, row: ShownRow, index: number, rowHeight: number): void {
    const { root } = target;
    root.hidden = false;
    root.dataset.index = String(index);
    const transform = `translateY(${index * rowHeight}px)`;
    if (root.style.transform !== transform) root.style.transform = transform;
    root.setAttribute('aria-posinset', String(index + 1));
    root.setAttribute('aria-setsize', String(this.rows.length));
    root.setAttribute('aria-selected', String(keyOf(row) === this.selectedKey));
    if ('missing' in row) fillMissing(target, row.missing);
    else fillClient(target, row);
  }

  private handleKey(event: KeyboardEvent): void {
    const { rows } = this;
    if (rows.length === 0) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.rowHeight) - 1);
    const now = rows.findIndex((row) => keyOf(row) === this.selectedKey);
    const steps: Record<string, number> = {
      ArrowDown: now + 1,
      ArrowUp: now - 1,
      PageDown: now + page,
      PageUp: now - page,
      Home: 0,
      End: rows.length - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) {
      this.select(rows[Math.min(rows.length - 1, Math.max(0, to))]!);
      this.reveal();
    } else if ((event.key === 'Enter' || event.key === ' ') && now >= 0) {
      this.onOpen(rows[now]!);
    } else {
      return;
    }
    event.preventDefault();
  }

  private select(row: ShownRow): void {
    this.selectedKey = keyOf(row);
    this.draw();
  }

  private reveal(): void {
    const { list, rowHeight } = this;
    const top = this.rows.findIndex((row) => keyOf(row) === this.selectedKey) * rowHeight;
    if (top < list.scrollTop) list.scrollTop = top;
    const below = top + rowHeight - list.clientHeight;
    if (below > list.scrollTop) list.scrollTop = below;
    this.draw();
  }

  private tellSelected(): void {
    const selected = this.holder.querySelector('[aria-selected="true"]:not([hidden])');
    if (selected === null) this.list.removeAttribute('aria-activedescendant');
    else this.list.setAttribute('aria-activedescendant', selected.id);
  }
}

function keyOf(row: ShownRow): string {
  return 'missing' in row ? `missing ${row.missing}` : row.id;
}

function makeRow(place: number): RowElement {
  const root = make('div', 'row');
  root.id = `row-${place}`;
  root.setAttribute('role', 'option');
  const who = make('div', 'who');
  const name = make('b');
  const sub = make('span');
  who.append(name, sub);
  const copy = make('div', 'copy');
  const track = make('div', 'bar');
  const bar = make('i');
  const percent = make('span');
  track.append(bar);
  copy.append(track, percent);
  const rate = make('div', 'rate n');
  const loss = make('div', 'loss n');
  const state = make('div', 'state');
  const left = make('div', 'left n');
  root.append(make('i', 'dot'), who, copy, rate, loss, state, left);
  return { root, name, sub, bar, percent, rate, loss, state, left };
}

function fillMissing(target: RowElement, name: string): void {
  target.root.className = 'row bad';
  setText(target.name, name);
  setText(target.sub, 'expected, and never came');
  setBar(target.bar, 0);
  for (const cell of [target.percent, target.rate, target.loss, target.left]) setText(cell, '');
  setText(target.state, 'Missing');
}

function fillClient(target: RowElement, row: Exclude<ShownRow, { missing: string }>): void {
  const { text, tone } = rowWords(row);
  target.root.className = tone === '' ? 'row' : `row ${tone}`;
  setText(target.name, row.label ?? row.host);
  const beside = row.label === null ? [row.address] : [row.host, row.address];
  setText(target.sub, beside.join(' · '));
  setBar(target.bar, row.progressRatio);
  setText(target.percent, formatPercent(row.progressRatio));
  const isTaking = row.receivedBitsPerSecond > 0;
  setText(target.rate, isTaking ? formatRate(row.receivedBitsPerSecond) : '–');
  setText(target.loss, row.lossRatio >= 0.0005 ? formatPercent(row.lossRatio) : '–');
  target.loss.className = `loss n ${lossClass(row.lossRatio)}`;
  setText(target.state, text);
  setText(target.left, row.leftSeconds === null ? '–' : clockOf(row.leftSeconds));
}
