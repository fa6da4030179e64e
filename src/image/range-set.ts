/** Between bitmaps and the lists of ranges that requests and events carry. */

import type { Bitmap } from './bitmap.js';

/** `count` consecutive numbers from `first` on; `count` is at least 1. */
export interface Range {
  first: number;
  count: number;
}

/** The runs of set bits from `from` on, in order: no more than `most` of them. */
export function collectSetRanges(bitmap: Bitmap, from: number, most: number): Range[] {
  const ranges: Range[] = [];
  if (most <= 0) return ranges;
  bitmap.forEachSetRange(from, (first, count) => {
    ranges.push({ first, count });
    return ranges.length < most;
  });
  return ranges;
}

/** The runs of clear bits from `from` on, in order: no more than `most` of them. */
export function collectClearRanges(bitmap: Bitmap, from: number, most: number): Range[] {
  const ranges: Range[] = [];
  if (most <= 0) return ranges;
  bitmap.forEachClearRange(from, (first, count) => {
    ranges.push({ first, count });
    return ranges.length < most;
  });
  return ranges;
}

/** Whether the range holds anything and lies below `length`: for ranges from the network. */
export function rangeFits(range: Range, length: number): boolean {
  const { first, count } = range;
  return (
    Number.isSafeInteger(first) &&
    Number.isSafeInteger(count) &&
    first >= 0 &&
    count >= 1 &&
    first < length &&
    count <= length - first
  );
}

/**
 * Sets every range, which may overlap.
 * @returns how many bits were clear before
 * @throws RangeError for a range outside the bitmap: see rangeFits
 */
export function setRanges(bitmap: Bitmap, ranges: Iterable<Range>): number {
  let changed = 0;
  for (const { first, count } of ranges) changed += bitmap.setRange(first, count);
  return changed;
}
