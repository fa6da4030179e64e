/** The image as a field of small squares: what was sent, what waits, what cannot be read. */
import { color, element, make, onScheme, setText } from './elements.js';

const KINDS = [
  { cell: 's', name: 'cell-sent', className: 's', word: 'sent' },
  { cell: 'p', name: 'cell-pending', className: 'p', word: 'to be sent' },
  { cell: 'a', name: 'cell-again', className: 'a', word: 'once more' },
  { cell: 'u', name: 'cell-unreadable', className: 'u', word: 'unreadable' },
  { cell: '0', name: 'cell-zeros', className: 'z', word: 'zeros' },
  { cell: '.', name: 'cell-untouched', className: 't', word: 'not asked for' },
] as const;
const GAP_SHARE = 0.16;

export class CellMap {
  private readonly canvas: HTMLCanvasElement;
  private cells = '';
  private colors = new Map<string, string>();

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
    onScheme(() => {
      this.colors = new Map(KINDS.map(({ cell, name }) => [cell, color(name)]));
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(cells: string): void {
    if (cells === this.cells) return;
    this.cells = cells;
    this.draw();
    this.showLegend();
  }

  /** Squares as large as the field has room for, row by row from the image's beginning. */
  private draw(): void {
    const { canvas, cells } = this;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (width === 0 || height === 0) return;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    if (context === null || cells === '') return;
    const columns = Math.max(1, Math.ceil(Math.sqrt((cells.length * width) / height)));
    const rows = Math.ceil(cells.length / columns);
    const step = Math.min(width / columns, height / rows, 20 * scale);
    const side = Math.max(1, step * (1 - GAP_SHARE));
    for (let index = 0; index < cells.length; index++) {
      context.fillStyle = this.colors.get(cells[index]!) ?? '';
      const x = (index % columns) * step;
      const y = Math.floor(index / columns) * step;
      context.fillRect(x, y, side, side);
    }
  }

  private showLegend(): void {
    const legend = element('legend');
    const counts = new Map<string, number>();
    for (const cell of this.cells) counts.set(cell, (counts.get(cell) ?? 0) + 1);
    const shown = KINDS.filter(({ cell }) => counts.has(cell));
    const texts = shown.map(({ cell, word }) => {
      const percent = Math.round((100 * counts.get(cell)!) / this.cells.length);
      return `${word} ${percent} %`;
    });
    this.canvas.setAttribute('aria-label', `The image: ${texts.join(', ')}`);
    if (legend.children.length !== shown.length) legend.replaceChildren();
    for (const [index, { className }] of shown.entries()) {
      const item = (legend.children[index] ?? legend.appendChild(make('li'))) as HTMLElement;
      if (item.dataset.kind !== className) {
        item.dataset.kind = className;
        item.replaceChildren(make('i', className), make('span'));
      }
      setText(item.lastElementChild!, texts[index]!);
    }
  }
}
