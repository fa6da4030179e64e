import { formatRate } from './units.js';
import type { StatusPart } from './watcher.js';

interface Sample {
  atMs: number;
  value: number;
}

/** Closer samples than this are merged, so that the meter holds few of them. */
const MIN_SPACING_MS = 50;
/** A rate over less than this jumps about too much to be shown. */
const MIN_SPAN_MS = 400;

/** The growth of a counter, averaged over the last few seconds. Time is an argument. */
export class RateMeter {
  private samples: Sample[] = [];

  /** @param windowMs how far back the average reaches */
  constructor(private readonly windowMs = 3000) {}

  add(nowMs: number, value: number): void {
    const last = this.samples.at(-1);
    // A counter that falls, or a clock that goes back, begins anew.
    if (last !== undefined && (value < last.value || nowMs < last.atMs)) this.samples = [];
    if (this.samples.length >= 2) {
      const before = this.samples.at(-2)!;
      if (nowMs - before.atMs < MIN_SPACING_MS) this.samples.pop();
    }
    this.samples.push({ atMs: nowMs, value });
    // One sample from before the window stays, so that the window is always covered.
    while (this.samples.length > 2 && nowMs - this.samples[1]!.atMs >= this.windowMs) {
      this.samples.shift();
    }
  }

  reset(): void {
    this.samples = [];
  }

  /** Units of the counter per second; undefined while too little time has been seen. */
  perSecond(nowMs: number): number | undefined {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const spanMs = nowMs - first.atMs;
    if (spanMs < MIN_SPAN_MS) return undefined;
    return ((last.value - first.value) * 1000) / spanMs;
  }
}

/** A rate in the status, of constant width. */
export function ratePart(bytesPerSecond: number | undefined, rank: number): StatusPart {
  const text = bytesPerSecond === undefined ? '- bit/s' : formatRate(bytesPerSecond * 8);
  return { text: text.padStart(11), rank, unknown: bytesPerSecond === undefined };
}
