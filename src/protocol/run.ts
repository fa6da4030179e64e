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

/** Adds a number to ascending runs: those of a large disk's zeros are few, its chunks are not. */
export function appendToRuns(runs: Run[], number: number): void {
  const last = runs.at(-1);
  if (last !== undefined && last.first + last.count === number) last.count++;
  else runs.push({ first: number, count: 1 });
}
