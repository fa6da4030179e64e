/** What a bench case is, and how samples become one value. */

/** One line of the table. Names are for good: charts over time rest on them. */
export interface Row {
  name: string;
  what: string;
  /** Unit of `value`: a ratio where empty. */
  unit: '' | 's' | 'MB';
  /** Worse than this is a fault. */
  bar: number;
  /** What we would like to reach. */
  aim: number;
  higherIsBetter: boolean;
}

export interface Samples {
  /** Who was measured, and what: `udpcast, seconds`. */
  what: string;
  samples: number[];
  median: number;
}

export interface Measured {
  value: number;
  ours: Samples;
  /** What `ours` is held against; null where the value stands alone. */
  reference: Samples | null;
}

/** A row that could not be measured carries the reason. */
export type Outcome = Measured | Error;

export interface Context {
  /** Counted runs of each side. */
  runs: number;
  /** Size of the random image. */
  sizeBytes: number;
  /** Tells the terminal what goes on. */
  say(text: string): void;
}

export interface BenchCase {
  name: string;
  rows: Row[];
  /** @returns an outcome for every row, by the row's name */
  measure(context: Context): Promise<Record<string, Outcome>>;
}

/** One of the things a case runs in turn. */
export interface Side {
  what: string;
  /** One run; what it returns is the sample. */
  run(): Promise<number>;
}

export function median(samples: number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new Error('no samples');
  return sorted.length % 2 === 1 ? upper : (upper + sorted[middle - 1]!) / 2;
}

export function samplesOf(what: string, samples: number[]): Samples {
  return { what, samples, median: median(samples) };
}

/**
 * Runs the sides in turn, so that a machine that slows down slows all of them. The first
 * round is not counted: it touches memory for the first time.
 *
 * @returns for each side its samples, or why it failed (the others go on)
 */
export async function alternate<S extends Record<string, Side>>(
  context: Context,
  sides: S,
): Promise<Record<keyof S, Samples | Error>> {
  const taken = new Map<keyof S, number[]>();
  const failed = new Map<keyof S, Error>();
  for (let round = 0; round <= context.runs; round += 1) {
    for (const [key, side] of Object.entries(sides)) {
      if (failed.has(key)) continue;
      try {
        const sample = await side.run();
        context.say(`${round === 0 ? 'warm-up' : `run ${round}`}: ${side.what}: ${show(sample)}`);
        if (round > 0) taken.set(key, [...(taken.get(key) ?? []), sample]);
      } catch (error) {
        failed.set(key, error instanceof Error ? error : new Error(String(error)));
      }
    }
  }
  const entries = Object.entries(sides).map(([key, side]) => {
    return [key, failed.get(key) ?? samplesOf(side.what, taken.get(key) ?? [])];
  });
  return Object.fromEntries(entries);
}

/** The value is the ratio of two medians, the upper one first. */
export function ratio(
  ours: Samples | Error,
  reference: Samples | Error,
  over: 'ours/reference' | 'reference/ours',
): Outcome {
  if (ours instanceof Error) return ours;
  if (reference instanceof Error) return reference;
  const value =
    over === 'ours/reference' ? ours.median / reference.median : reference.median / ours.median;
  return { value, ours, reference };
}

/** The value is the median itself. */
export function plain(ours: Samples | Error): Outcome {
  return ours instanceof Error ? ours : { value: ours.median, ours, reference: null };
}

export function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
