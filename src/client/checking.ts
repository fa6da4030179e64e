/**
 * Looks through what the target holds already, chunk by chunk, as far as the block map is in:
 * the disk is the state, and nothing else is believed about an earlier copy.
 */
import { Bitmap } from '../image/bitmap.js';
import type { Copy } from './copy.js';

/** Looks that are under way at once: enough to keep the workers busy. */
const MOST_RUNNING = 16;
/** Longest run of zero chunks looked at together. */
const MOST_ZERO_RUN_BYTES = 16 * 1024 * 1024;

/** Something to read on the target. */
export interface CheckOrder {
  first: number;
  /** More than one only where all of them should be zeros. */
  count: number;
  offsetBytes: number;
  lengthBytes: number;
  /** Past the system's cache: what the disk itself gives back. */
  isDirect: boolean;
}

/** What was found: a digest, null for nothing but zeros, or that it could not be read. */
export type CheckOutcome = { kind: 'found'; digest: Uint8Array | null } | { kind: 'unreadable' };

export class Checking {
  readonly #copy: Copy;
  /** Chunks to look at that are not being looked at yet. */
  readonly #due: Bitmap;
  /** Runs that are not all zeros are looked at again, chunk by chunk. */
  readonly #single: Bitmap;
  #next = 0;
  #running = 0;
  isDirect = false;

  constructor(copy: Copy, holdsEarlierData: boolean) {
    const { chunkCount } = copy.geometry;
    this.#copy = copy;
    this.#due = new Bitmap(chunkCount);
    this.#single = new Bitmap(chunkCount);
    if (holdsEarlierData) this.#due.setRange(0, chunkCount);
  }

  /** A page of the map came in, or chunks have become doubtful: begin there again. */
  rewind(chunk: number): void {
    this.#next = Math.min(this.#next, chunk);
  }

  add(chunk: number): void {
    this.#due.set(chunk);
    this.rewind(chunk);
  }

  /** Next place to look at, or null for now. */
  poll(): CheckOrder | null {
    if (this.#running >= MOST_RUNNING) return null;
    const first = this.#nextDue();
    if (first < 0) return null;
    const { geometry } = this.#copy;
    const count = this.#runFrom(first);
    this.#due.clearRange(first, count);
    this.#next = first + count;
    this.#running++;
    const offsetBytes = geometry.chunkOffset(first);
    const last = first + count - 1;
    const lengthBytes = geometry.chunkOffset(last) + geometry.chunkLength(last) - offsetBytes;
    return { first, count, offsetBytes, lengthBytes, isDirect: this.isDirect };
  }

  /** A look has ended. @returns false when the run has to be looked at chunk by chunk */
  ended(order: CheckOrder, isZero: boolean): boolean {
    this.#running--;
    if (order.count === 1 || isZero) return true;
    this.#single.setRange(order.first, order.count);
    for (let chunk = order.first; chunk < order.first + order.count; chunk++) this.add(chunk);
    return false;
  }

  #nextDue(): number {
    const { geometry } = this.#copy;
    let chunk = this.#due.nextSet(this.#next);
    while (chunk >= 0) {
      const page = geometry.pageOf(chunk);
      if (!this.#copy.pages.hasPage(page)) {
        chunk = this.#due.nextSet(geometry.firstChunkOf(page + 1));
      } else if (this.#copy.isUnchecked(chunk)) {
        return chunk;
      } else {
        // It came from the network in the meantime.
        this.#due.clear(chunk);
        chunk = this.#due.nextSet(chunk + 1);
      }
    }
    return -1;
  }

  #runFrom(first: number): number {
    const copy = this.#copy;
    if (!copy.looksZero(first) || this.#single.has(first)) return 1;
    const most = Math.max(1, MOST_ZERO_RUN_BYTES / copy.geometry.chunkSizeBytes);
    let count = 1;
    while (count < most && this.#joins(first + count)) count++;
    return count;
  }

  #joins(chunk: number): boolean {
    return (
      chunk < this.#due.length &&
      this.#due.has(chunk) &&
      !this.#single.has(chunk) &&
      this.#copy.isUnchecked(chunk) &&
      this.#copy.looksZero(chunk)
    );
  }
}
