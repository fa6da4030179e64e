/**
 * What goes to the group, in which order: parts of the block map first, since clients prove
 * chunks by them; then repairs and the pass over the pending chunks, in turns.
 */
import type { BlockMap, BlockMapBuilder } from '../image/block-map.js';
import { BLOCK_HEADER_BYTES, blockCountOf, Encoding, kindOf, Space } from '../protocol/block.js';
import type { BlockRequest } from '../protocol/from-client.js';
import { encodeZeroRanges } from '../protocol/from-server.js';
import { countedPosition, wirePosition } from '../protocol/position.js';
import { CheckQueue } from './check-queue.js';
import type { CacheEntry, ChunkCache } from './chunk-cache.js';
import { MapParts } from './map-parts.js';
import type { ReadOutcome } from './outputs.js';
import { PendingImage } from './pending-image.js';
import { RepairQueue } from './repairs.js';
import { type Payloads, Train } from './train.js';
import { ZeroRuns } from './zero-runs.js';

export interface StreamConfig {
  session: bigint;
  blockSize: number;
  map: BlockMapBuilder;
  cache: ChunkCache;
  gathers: boolean;
  firstPosition: number;
}

/** A chunk that the stream wants in one of its slots. */
export interface StreamRead {
  chunk: number;
  slot: number;
  /** For repairs: it must come encoded as clients already hold parts of it. */
  mends: boolean;
}

/** More are ordered when so many have been sent: some at once cost less than one by one. */
const AHEAD_STEP = 2;
/** While repairs wait, one chunk is read for the pass after so many for them. */
const MENDS_PER_READ = 4;
/** A chunk that lacks more than this share of its blocks is sent whole. */
const REPAIR_SHARE = 0.5;
/**
 * Only so short a run of zeros is remembered as sent, chunk by chunk: a long one would push all
 * else out of the memory, and costs one packet to send again.
 */
const LONGEST_NOTED_RUN = 16;

export class Stream {
  /** UDP payload of a full block packet. */
  readonly packetBytes: number;
  /** Next send position, counted: the wire carries it modulo 2^32. */
  position: number;
  blocksSent = 0;

  readonly #config: StreamConfig;
  readonly #train: Train;
  readonly #pending: PendingImage;
  readonly #mapParts: MapParts;
  readonly #zeros = new ZeroRuns();
  readonly #repairs = new RepairQueue();
  readonly #checks: CheckQueue;
  /** Chunks that were read to send repairs of them, pinned in the cache. */
  readonly #mending = new Map<number, CacheEntry>();
  /** The pass's next chunks, pinned in the cache; the first one is being sent. */
  readonly #ahead: CacheEntry[] = [];
  /** Next block of the chunk being sent. */
  #block = 0;
  #isRepairsTurn = true;
  #isReadingAhead = true;
  /** Chunks read for repairs since the last one that was for the pass. */
  #mendsInTurn = 0;
  readonly #mostAhead: number;
  readonly #mostMending: number;

  constructor(config: StreamConfig) {
    this.#config = config;
    this.position = config.firstPosition;
    this.packetBytes = BLOCK_HEADER_BYTES + config.blockSize;
    this.#train = new Train(config.session, config.blockSize, config.gathers);
    this.#checks = new CheckQueue(config.session, config.blockSize);
    const { chunkCount } = config.map.geometry;
    this.#pending = new PendingImage(chunkCount);
    this.#mapParts = new MapParts(config.map, config.blockSize);
    const { slotCount } = config.cache;
    // Most slots are for what was sent already, and may have to be mended.
    this.#mostAhead = Math.max(1, Math.floor(slotCount / 3));
    this.#mostMending = Math.max(1, Math.floor(slotCount / 4));
  }

  /** Of the train that was packed last; null when they are in it. */
  get payloads(): Payloads | null {
    return this.#train.packets > 0 ? this.#train.payloads : null;
  }

  /** @param isAwaited clients wait for it: once the pass is over, they get the root unasked */
  setMap(map: BlockMap, isAwaited: boolean): void {
    this.#mapParts.setMap(map, isAwaited);
  }

  get mapId(): Buffer | null {
    return this.#mapParts.mapId;
  }

  /** The chunk being sent, or the one at which the pass goes on. */
  get cursor(): number {
    return this.#head?.chunk ?? this.#pending.cursor;
  }

  /** Passes begun so far. */
  get pass(): number {
    return this.#pending.pass;
  }

  get pendingChunks(): number {
    return this.#pending.count + this.#ahead.length;
  }

  /** Nothing is left to send. */
  get isIdle(): boolean {
    return (
      this.pendingChunks === 0 &&
      this.#zeros.isEmpty &&
      this.#repairs.isEmpty &&
      this.#checks.isEmpty &&
      this.#mapParts.isEmpty &&
      !this.#mapParts.hasOffer
    );
  }

  /** What nobody asked for yet comes behind the pass. */
  get #mayOffer(): boolean {
    return this.#mapParts.hasOffer && this.pendingChunks === 0;
  }

  /** Something can be sent without waiting for a read. */
  get hasBlocks(): boolean {
    if (!this.#mapParts.isEmpty || !this.#zeros.isEmpty) return true;
    if (this.#mayOffer) return true;
    if (this.#head !== undefined && this.#head.state !== 'reading') return true;
    for (const chunk of this.#mended()) if (this.#readyOf(chunk) !== null) return true;
    return false;
  }

  /**
   * Merges a client's request into what is pending.
   * @param isFollowed repairs may go ahead of the pass
   * @returns how many chunks it adds to what will be sent; of repairs, the share of a chunk
   */
  ask(request: BlockRequest, isFollowed: boolean): number {
    const asOfPosition = countedPosition(this.position, request.asOfPosition);
    if (request.space !== Space.image) return this.#mapParts.ask(request, asOfPosition);
    const { ranges, halves } = request;
    const underway = this.#underway();
    let added = this.#pending.add(ranges, asOfPosition, underway, isFollowed);
    const { geometry } = this.#config.map;
    for (const { chunk, runs } of halves) {
      if (!geometry.hasChunk(chunk)) continue;
      if (runs.length === 0) {
        if (this.#checks.add(chunk, asOfPosition)) added++;
        continue;
      }
      if (underway.includes(chunk)) continue;
      if (this.#pending.isFollowed(chunk)) continue;
      const blockCount = blockCountOf(geometry.chunkLength(chunk), this.#config.blockSize);
      // Of the chunk that is being sent, the rest comes anyway.
      const isHead = this.#block > 0 && this.#head?.chunk === chunk;
      const end = isHead ? this.#block : blockCount;
      const wanted = isFollowed ? this.#repairs.add(chunk, runs, asOfPosition, end) : -1;
      if (wanted >= 0 && wanted <= Math.max(1, blockCount * REPAIR_SHARE)) {
        added += wanted / blockCount;
        continue;
      }
      this.#dropRepair(chunk);
      const whole = [{ first: chunk, count: 1 }];
      added += this.#pending.add(whole, asOfPosition, underway, isFollowed);
    }
    return added;
  }

  /**
   * Chunks of which all blocks are still to be sent, though they are pending no more. Pushed one by one, they
   * are an array of one kind; `map` makes two, for which V8 gives up what looks through them.
   */
  #underway(): number[] {
    const chunks: number[] = [];
    for (let i = this.#block > 0 ? 1 : 0; i < this.#ahead.length; i++) {
      chunks.push(this.#ahead[i]!.chunk);
    }
    return chunks;
  }

  /**
   * Next chunk to read: for repairs, or ahead of the pass; null for now. While more chunks wait for repairs than can
   * be read for them at once, the pass has to be slow: else half chunks would pile up in the clients' memory
   * until they have to be given up, which makes more repairs.
   */
  pollRead(): StreamRead | null {
    const order = this.#readForRepairs();
    if (order !== null) {
      this.#mendsInTurn++;
      return order;
    }
    const isBehind = this.#mending.size >= this.#mostMending;
    if (isBehind && this.#mendsInTurn < MENDS_PER_READ) return null;
    const ahead = this.#readAhead();
    if (ahead !== null) this.#mendsInTurn = 0;
    return ahead;
  }

  /** Chunks of which clients lack only a part. */
  *#mended(): Generator<number> {
    for (const { chunk } of this.#repairs.values()) yield chunk;
    yield* this.#checks.chunks();
  }

  #readForRepairs(): StreamRead | null {
    const { cache } = this.#config;
    for (const chunk of this.#mended()) {
      if (this.#mending.size >= this.#mostMending) return null;
      if (cache.find(chunk) !== undefined) continue;
      const entry = cache.claim(chunk);
      if (entry === null) return null;
      entry.pins++;
      this.#mending.set(chunk, entry);
      return { chunk, slot: entry.slot, mends: true };
    }
    return null;
  }

  #readAhead(): StreamRead | null {
    const { cache } = this.#config;
    const length = this.#ahead.length;
    if (length === 0 || length <= this.#mostAhead - AHEAD_STEP) this.#isReadingAhead = true;
    while (this.#isReadingAhead) {
      if (this.#ahead.length >= this.#mostAhead) {
        this.#isReadingAhead = false;
        break;
      }
      const chunk = this.#pending.peek();
      if (chunk < 0) return null;
      if (this.#config.map.isZero(chunk)) {
        if (this.#zeros.isFull) return null;
        this.#zeros.add(this.#pending.takeRun((next) => this.#config.map.isZero(next)));
        continue;
      }
      const cached = cache.find(chunk);
      const entry = cached ?? cache.claim(chunk);
      if (entry === null) return null;
      entry.pins++;
      this.#pending.take();
      this.#ahead.push(entry);
      if (cached === undefined) return { chunk, slot: entry.slot, mends: false };
    }
    return null;
  }

  /** A chunk that is in the cache, whoever had it read. */
  #readyOf(chunk: number): CacheEntry | null {
    const entry = this.#config.cache.find(chunk);
    return entry?.state === 'ready' ? entry : null;
  }

  #dropRepair(chunk: number): void {
    this.#repairs.drop(chunk);
    this.#unpin(chunk);
  }

  #dropChecks(chunk: number): void {
    this.#checks.drop(chunk);
    this.#unpin(chunk);
  }

  /** Nobody waits for repairs or checks of this chunk any more. */
  #unpin(chunk: number): void {
    const entry = this.#mending.get(chunk);
    if (entry === undefined) return;
    entry.pins--;
    this.#mending.delete(chunk);
  }

  /** Takes what came of a read order. */
  handleRead(slot: number, outcome: ReadOutcome): void {
    const { cache } = this.#config;
    const entry = cache.entryOfSlot(slot);
    if (outcome.kind === 'failed') {
      this.#dropRepair(entry.chunk);
      this.#dropChecks(entry.chunk);
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
    if (!this.#zeros.isEmpty) return this.#writeZeros(out);
    this.position = this.#mapParts.fill(this.#train, this.position);
    if (this.#train.packets > 0) return this.#train.length;
    const checkBytes = this.#writeChecks(out);
    if (checkBytes > 0) return checkBytes;
    const [first, second] = this.#isRepairsTurn
      ? [this.#fillRepairs, this.#fillPass]
      : [this.#fillPass, this.#fillRepairs];
    this.#isRepairsTurn = !this.#isRepairsTurn;
    if (first.call(this) || second.call(this)) return this.#train.length;
    if (!this.#mayOffer) return 0;
    this.position = this.#mapParts.fillOffer(this.#train, this.position);
    return this.#train.length;
  }

  /** Nobody listens any more: what was asked for is wanted no longer. */
  forget(): void {
    for (const entry of this.#ahead.splice(0)) entry.pins--;
    this.#block = 0;
    for (const { chunk } of [...this.#repairs.values()]) this.#dropRepair(chunk);
    for (const chunk of [...this.#checks.chunks()]) this.#dropChecks(chunk);
    this.#zeros.take();
    this.#mapParts.clear();
    this.#pending.clear();
  }

  #writeZeros(out: Buffer): number {
    const ranges = this.#zeros.take();
    const { session } = this.#config;
    const position = wirePosition(this.position);
    const packet = encodeZeroRanges({ session, position, ranges });
    for (const { first, count } of ranges) {
      if (count > LONGEST_NOTED_RUN) continue;
      for (let i = 0; i < count; i++) this.#pending.noteSent(first + i, this.position);
    }
    this.position++;
    return packet.copy(out);
  }

  /** @returns the bytes of a packet of checks, 0 when none can be sent now */
  #writeChecks(out: Buffer): number {
    if (this.#checks.isEmpty) return 0;
    for (const chunk of this.#checks.chunks()) {
      const entry = this.#readyOf(chunk);
      if (entry === null) continue;
      if (entry.zero) {
        this.#dropChecks(chunk);
        this.#zeros.addChunk(chunk);
        continue;
      }
      const kindByte = kindOf(Space.image, entry.encoding, entry.variant);
      const { bytes, isLast } = this.#checks.write(entry, kindByte, this.position);
      this.position++;
      if (isLast) this.#dropChecks(chunk);
      return bytes.copy(out);
    }
    return 0;
  }

  /** Drops chunks at the head of the pass that turned out zero or unreadable. */
  #skipUnsendable(): void {
    for (let head = this.#head; head !== undefined; head = this.#head) {
      if (head.state === 'reading' || (head.state === 'ready' && !head.zero)) return;
      if (head.zero) {
        if (this.#zeros.isFull) return;
        this.#zeros.addChunk(head.chunk);
      }
      this.#leaveHead(head);
    }
  }

  #leaveHead(head: CacheEntry): void {
    head.pins--;
    this.#ahead.shift();
    this.#block = 0;
  }

  /** A shorter last block of a chunk ends a train: it goes behind the next chunk's blocks that have room. */
  #fillPass(): boolean {
    const train = this.#train;
    let tail: CacheEntry | null = null;
    for (let head = this.#sendableHead; head !== undefined; head = this.#sendableHead) {
      const room = this.#roomBeside(tail);
      if (room <= 0) break;
      if (this.#block === 0) this.#pending.noteSent(head.chunk, this.position);
      const fullBlocks = Math.floor(head.encodedLength / this.#config.blockSize);
      const count = Math.min(fullBlocks - this.#block, room);
      this.position = train.addRun(Space.image, head, this.#block, count, this.position);
      this.#block += count;
      if (this.#block < fullBlocks) break;
      if (fullBlocks < head.blockCount) {
        if (tail !== null || train.room === 0) break;
        tail = head;
      }
      this.#leaveHead(head);
    }
    if (tail !== null) {
      this.position = train.add(Space.image, tail, tail.blockCount - 1, this.position);
    }
    this.blocksSent += train.packets;
    return train.packets > 0;
  }

  /** How many more full blocks fit, with the last one of a chunk that is to go behind them. */
  #roomBeside(tail: CacheEntry | null): number {
    return tail === null ? this.#train.room : this.#train.room - 1;
  }

  /** The pass's next chunk, if it can be sent now. */
  get #sendableHead(): CacheEntry | undefined {
    const head = this.#head;
    return head === undefined || head.state !== 'ready' || head.zero ? undefined : head;
  }

  /** The pass's next chunk. V8 gives up optimized code that reads beyond an array's end. */
  get #head(): CacheEntry | undefined {
    return this.#ahead.length > 0 ? this.#ahead[0] : undefined;
  }

  #fillRepairs(): boolean {
    for (const repair of this.#repairs.values()) {
      const entry = this.#readyOf(repair.chunk);
      if (entry === null) continue;
      if (entry.zero) {
        this.#dropRepair(repair.chunk);
        this.#zeros.addChunk(repair.chunk);
        continue;
      }
      for (const block of repair.blocks) {
        if (this.#train.room === 0) break;
        this.#repairs.noteSent(repair, block, this.position);
        if (block >= entry.blockCount) {
          // Whoever asks for it holds a half of another encoding: only the whole chunk helps.
          this.#dropRepair(repair.chunk);
          this.#pending.add([{ first: repair.chunk, count: 1 }], this.position, [], true);
          break;
        }
        this.position = this.#train.add(Space.image, entry, block, this.position);
      }
      if (repair.blocks.size === 0) this.#dropRepair(repair.chunk);
      if (this.#train.room === 0) break;
    }
    this.blocksSent += this.#train.packets;
    return this.#train.packets > 0;
  }
}
