/** Collects the blocks of one encoded chunk (or map page), in any order, into one buffer. */
import { blockCountOf, blockLengthOf } from '../protocol/block.js';
import { checkOf } from '../protocol/check.js';
import type { Run } from '../protocol/run.js';
import type { PayloadCopier } from './payload-copier.js';

export class Collector {
  chunk = -1;
  /** Space, encoding and variant as one byte, as the wire has it. */
  kindByte = 0;
  encodedLength = 0;
  blockCount = 0;
  /** Blocks that are here. */
  receivedCount = 0;
  /** Send position of the latest block that came. */
  lastPosition = 0;
  /** When that was; -Infinity for never. */
  lastMs = Number.NEGATIVE_INFINITY;
  /** When the missing blocks were last asked for; -Infinity for never. */
  askedMs = Number.NEGATIVE_INFINITY;
  /** All blocks are here, and some of them are not what the server sent: their checks are wanted. */
  isDoubted = false;
  /** While in doubt: blocks whose checks came, or that came once more; one bit each. */
  #checked = new Uint32Array(0);
  #checkedCount = 0;
  #received = new Uint32Array(0);
  #blockSize = 1;

  /**
   * @param bytes where the blocks go; at least as long as any chunk it will be given
   * @param copier shared by all that take blocks from the same memory
   */
  constructor(
    readonly slot: number,
    readonly bytes: Buffer,
    private readonly copier: PayloadCopier,
  ) {}

  begin(chunk: number, kindByte: number, encodedLength: number, blockSize: number): void {
    this.chunk = chunk;
    this.kindByte = kindByte;
    this.encodedLength = encodedLength;
    this.#blockSize = blockSize;
    this.blockCount = blockCountOf(encodedLength, blockSize);
    const words = (this.blockCount + 31) >>> 5;
    if (this.#received.length < words) this.#received = new Uint32Array(words);
    else this.#received.fill(0, 0, words);
    this.receivedCount = 0;
    this.isDoubted = false;
    this.askedMs = Number.NEGATIVE_INFINITY;
  }

  get isComplete(): boolean {
    return this.receivedCount === this.blockCount && !this.isDoubted;
  }

  get isHalf(): boolean {
    return this.receivedCount > 0 && !this.isComplete;
  }

  /** Copies block `block` from `from[start, end)`; false when it was here already. */
  add(block: number, from: Buffer, start: number, end: number): boolean {
    const word = block >>> 5;
    const bit = 1 << (block & 31);
    if ((this.#received[word]! & bit) !== 0) {
      return this.isDoubted && this.#renew(block, from, start, end);
    }
    this.#received[word]! |= bit;
    this.receivedCount++;
    this.copier.copy(from, start, end, this.bytes, block * this.#blockSize);
    return true;
  }

  /**
   * Copies `count` blocks from block `first` on, whose payloads begin at `start` and every `stride`
   * bytes behind it. @returns how many were not here before
   */
  addRun(first: number, count: number, from: Buffer, start: number, stride: number): number {
    const had = this.receivedCount;
    for (let i = 0, at = start; i < count; i++, at += stride) {
      this.add(first + i, from, at, at + this.#blockSize);
    }
    return this.receivedCount - had;
  }

  /** The chunk that its blocks make is not the right one. */
  doubt(): void {
    this.isDoubted = true;
    this.askedMs = Number.NEGATIVE_INFINITY;
    this.#checked = new Uint32Array(this.#received.length);
    this.#checkedCount = 0;
  }

  /** Drops the blocks that do not fit the checks of blocks `first` and following. */
  check(first: number, checks: readonly number[]): void {
    for (const [index, check] of checks.entries()) {
      const block = first + index;
      const word = block >>> 5;
      const bit = 1 << (block & 31);
      if (block >= this.blockCount || !this.#noteChecked(block)) continue;
      const start = block * this.#blockSize;
      const end = start + blockLengthOf(this.encodedLength, this.#blockSize, block);
      if (checkOf(this.bytes, start, end) === check) continue;
      if ((this.#received[word]! & bit) !== 0) this.receivedCount--;
      this.#received[word]! &= ~bit;
    }
  }

  /** Takes a block in doubt that came once more. */
  #renew(block: number, from: Buffer, start: number, end: number): boolean {
    if (!this.#noteChecked(block)) return false;
    this.copier.copy(from, start, end, this.bytes, block * this.#blockSize);
    return true;
  }

  /** @returns false for a block that is in doubt no more */
  #noteChecked(block: number): boolean {
    const word = block >>> 5;
    const bit = 1 << (block & 31);
    if ((this.#checked[word]! & bit) !== 0) return false;
    this.#checked[word]! |= bit;
    if (++this.#checkedCount === this.blockCount) {
      this.isDoubted = false;
      this.askedMs = Number.NEGATIVE_INFINITY;
    }
    return true;
  }

  /** Runs of blocks still missing, at most `most` of them. */
  missingRuns(most: number): Run[] {
    const runs: Run[] = [];
    let first = -1;
    for (let block = 0; block <= this.blockCount; block++) {
      const isMissing =
        block < this.blockCount && (this.#received[block >>> 5]! & (1 << (block & 31))) === 0;
      if (isMissing && first < 0) first = block;
      if (!isMissing && first >= 0) {
        runs.push({ first, count: block - first });
        first = -1;
        if (runs.length === most) break;
      }
    }
    return runs;
  }
}
