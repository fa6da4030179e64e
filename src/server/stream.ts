/**
 * What goes to the group, in which order: parts of the block map first, since clients prove
 * chunks by them; then repairs and the pass over the pending chunks, in turns.
 */
import type { BlockMap, BlockMapBuilder } from '../image/block-map.js';
import { BLOCK_HEADER_BYTES, blockCountOf, Encoding, Space } from '../protocol/block.js';
import type { BlockRequest, Run } from '../protocol/from-client.js';
import { encodeZeroRanges, MOST_ZERO_RANGES } from '../protocol/from-server.js';
import { advancePosition } from '../protocol/position.js';
import type { CacheEntry, ChunkCache } from './chunk-cache.js';
import { PendingSet } from './pending.js';
import { RepairQueue } from './repairs.js';
import type { ReadOrder, ReadOutcome } from './session.js';
import { type BlockSource, Train } from './train.js';

export interface StreamConfig {
  session: bigint;
  blockSize: number;
  map: BlockMapBuilder;
  cache: ChunkCache;
}

/** Chunks read ahead of the pass, where there are slots for so many. */
const MOST_AHEAD = 16;
/** More are ordered when so many have been sent: some at once cost less than one by one. */
const AHEAD_STEP = 4;
/** A chunk that lacks more than this share of its blocks is sent whole. */
const REPAIR_SHARE = 0.5;

type MapSpace = typeof Space.mapPage | typeof Space.mapRoot;

export class Stream {
  /** UDP payload of a full block packet. */
  readonly packetBytes: number;
  /** Next send position. */
  position = 1;
  blocksSent = 0;

  readonly #config: StreamConfig;
  readonly #train: Train;
  readonly #image: PendingSet;
  /** What only clients lack that the rate does not wait for: it must not hold up the others. */
  readonly #later: PendingSet;
  readonly #pages: PendingSet;
  readonly #root = new PendingSet(1);
  readonly #repairs = new RepairQueue();
  /** The pass's next chunks, pinned in the cache; the first one is being sent. */
  readonly #ahead: CacheEntry[] = [];
  /** Next block of the chunk being sent. */
  #block = 0;
  readonly #zeros: Run[] = [];
  #map: BlockMap | null = null;
  #part: { space: MapSpace; source: BlockSource; block: number } | null = null;
  #isRepairsTurn = true;
  #isReadingAhead = true;
  readonly #mostAhead: number;
  readonly #mostRepairs: number;
  /** Chunks with repairs to send, pinned in the cache. */
  readonly #mending = new Map<number, CacheEntry>();

  constructor(config: StreamConfig) {
    this.#config = config;
    this.packetBytes = BLOCK_HEADER_BYTES + config.blockSize;
    this.#train = new Train(config.session, config.blockSize);
    this.#image = new PendingSet(config.map.geometry.chunkCount);
    this.#later = new PendingSet(config.map.geometry.chunkCount);
    this.#pages = new PendingSet(config.map.geometry.pageCount);
    this.#mostAhead = Math.max(1, Math.min(MOST_AHEAD, Math.floor(config.cache.slotCount / 2)));
    this.#mostRepairs = Math.max(1, Math.floor(config.cache.slotCount / 4));
  }

  setMap(map: BlockMap): void {
    this.#map = map;
  }

  get mapId(): Buffer | null {
    return this.#map?.id ?? null;
  }

  get cursor(): number {
    return this.#ahead[0]?.chunk ?? this.#pass.cursor;
  }

  get pass(): number {
    return this.#image.pass + this.#later.pass;
  }

  get pendingChunks(): number {
    return this.#image.count + this.#later.count + this.#ahead.length;
  }

  /** Nothing is left to send. */
  get isIdle(): boolean {
    return (
      this.#image.count === 0 &&
      this.#later.count === 0 &&
      this.#ahead.length === 0 &&
      this.#zeros.length === 0 &&
      this.#repairs.isEmpty &&
      !this.#hasMapParts
    );
  }

  /** Something can be sent without waiting for a read. */
  get hasBlocks(): boolean {
    if (this.#hasMapParts || this.#zeros.length > 0) return true;
    if (this.#ahead[0] !== undefined && this.#ahead[0].state !== 'reading') return true;
    for (const entry of this.#mending.values()) if (entry.state === 'ready') return true;
    return false;
  }

  get #hasMapParts(): boolean {
    return this.#part !== null || this.#root.count > 0 || this.#pages.count > 0;
  }

  /**
   * Merges a client's request into what is pending.
   * @param isFollowed repairs may go ahead of the pass
   * @returns how many chunks it adds to what will be sent; of repairs, the share of a chunk
   */
  ask(request: BlockRequest, isFollowed: boolean): number {
    if (request.space !== Space.image) {
      if (this.#map === null) return 0;
      const pending = request.space === Space.mapRoot ? this.#root : this.#pages;
      const runs = request.halves.map((half) => ({ first: half.chunk, count: 1 }));
      return pending.add([...request.ranges, ...runs], request.asOfPosition, []);
    }
    const underway = this.#ahead.slice(this.#block > 0 ? 1 : 0).map((entry) => entry.chunk);
    const pending = isFollowed ? this.#image : this.#later;
    let added = pending.add(request.ranges, request.asOfPosition, underway);
    const { geometry } = this.#config.map;
    for (const { chunk, runs } of request.halves) {
      if (!geometry.hasChunk(chunk) || this.#image.has(chunk) || underway.includes(chunk)) continue;
      const blockCount = blockCountOf(geometry.chunkLength(chunk), this.#config.blockSize);
      const wanted = isFollowed
        ? this.#repairs.add(chunk, runs, request.asOfPosition, blockCount)
        : -1;
      if (wanted >= 0 && wanted <= Math.max(1, blockCount * REPAIR_SHARE)) {
        added += wanted / blockCount;
        continue;
      }
      this.#dropRepair(chunk);
      added += pending.add([{ first: chunk, count: 1 }], request.asOfPosition, underway);
    }
    return added;
  }

  /** Next chunk to read: for repairs, or ahead of the pass. */
  pollRead(): ReadOrder | null {
    const { map } = this.#config;
    for (const { chunk } of this.#repairs.values()) {
      if (this.#mending.size >= this.#mostRepairs) break;
      if (this.#mending.has(chunk)) continue;
      const { entry, order } = this.#fetch(chunk, true);
      if (entry === null) break;
      this.#mending.set(chunk, entry);
      if (order !== null) return order;
    }
    if (this.#ahead.length <= this.#mostAhead - AHEAD_STEP || this.#ahead.length === 0) {
      this.#isReadingAhead = true;
    }
    while (this.#isReadingAhead) {
      if (this.#ahead.length >= this.#mostAhead) {
        this.#isReadingAhead = false;
        break;
      }
      const chunk = this.#pass.peek();
      if (chunk < 0) return null;
      if (map.isZero(chunk)) {
        if (!this.#takeZeros()) return null;
        continue;
      }
      const { entry, order } = this.#fetch(chunk, false);
      if (entry === null) return null;
      this.#take();
      this.#ahead.push(entry);
      if (order !== null) return order;
    }
    return null;
  }

  /** Pins a chunk in the cache, ordering it to be read if it is not there. */
  #fetch(chunk: number, mends: boolean): { entry: CacheEntry | null; order: ReadOrder | null } {
    const { cache } = this.#config;
    const cached = cache.find(chunk);
    const entry = cached ?? cache.claim(chunk);
    if (entry === null) return { entry, order: null };
    entry.pins++;
    return { entry, order: cached === undefined ? { chunk, slot: entry.slot, mends } : null };
  }

  #dropRepair(chunk: number): void {
    this.#repairs.drop(chunk);
    const entry = this.#mending.get(chunk);
    if (entry === undefined) return;
    entry.pins--;
    this.#mending.delete(chunk);
  }

  /** The set that the pass is over now. */
  get #pass(): PendingSet {
    return this.#image.count > 0 || this.#later.count === 0 ? this.#image : this.#later;
  }

  /** Takes the next chunk of the pass. */
  #take(): number {
    const chunk = this.#pass.take();
    this.#later.drop(chunk);
    return chunk;
  }

  #noteSent(chunk: number): void {
    this.#image.noteSent(chunk, this.position);
    this.#later.noteSent(chunk, this.position);
  }

  /** Takes the pending zero chunks at the cursor; false when there is no room for more. */
  #takeZeros(): boolean {
    if (this.#zeros.length >= MOST_ZERO_RANGES) return false;
    const pass = this.#pass;
    const first = this.#take();
    let count = 1;
    while (pass.has(first + count) && this.#config.map.isZero(first + count)) {
      this.#take();
      count++;
    }
    this.#zeros.push({ first, count });
    return true;
  }

  handleRead(slot: number, outcome: ReadOutcome): void {
    const { cache } = this.#config;
    const entry = cache.entryOfSlot(slot);
    if (outcome.kind === 'failed') {
      this.#dropRepair(entry.chunk);
      cache.failed(entry);
    } else if (outcome.kind === 'zero') {
      cache.ready(entry, 0, Encoding.raw, 0, true);
    } else {
      cache.ready(entry, outcome.encodedLength, outcome.encoding, outcome.variant, false);
    }
  }

  /** Packs the next train, or a packet of zero ranges. @returns its bytes, 0 for nothing to send */
  fill(out: Buffer, mostBytes: number): number {
    this.#train.begin(out, mostBytes);
    this.#skipUnsendable();
    // Before anything else: a status tells clients that all chunks before the cursor went out.
    if (this.#zeros.length > 0) return this.#writeZeros(out);
    if (this.#fillMapPart()) return this.#train.length;
    const [first, second] = this.#isRepairsTurn
      ? [this.#fillRepairs, this.#fillPass]
      : [this.#fillPass, this.#fillRepairs];
    this.#isRepairsTurn = !this.#isRepairsTurn;
    return first.call(this) || second.call(this) ? this.#train.length : 0;
  }

  #writeZeros(out: Buffer): number {
    const ranges = mergeRuns(this.#zeros.splice(0));
    const { session } = this.#config;
    const packet = encodeZeroRanges({ session, position: this.position, ranges });
    for (const { first, count } of ranges) {
      // Only a short run is worth remembering chunk by chunk; a long one costs one packet anyway.
      if (count <= 16) for (let i = 0; i < count; i++) this.#noteSent(first + i);
    }
    this.position = advancePosition(this.position, 1);
    return packet.copy(out);
  }

  /** Drops chunks at the head of the pass that turned out zero or unreadable. */
  #skipUnsendable(): void {
    for (let head = this.#ahead[0]; head !== undefined; head = this.#ahead[0]) {
      if (head.state === 'reading' || (head.state === 'ready' && !head.zero)) return;
      if (head.zero) {
        if (this.#zeros.length >= MOST_ZERO_RANGES) return;
        this.#addZero(head.chunk);
      }
      this.#leaveHead(head);
    }
  }

  #addZero(chunk: number): void {
    const last = this.#zeros.at(-1);
    if (last !== undefined && last.first + last.count === chunk) last.count++;
    else this.#zeros.push({ first: chunk, count: 1 });
  }

  #leaveHead(head: CacheEntry): void {
    head.pins--;
    this.#ahead.shift();
    this.#block = 0;
  }

  #fillPass(): boolean {
    const head = this.#ahead[0];
    if (head === undefined || head.state !== 'ready' || head.zero) return false;
    if (this.#block === 0) this.#noteSent(head.chunk);
    while (this.#block < head.blockCount && this.#train.hasRoom) {
      this.position = this.#train.add(Space.image, head, this.#block++, this.position);
    }
    this.blocksSent += this.#train.packets;
    if (this.#block === head.blockCount) this.#leaveHead(head);
    return true;
  }

  #fillRepairs(): boolean {
    for (const repair of this.#repairs.values()) {
      const entry = this.#mending.get(repair.chunk);
      if (entry === undefined || entry.state !== 'ready') continue;
      if (entry.zero) {
        this.#dropRepair(repair.chunk);
        this.#addZero(repair.chunk);
        continue;
      }
      for (const block of repair.blocks) {
        if (!this.#train.hasRoom) break;
        this.#repairs.noteSent(repair, block, this.position);
        if (block >= entry.blockCount) continue;
        this.position = this.#train.add(Space.image, entry, block, this.position);
      }
      if (repair.blocks.size === 0) this.#dropRepair(repair.chunk);
      if (!this.#train.hasRoom) break;
    }
    this.blocksSent += this.#train.packets;
    return this.#train.packets > 0;
  }

  #fillMapPart(): boolean {
    this.#part ??= this.#nextMapPart();
    const part = this.#part;
    if (part === null) return false;
    while (part.block < part.source.blockCount && this.#train.hasRoom) {
      this.position = this.#train.add(part.space, part.source, part.block++, this.position);
    }
    if (part.block === part.source.blockCount) this.#part = null;
    return true;
  }

  #nextMapPart() {
    if (this.#map === null) return null;
    for (const space of [Space.mapRoot, Space.mapPage] as const) {
      const pending = space === Space.mapRoot ? this.#root : this.#pages;
      for (let chunk = pending.take(); chunk >= 0; chunk = pending.take()) {
        const bytes = space === Space.mapRoot ? this.#map.root : this.#map.page(chunk);
        if (bytes === null) continue;
        pending.noteSent(chunk, this.position);
        const blockCount = blockCountOf(bytes.length, this.#config.blockSize);
        const { raw: encoding } = Encoding;
        const source = {
          chunk,
          bytes,
          encodedLength: bytes.length,
          blockCount,
          encoding,
          variant: 0,
        };
        return { space, source, block: 0 };
      }
    }
    return null;
  }
}

/** The same runs in ascending order, without overlaps, as the wire wants them. */
function mergeRuns(runs: Run[]): Run[] {
  const merged: Run[] = [];
  for (const run of runs.sort((a, b) => a.first - b.first)) {
    const last = merged.at(-1);
    if (last === undefined || run.first > last.first + last.count) merged.push(run);
    else last.count = Math.max(last.count, run.first + run.count - last.first);
  }
  return merged;
}
