/**
 * Parts of the block map that clients ask for: its root and its pages. A part goes out whole to
 * those who have nothing of it, and block by block to those who lost some.
 */

import type { BlockMap, BlockMapBuilder } from '../../image/block-map.js';
import { blockCountOf, Encoding, kindOf, Space } from '../../protocol/block.js';
import type { BlockRequest } from '../../protocol/from-client.js';
import { appendToRuns, type Run } from '../../protocol/run.js';
import { SEAL_BYTES } from '../../trust/seal.js';
import { SealRegister } from '../../trust/seal-register.js';
import type { ServerSealing } from '../sealing.js';
import { PendingSet } from './pending-set.js';
import { RepairQueue } from './repair-queue.js';
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

export class MapSender {
  private readonly blockSize: number;
  private readonly seals: MapSeals | null;
  /** The map while it is made: pages of which all chunks are known can be had already. */
  private readonly builder: BlockMapBuilder;
  private readonly root = new PartQueue(Space.mapRoot, 1);
  private readonly pages: PartQueue;
  private map: BlockMap | null = null;
  private whole: WholePart | null = null;
  /** The root is to go out unasked: clients that wait for the map will all want it. */
  private offersRoot = false;

  constructor(builder: BlockMapBuilder, blockSize: number, sealing: ServerSealing | null = null) {
    this.blockSize = blockSize;
    this.seals = sealing === null ? null : new MapSeals(sealing, builder.geometry.pageCount);
    this.builder = builder;
    this.pages = new PartQueue(Space.mapPage, builder.geometry.pageCount);
  }

  /** @param isAwaited clients wait for it */
  setMap(map: BlockMap, isAwaited: boolean): void {
    this.map = map;
    this.offersRoot = isAwaited;
  }

  /** Whether `fillOffer` has something to send. */
  get hasOffer(): boolean {
    return this.offersRoot;
  }

  /** Null while the map is prepared. */
  get mapId(): Buffer | null {
    return this.map?.id ?? null;
  }

  clear(): void {
    this.whole = null;
    this.offersRoot = false;
    this.root.clear();
    this.pages.clear();
  }

  get isEmpty(): boolean {
    return this.whole === null && this.root.isEmpty && this.pages.isEmpty;
  }

  /**
   * Merges a request for parts, whole or some blocks of them, into what is pending.
   * @param asOfPosition the request's, as the server counts
   * @returns how many parts it adds; of blocks, the share of a part
   */
  ask({ space, ranges, halves }: BlockRequest, asOfPosition: number): number {
    const { pending, repairs } = space === Space.mapRoot ? this.root : this.pages;
    const underway =
      this.whole !== null && this.whole.space === space ? [this.whole.source.chunk] : [];
    const there = ranges.flatMap((range) => this.thoseThere(space, range));
    let added = pending.add(there, asOfPosition, underway);
    for (const { chunk, runs } of halves) {
      if (pending.has(chunk) || underway.includes(chunk)) continue;
      const bytes = this.bytesOf(space, chunk);
      if (bytes === null) continue;
      const sealBytes = this.seals === null ? 0 : SEAL_BYTES;
      const blockCount = blockCountOf(bytes.length + sealBytes, this.blockSize);
      added += Math.max(0, repairs.add(chunk, runs, asOfPosition, blockCount)) / blockCount;
    }
    return added;
  }

  /** Packs blocks of parts, if any is pending. @returns the send position after them */
  fill(train: Train, position: number): number {
    let next = position;
    if (this.whole === null) {
      // The root goes first: without it no page can be checked.
      for (const queue of [this.root, this.pages]) {
        next = this.fillRepairs(queue, train, next);
        if (train.packets > 0) return next;
        this.whole = this.take(queue, next);
        if (this.whole !== null) break;
      }
    }
    return this.fillWhole(train, next);
  }

  /**
   * As `fill`, what nobody asked for yet, but is about to: while `hasOffer`. @returns the send
   * position after it
   */
  fillOffer(train: Train, position: number): number {
    this.root.pending.add([{ first: 0, count: 1 }], position, []);
    return this.fill(train, position);
  }

  /** Blocks of one part: those of two need not fit one train, whose packets are equally long. */
  private fillRepairs({ space, repairs }: PartQueue, train: Train, position: number): number {
    const [repair] = repairs.values();
    if (repair === undefined) return position;
    const source = this.sourceOf(space, repair.chunk, this.bytesOf(space, repair.chunk)!);
    if (source === null) {
      repairs.drop(repair.chunk);
      return position;
    }
    let next = position;
    for (const block of repair.blocks) {
      if (train.room === 0) break;
      repairs.noteSent(repair, block, next);
      next = train.add(space, source, block, next);
    }
    return next;
  }

  private fillWhole(train: Train, position: number): number {
    const part = this.whole;
    if (part === null) return position;
    let next = position;
    while (part.block < part.source.blockCount && train.room > 0) {
      next = train.add(part.space, part.source, part.block++, next);
    }
    if (part.block === part.source.blockCount) this.whole = null;
    return next;
  }

  /** The next part that is to go out whole. */
  private take({ space, pending, repairs }: PartQueue, position: number): WholePart | null {
    for (let chunk = pending.take(); chunk >= 0; chunk = pending.take()) {
      const bytes = this.bytesOf(space, chunk);
      if (bytes === null) continue;
      if (space === Space.mapRoot) this.offersRoot = false;
      repairs.drop(chunk);
      const source = this.sourceOf(space, chunk, bytes);
      if (source === null) continue;
      pending.noteSent(chunk, position);
      return { space, source, block: 0 };
    }
    return null;
  }

  /** Of a run of parts those that can be sent: whoever asks for others asks again. */
  private thoseThere(space: number, { first, count }: Run): Run[] {
    const runs: Run[] = [];
    const end = Math.min(first + count, this.pages.pending.length);
    for (let part = first; part < end; part++) {
      if (this.bytesOf(space, part) !== null) appendToRuns(runs, part);
    }
    return runs;
  }

  /** Null for what is not there: a part past the last one, a page of zeros, one not made yet. */
  private bytesOf(space: number, chunk: number): Buffer | null {
    if (space === Space.mapRoot) return chunk === 0 ? (this.map?.root ?? null) : null;
    return chunk < this.pages.pending.length ? (this.map ?? this.builder).page(chunk) : null;
  }

  /** Null for a part whose seal may not leave: it was sent as another one. */
  private sourceOf(space: MapSpace, chunk: number, plain: Buffer): BlockSource | null {
    const bytes = this.seals === null ? plain : this.seals.seal(space, chunk, plain);
    if (bytes === null) return null;
    const encodedLength = bytes.length;
    const blockCount = blockCountOf(encodedLength, this.blockSize);
    return { chunk, bytes, encodedLength, blockCount, encoding: Encoding.raw, variant: 0 };
  }
}

/** A page takes up to 132 kB. */
const MAX_KEPT = 8;

/** Sealed copies of parts of the block map; a few are kept, as the same is sent many times. */
class MapSeals {
  private readonly registers: Record<1 | 2, SealRegister>;
  /** By space and number, the one longest unused first. */
  private readonly kept = new Map<number, Buffer>();

  constructor(
    private readonly sealing: ServerSealing,
    pageCount: number,
  ) {
    this.registers = {
      [Space.mapPage]: new SealRegister(pageCount),
      [Space.mapRoot]: new SealRegister(1),
    };
  }

  /** @returns null when the part was sent as another one before */
  seal(space: 1 | 2, chunk: number, plain: Buffer): Buffer | null {
    const key = chunk * 4 + space;
    const known = this.kept.get(key);
    if (known !== undefined) return known;
    const bytes = Buffer.alloc(plain.length + SEAL_BYTES);
    plain.copy(bytes);
    const kindByte = kindOf(space, Encoding.raw, 0);
    const sealedBytes = this.sealing.chunks.seal(bytes, plain.length, chunk, kindByte);
    const tag = bytes.subarray(plain.length);
    if (!this.registers[space].admit({ chunk, sealedBytes, kindByte }, tag)) return null;
    if (this.kept.size >= MAX_KEPT) this.kept.delete(this.kept.keys().next().value!);
    this.kept.set(key, bytes);
    return bytes;
  }
}
