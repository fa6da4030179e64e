/** Runs of numbers, as requests, zero ranges and pending sets have them. */

/** `count` consecutive chunks or blocks from `first` on. */
export interface Run {
  first: number;
  count: number;
}

/** Runs that are empty, overlap or go back would cost more work than their bytes are worth. */
export function areAscending(runs: readonly Run[]): boolean {
  let end = 0;
  for (const { first, count } of runs) {
    if (count === 0 || first < end) return false;
    end = first + count;
  }
  return true;
}
