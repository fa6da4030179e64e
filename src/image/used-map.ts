/**
 * Which bytes of an image are in use: sorted runs `[start, end)` that neither touch nor overlap.
 * What lies between them is unused: no file system holds anything there. All places are in bytes.
 */

/** A run of bytes: `end` is the first byte behind it. */
export interface ByteRun {
  start: number;
  end: number;
}

export class UsedMap {
  // Two numbers for each run. An image of 16 TiB with a million runs takes 16 MB.
  private readonly starts: Float64Array;
  private readonly ends: Float64Array;
  /** How many bytes are in use. */
  readonly usedBytes: number;

  private constructor(
    readonly sizeBytes: number,
    runs: readonly ByteRun[],
  ) {
    this.starts = Float64Array.from(runs, ({ start }) => start);
    this.ends = Float64Array.from(runs, ({ end }) => end);
    this.usedBytes = runs.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /**
   * @param runs in any order; they may touch, overlap, be empty, or reach beyond the image
   * @throws RangeError for places that are no whole, positive numbers
   */
  static of(sizeBytes: number, runs: Iterable<ByteRun>): UsedMap {
    return new UsedMap(sizeBytes, merged(sizeBytes, runs));
  }

  /** All but these runs is in use. */
  static allBut(sizeBytes: number, unused: Iterable<ByteRun>): UsedMap {
    return new UsedMap(sizeBytes, gapsOf(sizeBytes, merged(sizeBytes, unused)));
  }

  /** Everything is in use. */
  static whole(sizeBytes: number): UsedMap {
    return UsedMap.of(sizeBytes, [{ start: 0, end: sizeBytes }]);
  }

  get runCount(): number {
    return this.starts.length;
  }

  get unusedBytes(): number {
    return this.sizeBytes - this.usedBytes;
  }

  /** In use is what either of the two holds to be so. @throws RangeError for another size */
  union(other: UsedMap): UsedMap {
    if (other.sizeBytes !== this.sizeBytes) throw new RangeError('used maps of two sizes');
    return UsedMap.of(this.sizeBytes, [...this.runs(), ...other.runs()]);
  }

  /** Whether nothing of `[start, end)` is in use. True of no bytes at all. */
  isFree(start: number, end: number): boolean {
    if (start >= end) return true;
    const run = this.firstEndingAfter(start);
    return run === this.starts.length || this.starts[run]! >= end;
  }

  /** Whether all of `[start, end)` is in use. True of no bytes at all. */
  isUsed(start: number, end: number): boolean {
    if (start >= end) return true;
    const run = this.firstEndingAfter(start);
    return run < this.starts.length && this.starts[run]! <= start && this.ends[run]! >= end;
  }

  /**
   * Shows each unused run within `[start, end)`, in order. Allocates nothing: it is called for
   * every chunk that is read.
   */
  forEachUnused(start: number, end: number, visit: (start: number, end: number) => void): void {
    let from = start;
    for (let run = this.firstEndingAfter(start); from < end; run++) {
      const isPast = run === this.starts.length || this.starts[run]! >= end;
      const until = isPast ? end : this.starts[run]!;
      if (until > from) visit(from, until);
      if (isPast) return;
      from = this.ends[run]!;
    }
  }

  /** The runs in use within `[start, end)`, cut to fit. */
  *runs(start = 0, end = this.sizeBytes): Generator<ByteRun> {
    for (let run = this.firstEndingAfter(start); run < this.starts.length; run++) {
      const from = Math.max(start, this.starts[run]!);
      if (from >= end) return;
      yield { start: from, end: Math.min(end, this.ends[run]!) };
    }
  }

  equals(other: UsedMap): boolean {
    return (
      this.sizeBytes === other.sizeBytes &&
      this.starts.length === other.starts.length &&
      this.starts.every((start, run) => start === other.starts[run]) &&
      this.ends.every((end, run) => end === other.ends[run])
    );
  }

  /** The first run that reaches beyond `at`; the count of runs when none does. */
  private firstEndingAfter(at: number): number {
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ends[middle]! > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Sorted, within the image, and each as long as it gets. */
function merged(sizeBytes: number, runs: Iterable<ByteRun>): ByteRun[] {
  if (!isPlace(sizeBytes)) throw new RangeError(`a used map of ${sizeBytes} bytes`);
  const sorted: ByteRun[] = [];
  for (const { start, end } of runs) {
    if (!isPlace(start) || !isPlace(end)) throw new RangeError(`bytes ${start} to ${end}`);
    if (start < Math.min(end, sizeBytes)) sorted.push({ start, end: Math.min(end, sizeBytes) });
  }
  sorted.sort((one, other) => one.start - other.start);
  const found: ByteRun[] = [];
  for (const run of sorted) {
    const last = found.at(-1);
    if (last === undefined || run.start > last.end) found.push(run);
    else last.end = Math.max(last.end, run.end);
  }
  return found;
}

/** What lies before, between and behind runs that are sorted and apart. */
function gapsOf(sizeBytes: number, runs: readonly ByteRun[]): ByteRun[] {
  const gaps: ByteRun[] = [];
  let from = 0;
  for (const { start, end } of [...runs, { start: sizeBytes, end: sizeBytes }]) {
    if (start > from) gaps.push({ start: from, end: start });
    from = end;
  }
  return gaps;
}

const isPlace = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
