/** Half-received chunks: their blocks come in any order, into a fixed number of slots. */

import { blockCountOf, blockLengthOf } from '../../protocol/block.js';
import { checkOf } from '../../protocol/check.js';
import { positionsBetween } from '../../protocol/position.js';
import type { Run } from '../../protocol/run.js';

/** No two packets of an Ethernet begin as close to each other. */
const PLACE_BITS = 10;

/**
 * Copies payloads out of received packets. Copying needs a view of the payload, and making one for
 * each packet costs half as much as the copying does. Memory that packets are received into again
 * and again has them at the same places, so views of it are kept.
 */
export class PayloadCopier {
  /** Where the payload copied last was. */
  private last: Buffer | null = null;
  /** Memory of which views are kept. A buffer that holds a single packet never becomes it. */
  private kept: Buffer | null = null;
  /** By place: the view, and what of `kept` it shows. To ask the view itself takes longer. */
  private views: Buffer[] = [];
  private starts = new Int32Array(0);
  private ends = new Int32Array(0);

  /** Copies `from[start, end)` to `to`, from `at` on. */
  copy(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
    if (from !== this.kept) {
      if (from !== this.last) {
        this.last = from;
        from.copy(to, at, start, end);
        return;
      }
      this.keep(from);
    }
    const place = start >>> PLACE_BITS;
    if (this.starts[place] !== start || this.ends[place] !== end) {
      this.views[place] = from.subarray(start, end);
      this.starts[place] = start;
      this.ends[place] = end;
    }
    to.set(this.views[place]!, at);
  }

  private keep(from: Buffer): void {
    const places = (from.length >>> PLACE_BITS) + 1;
    this.kept = from;
    this.starts = new Int32Array(places).fill(-1);
    this.ends = new Int32Array(places);
    // Made by `fill`, an array becomes one of another kind, for which V8 gives up what copies.
    this.views = [];
    for (let place = 0; place < places; place++) this.views.push(from);
  }
}

/** Collects the blocks of one encoded chunk (or map page), in any order, into one buffer. */
export class PartialChunk {
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
  /** All blocks are here, and some are not what the server sent: their checks are wanted. */
  isDoubted = false;
  /** While in doubt, a block came once more: the chunk may be right now. */
  isRenewed = false;
  /** While in doubt: blocks whose checks came, or that came once more; one bit each. */
  private checked = new Uint32Array(0);
  private checkedCount = 0;
  private received = new Uint32Array(0);
  private blockSize = 1;
  /** Counts servers, see {@link Assembly}. */
  generation = 0;
  /** It began as an older version of the chunk. */
  isOlder = false;

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
    this.blockSize = blockSize;
    this.blockCount = blockCountOf(encodedLength, blockSize);
    const words = (this.blockCount + 31) >>> 5;
    if (this.received.length < words) this.received = new Uint32Array(words);
    else this.received.fill(0, 0, words);
    this.receivedCount = 0;
    this.isOlder = false;
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
    if ((this.received[word]! & bit) !== 0) {
      return this.isDoubted && this.renew(block, from, start, end);
    }
    this.received[word]! |= bit;
    this.receivedCount++;
    this.copier.copy(from, start, end, this.bytes, block * this.blockSize);
    return true;
  }

  /**
   * Copies `count` blocks from block `first` on, whose payloads begin at `start` and every `stride`
   * bytes behind it. @returns how many were not here before
   */
  addRun(first: number, count: number, from: Buffer, start: number, stride: number): number {
    const had = this.receivedCount;
    for (let i = 0, at = start; i < count; i++, at += stride) {
      this.add(first + i, from, at, at + this.blockSize);
    }
    return this.receivedCount - had;
  }

  /** All blocks are here, as an older version of the chunk has them. */
  fill(): void {
    this.received.fill(0xffff_ffff);
    this.receivedCount = this.blockCount;
    this.isOlder = true;
  }

  /** Of an older version so little is left that all of the chunk had better be asked for. */
  get isVain(): boolean {
    return this.isOlder && this.receivedCount < this.blockCount / 2;
  }

  /** The chunk that its blocks make is not the right one. */
  doubt(): void {
    this.isDoubted = true;
    this.isRenewed = false;
    this.askedMs = Number.NEGATIVE_INFINITY;
    this.checked = new Uint32Array(this.received.length);
    this.checkedCount = 0;
  }

  /** Drops the blocks that do not fit the checks of blocks `first` and following. */
  check(first: number, checks: readonly number[]): void {
    for (const [index, check] of checks.entries()) {
      const block = first + index;
      const word = block >>> 5;
      const bit = 1 << (block & 31);
      if (block >= this.blockCount || !this.noteChecked(block)) continue;
      const start = block * this.blockSize;
      const end = start + blockLengthOf(this.encodedLength, this.blockSize, block);
      if (checkOf(this.bytes, start, end) === check) continue;
      if ((this.received[word]! & bit) !== 0) this.receivedCount--;
      this.received[word]! &= ~bit;
    }
  }

  /** Takes a block in doubt that came once more. */
  private renew(block: number, from: Buffer, start: number, end: number): boolean {
    if (!this.noteChecked(block)) return false;
    this.isRenewed = true;
    this.copier.copy(from, start, end, this.bytes, block * this.blockSize);
    return true;
  }

  /** @returns false for a block that is in doubt no more */
  private noteChecked(block: number): boolean {
    const word = block >>> 5;
    const bit = 1 << (block & 31);
    if ((this.checked[word]! & bit) !== 0) return false;
    this.checked[word]! |= bit;
    if (++this.checkedCount === this.blockCount) {
      this.isDoubted = false;
      this.askedMs = Number.NEGATIVE_INFINITY;
    }
    return true;
  }

  /** Runs of blocks still missing, at most `maxCount` of them. */
  missingRuns(maxCount: number): Run[] {
    const runs: Run[] = [];
    let first = -1;
    for (let block = 0; block <= this.blockCount; block++) {
      const isMissing =
        block < this.blockCount && (this.received[block >>> 5]! & (1 << (block & 31))) === 0;
      if (isMissing && first < 0) first = block;
      if (!isMissing && first >= 0) {
        runs.push({ first, count: block - first });
        first = -1;
        if (runs.length === maxCount) break;
      }
    }
    return runs;
  }
}

/**
 * Half-received chunks, in a fixed number of slots. A chunk that can't be finished in time gives
 * its slot up and is asked for again: memory stays bounded whatever is lost.
 */
export class Assembly {
  private readonly partials: PartialChunk[];
  private readonly free: PartialChunk[];
  private readonly halfByChunk = new Map<number, PartialChunk>();
  /**
   * Counts the servers that blocks came from: what is being read or stored while the server is
   * started again is made of blocks, and maybe of a seal, that the next one does not have.
   */
  private generation = 0;

  /** @param givenUp is told of each chunk that has to give up its slot */
  constructor(
    slots: readonly Buffer[],
    private readonly givenUp: (chunk: number) => void,
  ) {
    const copier = new PayloadCopier();
    this.partials = slots.map((bytes, slot) => new PartialChunk(slot, bytes, copier));
    this.free = [...this.partials];
  }

  find(chunk: number): PartialChunk | undefined {
    return this.halfByChunk.get(chunk);
  }

  /** No slot is free, and most are being stored: waiting for one beats giving a half chunk up. */
  get isExhausted(): boolean {
    return this.free.length === 0 && this.halfByChunk.size < this.partials.length / 2;
  }

  get openCount(): number {
    return this.halfByChunk.size;
  }

  /** Slots run short because stores take their time: packets had better stay where they are. */
  get isCrowded(): boolean {
    const { length } = this.partials;
    return this.free.length < length / 4 && this.halfByChunk.size < length / 2;
  }

  /** Half chunks that began as older versions. */
  get olderCount(): number {
    let count = 0;
    for (const half of this.halfByChunk.values()) if (half.isOlder) count++;
    return count;
  }

  get freeCount(): number {
    return this.free.length;
  }

  /**
   * Begins `chunk`. Without a free slot the chunk that has waited longest gives up its own.
   * @returns null when the assembly is exhausted
   */
  open(
    chunk: number,
    kindByte: number,
    encodedLength: number,
    blockSize: number,
  ): PartialChunk | null {
    let partial = this.free.pop();
    if (partial === undefined) {
      const oldest = this.oldest();
      if (oldest === null) return null;
      this.halfByChunk.delete(oldest.chunk);
      this.givenUp(oldest.chunk);
      partial = oldest;
    }
    this.begin(partial, chunk, kindByte, encodedLength, blockSize);
    this.halfByChunk.set(chunk, partial);
    return partial;
  }

  /**
   * A slot for an older version of a chunk, which is not half a chunk before `doubt`.
   * @returns null while slots are needed for what comes
   */
  take(chunk: number, kindByte: number, encodedLength: number, blockSize: number) {
    if (this.free.length <= this.partials.length / 2) return null;
    const partial = this.free.pop()!;
    this.begin(partial, chunk, kindByte, encodedLength, blockSize);
    return partial;
  }

  private begin(
    partial: PartialChunk,
    chunk: number,
    kindByte: number,
    encodedLength: number,
    blockSize: number,
  ): void {
    partial.begin(chunk, kindByte, encodedLength, blockSize);
    partial.generation = this.generation;
  }

  /** What was asked for with `take` is in the slot: some of it may be right. */
  taken(slot: number, position: number): void {
    const partial = this.partials[slot]!;
    partial.fill();
    partial.lastPosition = position;
    this.doubt(slot);
  }

  private oldest(): PartialChunk | null {
    let oldest: PartialChunk | null = null;
    for (const partial of this.halfByChunk.values()) {
      if (oldest === null || positionsBetween(partial.lastPosition, oldest.lastPosition) > 0) {
        oldest = partial;
      }
    }
    return oldest;
  }

  /** The chunk is complete: its slot stays in use until `release`. */
  close(partial: PartialChunk): void {
    this.halfByChunk.delete(partial.chunk);
  }

  /** What was made of the slot's bytes is not the right chunk: some of them came damaged. */
  doubt(slot: number): void {
    const partial = this.partials[slot]!;
    if (partial.generation !== this.generation) {
      this.free.push(partial);
      return;
    }
    partial.doubt();
    this.halfByChunk.set(partial.chunk, partial);
  }

  /** The slot's bytes are stored, or of no use. */
  release(slot: number): void {
    this.free.push(this.partials[slot]!);
  }

  /** Drops a half chunk: other blocks of it would not fit those already here. */
  abandon(partial: PartialChunk): void {
    this.halfByChunk.delete(partial.chunk);
    this.free.push(partial);
  }

  /** Drops all half chunks: blocks come from another server from now on. */
  clear(): void {
    this.generation++;
    for (const partial of [...this.halfByChunk.values()]) this.abandon(partial);
  }

  halves(): IterableIterator<PartialChunk> {
    return this.halfByChunk.values();
  }
}
