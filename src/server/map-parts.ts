/**
 * Parts of the block map that clients ask for: its root and its pages. A part goes out whole to
 * those who have nothing of it, and block by block to those who lost some.
 */
import type { BlockMap, BlockMapBuilder } from '../image/block-map.js';
import { blockCountOf, Encoding, Space } from '../protocol/block.js';
import type { BlockRequest } from '../protocol/from-client.js';
import { appendToRuns, type Run } from '../protocol/run.js';
import { PendingSet } from './pending.js';
import { RepairQueue } from './repairs.js';
import type { BlockSource, Train } from './train.js';

type MapSpace = typeof Space.mapPage | typeof Space.mapRoot;

/** The parts of one space: the root alone, or the pages. */
class PartQueue {
  readonly pending: PendingSet;
  readonly repairs = new RepairQueue();

  constructor(
    readonly space: MapSpace,
    partCount: number,
  ) {
    this.pending = new PendingSet(partCount);
  }

  get isEmpty(): boolean {
    return this.pending.count === 0 && this.repairs.isEmpty;
  }

  clear(): void {
    this.pending.clear();
    this.repairs.clear();
  }
}

/** The part that goes out whole just now. */
interface WholePart {
  space: MapSpace;
  source: BlockSource;
  /** Next block to send. */
  block: number;
}

export class MapParts {
  readonly #blockSize: number;
  /** The map while it is made: pages of which all chunks are known can be had already. */
  readonly #builder: BlockMapBuilder;
  readonly #root = new PartQueue(Space.mapRoot, 1);
  readonly #pages: PartQueue;
  #map: BlockMap | null = null;
  #whole: WholePart | null = null;
  /** The root is to go out unasked: clients that wait for the map will all want it. */
  #offersRoot = false;

  constructor(builder: BlockMapBuilder, blockSize: number) {
    this.#blockSize = blockSize;
    this.#builder = builder;
    this.#pages = new PartQueue(Space.mapPage, builder.geometry.pageCount);
  }

  /** @param isAwaited clients wait for it */
  setMap(map: BlockMap, isAwaited: boolean): void {
    this.#map = map;
    this.#offersRoot = isAwaited;
  }

  /** Whether `fillOffer` has something to send. */
  get hasOffer(): boolean {
    return this.#offersRoot;
  }

  /** Null while the map is prepared. */
  get mapId(): Buffer | null {
    return this.#map?.id ?? null;
  }

  clear(): void {
    this.#whole = null;
    this.#offersRoot = false;
    this.#root.clear();
    this.#pages.clear();
  }

  get isEmpty(): boolean {
    return this.#whole === null && this.#root.isEmpty && this.#pages.isEmpty;
  }

  /**
   * Merges a request for parts, whole or some blocks of them, into what is pending.
   * @param asOfPosition the request's, as the server counts
   * @returns how many parts it adds; of blocks, the share of a part
   */
  ask({ space, ranges, halves }: BlockRequest, asOfPosition: number): number {
    const { pending, repairs } = space === Space.mapRoot ? this.#root : this.#pages;
    const underway =
      this.#whole !== null && this.#whole.space === space ? [this.#whole.source.chunk] : [];
    const there = ranges.flatMap((range) => this.#thoseThere(space, range));
    let added = pending.add(there, asOfPosition, underway);
    for (const { chunk, runs } of halves) {
      if (pending.has(chunk) || underway.includes(chunk)) continue;
      const bytes = this.#bytesOf(space, chunk);
      if (bytes === null) continue;
      const blockCount = blockCountOf(bytes.length, this.#blockSize);
      added += Math.max(0, repairs.add(chunk, runs, asOfPosition, blockCount)) / blockCount;
    }
    return added;
  }

  /** Packs blocks of parts, if any is pending. @returns the send position after them */
  fill(train: Train, position: number): number {
    let next = position;
    if (this.#whole === null) {
      // The root goes first: without it no page can be checked.
      for (const queue of [this.#root, this.#pages]) {
        next = this.#fillRepairs(queue, train, next);
        if (train.packets > 0) return next;
        this.#whole = this.#take(queue, next);
        if (this.#whole !== null) break;
      }
    }
    return this.#fillWhole(train, next);
  }

  /** As `fill`, what nobody asked for yet, but is about to: while `hasOffer`. @returns the send position after it */
  fillOffer(train: Train, position: number): number {
    this.#root.pending.add([{ first: 0, count: 1 }], position, []);
    return this.fill(train, position);
  }

  /** Blocks of one part: those of two need not fit one train, whose packets are equally long. */
  #fillRepairs({ space, repairs }: PartQueue, train: Train, position: number): number {
    const [repair] = repairs.values();
    if (repair === undefined) return position;
    const source = this.#sourceOf(repair.chunk, this.#bytesOf(space, repair.chunk)!);
    let next = position;
    for (const block of repair.blocks) {
      if (train.room === 0) break;
      repairs.noteSent(repair, block, next);
      next = train.add(space, source, block, next);
    }
    return next;
  }

  #fillWhole(train: Train, position: number): number {
    const part = this.#whole;
    if (part === null) return position;
    let next = position;
    while (part.block < part.source.blockCount && train.room > 0) {
      next = train.add(part.space, part.source, part.block++, next);
    }
    if (part.block === part.source.blockCount) this.#whole = null;
    return next;
  }

  /** The next part that is to go out whole. */
  #take({ space, pending, repairs }: PartQueue, position: number): WholePart | null {
    for (let chunk = pending.take(); chunk >= 0; chunk = pending.take()) {
      const bytes = this.#bytesOf(space, chunk);
      if (bytes === null) continue;
      if (space === Space.mapRoot) this.#offersRoot = false;
      repairs.drop(chunk);
      pending.noteSent(chunk, position);
      return { space, source: this.#sourceOf(chunk, bytes), block: 0 };
    }
    return null;
  }

  /** Of a run of parts those that can be sent: whoever asks for others asks again. */
  #thoseThere(space: number, { first, count }: Run): Run[] {
    const runs: Run[] = [];
    const end = Math.min(first + count, this.#pages.pending.length);
    for (let part = first; part < end; part++) {
      if (this.#bytesOf(space, part) !== null) appendToRuns(runs, part);
    }
    return runs;
  }

  /** Null for what is not there: a part past the last one, a page of zeros, one not made yet. */
  #bytesOf(space: number, chunk: number): Buffer | null {
    if (space === Space.mapRoot) return chunk === 0 ? (this.#map?.root ?? null) : null;
    return chunk < this.#pages.pending.length ? (this.#map ?? this.#builder).page(chunk) : null;
  }

  #sourceOf(chunk: number, bytes: Buffer): BlockSource {
    const encodedLength = bytes.length;
    const blockCount = blockCountOf(encodedLength, this.#blockSize);
    return { chunk, bytes, encodedLength, blockCount, encoding: Encoding.raw, variant: 0 };
  }
}
