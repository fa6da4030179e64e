/** When something that grows less will be over, by how fast it did so lately. */

/** How far back is looked, and how much of that there must be. */
const WINDOW_MS = 6000;
const MIN_MS = 1500;
const SPACING_MS = 400;

interface Sample {
  atMs: number;
  left: number;
}

export class ProgressMeter {
  private readonly samples: Sample[] = [];

  /** @param left how much there is still to do */
  note(atMs: number, left: number): void {
    const last = this.samples.at(-1);
    // More to do than before: it begins anew.
    if (last !== undefined && left > last.left) this.samples.length = 0;
    if (last !== undefined && this.samples.length > 0 && atMs - last.atMs < SPACING_MS) return;
    this.samples.push({ atMs, left });
    while (atMs - this.samples[0]!.atMs > WINDOW_MS) this.samples.shift();
  }

  /** @returns whole seconds; null when that cannot be told */
  leftSeconds(atMs: number, left: number): number | null {
    const first = this.samples[0];
    if (first === undefined || atMs - first.atMs < MIN_MS) return null;
    const perMs = (first.left - left) / (atMs - first.atMs);
    return perMs > 0 ? Math.ceil(left / perMs / 1000) : null;
  }
}
