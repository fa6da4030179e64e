/** The rate as a curve. */
import uPlot from 'uplot';
import type { FleetState } from '../node/web/api.js';
import { formatRate } from '../ui/units.js';
import { color, onScheme } from './elements.js';

/** An empty curve shows so much of the past. */
const MIN_SPAN_SECONDS = 60;

export class Curve {
  private readonly place: HTMLElement;
  private plot: uPlot | null = null;
  private data: uPlot.AlignedData = [[], []];

  constructor(place: HTMLElement) {
    this.place = place;
    onScheme(() => this.rebuild());
    new ResizeObserver(() => this.plot?.setSize(this.size)).observe(place);
  }

  show({ seconds, bitsPerSecond }: FleetState['history']): void {
    this.data = [[...seconds], [...bitsPerSecond]];
    this.plot?.setData(this.data);
  }

  private get size(): { width: number; height: number } {
    return { width: this.place.clientWidth, height: this.place.clientHeight };
  }

  private rebuild(): void {
    this.plot?.destroy();
    const axis = { stroke: color('muted'), font: '11px system-ui, "DejaVu Sans", sans-serif' };
    const grid = { stroke: color('line'), width: 1 };
    const accent = color('accent');
    const options: uPlot.Options = {
      ...this.size,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 7 } },
      scales: {
        x: { range: (_plot, min, max) => spanOf(min, max) },
        y: { range: (_plot, _min, max) => [0, Math.max(1e6, (max ?? 0) * 1.15)] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          ticks: { show: false },
          size: 26,
          space: 70,
          values: (_plot, values) => values.map(timeOf),
        },
        {
          ...axis,
          grid,
          ticks: { show: false },
          size: 74,
          space: 36,
          values: (_plot, values) => values.map((value) => (value === 0 ? '0' : formatRate(value))),
        },
      ],
      series: [{}, { stroke: accent, width: 2, fill: `${accent}22`, points: { show: false } }],
    };
    this.plot = new uPlot(options, this.data, this.place);
  }
}

/** '13:05:40' of seconds since 1970. */
function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toTimeString().slice(0, 8);
}

function spanOf(min: number | null, max: number | null): [number, number] {
  const end = max ?? Date.now() / 1000;
  return [Math.min(min ?? end, end - MIN_SPAN_SECONDS), end];
}
