/** Finds the holes of a sparse file without reading them: a terabyte of nothing in moments. */

import type { BlockMapBuilder } from '../../image/block-map.js';
import { now } from '../system/clock.js';
import { loadNative } from '../system/native.js';

/** A slice of the search: the network must not wait for it. */
const SLICE_MS = 5;
/** Extents between two looks at the clock. */
const EXTENTS_PER_LOOK = 64;

/** Where data lies: `lseek` with SEEK_DATA and SEEK_HOLE, or something like it. */
export interface ExtentFinder {
  /** First byte of data at or after `offsetBytes`; -1 when there is none; null when unknown. */
  nextData(offsetBytes: number): number | null;
  /** End of the data that lies at `offsetBytes`; null when unknown. */
  nextHole(offsetBytes: number): number | null;
}

/** @returns null where the system does not tell; devices have no holes that it knows of */
export function extentsOf(fd: number): ExtentFinder | null {
  const native = loadNative();
  if (native === null) return null;
  return {
    nextData: (offsetBytes) => native.seekData(fd, offsetBytes),
    nextHole: (offsetBytes) => native.seekHole(fd, offsetBytes),
  };
}

/**
 * Marks chunks that lie in holes as zero, a few milliseconds in one turn of the event loop, the
 * first of them at once: they are known before clients ask, unless there are very many.
 * @param extents null where nobody tells
 * @param isStopped whether to search no further
 */
export function searchHoles(
  map: BlockMapBuilder,
  extents: ExtentFinder | null,
  isStopped: () => boolean,
  done: () => void,
): void {
  const search = extents === null ? null : new HoleSearch(map, extents);
  const advance = (): void => {
    if (isStopped()) return;
    if (search?.advance(now) === false) setImmediate(advance);
    else done();
  };
  advance();
}

export class HoleSearch {
  private readonly map: BlockMapBuilder;
  private readonly extents: ExtentFinder;
  private offsetBytes = 0;
  private isDone = false;

  constructor(map: BlockMapBuilder, extents: ExtentFinder) {
    this.map = map;
    this.extents = extents;
  }

  /**
   * Marks chunks that lie in holes as zero, for a few milliseconds.
   * @returns whether all is searched
   */
  advance(now: () => number): boolean {
    const endMs = now() + SLICE_MS;
    for (let count = 1; !this.isDone; count++) {
      this.step();
      if (count % EXTENTS_PER_LOOK === 0 && now() >= endMs) break;
    }
    return this.isDone;
  }

  /** From one hole to the next. */
  private step(): void {
    const { sizeBytes } = this.map.geometry;
    const data = this.extents.nextData(this.offsetBytes);
    if (data === null) {
      this.isDone = true;
      return;
    }
    const holeEnd = data < 0 ? sizeBytes : Math.min(data, sizeBytes);
    this.markHole(this.offsetBytes, holeEnd);
    if (holeEnd >= sizeBytes) {
      this.isDone = true;
      return;
    }
    const hole = this.extents.nextHole(holeEnd);
    // Without progress the file is changing under us: the rest is read.
    if (hole === null || hole <= holeEnd || hole >= sizeBytes) this.isDone = true;
    else this.offsetBytes = hole;
  }

  /** Only chunks that lie in the hole whole; the others are read. */
  private markHole(startBytes: number, endBytes: number): void {
    const { chunkSizeBytes, chunkCount, sizeBytes } = this.map.geometry;
    const first = Math.ceil(startBytes / chunkSizeBytes);
    const end = endBytes >= sizeBytes ? chunkCount : Math.floor(endBytes / chunkSizeBytes);
    if (end > first) this.map.setZeroRange(first, end - first);
  }
}
