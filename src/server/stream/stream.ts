/**
 * What goes to the group, in which order: parts of the block map first, since clients prove
 * chunks by them; then repairs and the pass over the pending chunks, in turns.
 */

import { Bitmap } from '../../image/bitmap.js';
import type { BlockMap, BlockMapBuilder } from '../../image/block-map.js';
import { BLOCK_HEADER_BYTES, blockCountOf, kindOf, Space } from '../../protocol/block.js';
import type { BlockRequest } from '../../protocol/from-client.js';
import { encodeZeroRanges } from '../../protocol/from-server.js';
import { countedPosition, wirePosition } from '../../protocol/position.js';
import { SEAL_BYTES } from '../../trust/seal.js';
import type { ReadOutcome } from '../outputs.js';
import type { ServerSealing } from '../sealing.js';
import { BlankRuns } from './blank-runs.js';
import { CheckQueue } from './check-queue.js';
import type { CacheEntry, ChunkCache } from './chunk-cache.js';
import { ChunkSupply, type StreamRead } from './chunk-supply.js';
import { MapSender } from './map-sender.js';
import { PendingImage } from './pending-image.js';
import { RepairQueue } from './repair-queue.js';
import { type Payloads, Train } from './train.js';

interface StreamConfig {
  session: bigint;
  blockSize: number;
  map: BlockMapBuilder;
  cache: ChunkCache;
  gathers: boolean;
  firstPosition: number;
  /** With a key: all of the stream is sealed with it. */
  sealing?: ServerSealing | null;
}

/** A chunk that lacks more than this share of its blocks is sent whole. */
const REPAIR_SHARE = 0.5;
/**
 * Only so short a run of zeros is remembered as sent, chunk by chunk: a long one would push all
 * else out of the memory, and costs one packet to send again.
 */
const MAX_NOTED_RUN = 16;

export class Stream {
  /** UDP payload of a full block packet. */
  readonly packetBytes: number;
  /** Next send position, counted: the wire carries it modulo 2^32. */
  position: number;
  blocksSent = 0;

  private readonly config: StreamConfig;
  private readonly sealing: ServerSealing | null;
  private readonly sealBytes: number;
  private readonly train: Train;
  private readonly pending: PendingImage;
  private readonly mapSender: MapSender;
  /** Chunks that went out at least once. */
  private readonly everSent: Bitmap;
  private readonly blanks = new BlankRuns();
  private readonly repairs = new RepairQueue();
  private readonly checks: CheckQueue;
  private readonly supply: ChunkSupply;
  /** Next block of the chunk being sent. */
  private block = 0;
  private isRepairsTurn = true;

  constructor(config: StreamConfig) {
    this.config = config;
    this.position = config.firstPosition;
    this.packetBytes = BLOCK_HEADER_BYTES + config.blockSize;
    this.train = new Train(config.session, config.blockSize, config.gathers);
    this.checks = new CheckQueue(config.session, config.blockSize);
    const { chunkCount } = config.map.geometry;
    this.pending = new PendingImage(chunkCount);
    this.everSent = new Bitmap(chunkCount);
    this.sealing = config.sealing ?? null;
    this.sealBytes = this.sealing === null ? 0 : SEAL_BYTES;
    this.mapSender = new MapSender(config.map, config.blockSize, this.sealing);
    this.supply = new ChunkSupply(config.cache, config.map, {
      pending: this.pending,
      blanks: this.blanks,
      repairs: this.repairs,
      checks: this.checks,
    });
  }

  /** Of the train that was packed last; null when they are in it. */
  get payloads(): Payloads | null {
    return this.train.packets > 0 ? this.train.payloads : null;
  }

  /** Length of each packet but the last of what was packed last: `length` of a single packet. */
  trainPacketBytes(length: number): number {
    return this.train.packets > 0 ? this.packetBytes : length;
  }

  /** @param isAwaited clients wait for it: once the pass is over, they get the root unasked */
  setMap(map: BlockMap, isAwaited: boolean): void {
    this.mapSender.setMap(map, isAwaited);
  }

  get mapId(): Buffer | null {
    return this.mapSender.mapId;
  }

  /** The chunk being sent, or the one at which the pass goes on. */
  get cursor(): number {
    return this.supply.head?.chunk ?? this.pending.cursor;
  }

  /** Passes begun so far. */
  get pass(): number {
    return this.pending.pass;
  }

  get pendingChunks(): number {
    return this.pending.count + this.supply.aheadCount;
  }

  isPending(chunk: number): boolean {
    return this.pending.has(chunk) || this.supply.isAhead(chunk);
  }

  wasSent(chunk: number): boolean {
    return this.everSent.has(chunk);
  }

  /** Nothing is left to send. */
  get isIdle(): boolean {
    return (
      this.pendingChunks === 0 &&
      this.blanks.isEmpty &&
      this.repairs.isEmpty &&
      this.checks.isEmpty &&
      this.mapSender.isEmpty &&
      !this.mapSender.hasOffer
    );
  }

  /** What nobody asked for yet comes behind the pass. */
  private get mayOffer(): boolean {
    return this.mapSender.hasOffer && this.pendingChunks === 0;
  }

  /** Something can be sent without waiting for a read. */
  get hasBlocks(): boolean {
    if (!this.mapSender.isEmpty || !this.blanks.isEmpty) return true;
    if (this.mayOffer) return true;
    if (this.supply.head !== undefined && this.supply.head.state !== 'reading') return true;
    return this.supply.canMend;
  }

  /**
   * Merges a client's request into what is pending.
   * @param isFollowed repairs may go ahead of the pass
   * @returns how many chunks it adds to what will be sent; of repairs, the share of a chunk
   */
  ask(request: BlockRequest, isFollowed: boolean): number {
    const asOfPosition = countedPosition(this.position, request.asOfPosition);
    if (request.space !== Space.image) return this.mapSender.ask(request, asOfPosition);
    const { ranges, halves } = request;
    const underway = this.supply.underway(this.block > 0);
    let added = this.pending.add(ranges, asOfPosition, underway, isFollowed);
    const { geometry } = this.config.map;
    for (const { chunk, runs } of halves) {
      if (!geometry.hasChunk(chunk)) continue;
      // It is never read, whatever a client thinks to hold of it.
      if (this.config.map.isFree(chunk)) {
        added += this.pending.add([{ first: chunk, count: 1 }], asOfPosition, [], isFollowed);
        continue;
      }
      if (runs.length === 0) {
        if (this.checks.add(chunk, asOfPosition)) added++;
        continue;
      }
      if (underway.includes(chunk)) continue;
      if (this.pending.isFollowed(chunk)) continue;
      const longestBytes = geometry.chunkLength(chunk) + this.sealBytes;
      const blockCount = blockCountOf(longestBytes, this.config.blockSize);
      // Of the chunk that is being sent, the rest comes anyway.
      const isHead = this.block > 0 && this.supply.head?.chunk === chunk;
      const end = isHead ? this.block : blockCount;
      const wanted = isFollowed ? this.repairs.add(chunk, runs, asOfPosition, end) : -1;
      if (wanted >= 0 && wanted <= Math.max(1, blockCount * REPAIR_SHARE)) {
        added += wanted / blockCount;
        continue;
      }
      this.supply.dropRepair(chunk);
      const whole = [{ first: chunk, count: 1 }];
      added += this.pending.add(whole, asOfPosition, underway, isFollowed);
    }
    return added;
  }

  /** Next chunk to read; null for now. */
  pollRead(): StreamRead | null {
    return this.supply.pollRead();
  }

  /** Takes what came of a read order. */
  handleRead(slot: number, outcome: ReadOutcome, isPlain = false): void {
    this.supply.handleRead(slot, outcome, isPlain);
  }

  /** Packs the next train, or a packet of zero ranges. @returns its bytes, 0 for nothing to send */
  fill(out: Buffer, mostBytes: number): number {
    this.train.begin(out, mostBytes);
    this.skipUnsendable();
    // Before anything else: a status tells clients that all chunks before the cursor went out.
    if (!this.blanks.isEmpty) return this.writeBlanks(out);
    this.position = this.mapSender.fill(this.train, this.position);
    if (this.train.packets > 0) return this.train.length;
    const checkBytes = this.writeChecks(out);
    if (checkBytes > 0) return checkBytes;
    const [first, second] = this.isRepairsTurn
      ? [this.fillRepairs, this.fillPass]
      : [this.fillPass, this.fillRepairs];
    this.isRepairsTurn = !this.isRepairsTurn;
    if (first.call(this) || second.call(this)) return this.train.length;
    if (!this.mayOffer) return 0;
    this.position = this.mapSender.fillOffer(this.train, this.position);
    return this.train.length;
  }

  /** Nobody listens any more: what was asked for is wanted no longer. */
  forget(): void {
    this.supply.forget();
    this.block = 0;
    this.blanks.clear();
    this.mapSender.clear();
    this.pending.clear();
  }

  private writeBlanks(out: Buffer): number {
    const { isFree, ranges } = this.blanks.take();
    const { session } = this.config;
    const position = wirePosition(this.position);
    const packet = encodeZeroRanges({ session, position, isFree, ranges });
    for (const { first, count } of ranges) {
      this.everSent.setRange(first, count);
      if (count > MAX_NOTED_RUN) continue;
      for (let i = 0; i < count; i++) this.pending.noteSent(first + i, this.position);
    }
    this.position++;
    return this.sealed(packet).copy(out);
  }

  private sealed(packet: Buffer): Buffer {
    return this.sealing?.seal(packet, true) ?? packet;
  }

  /** @returns the bytes of a packet of checks, 0 when none can be sent now */
  private writeChecks(out: Buffer): number {
    if (this.checks.isEmpty) return 0;
    for (const chunk of this.checks.chunks()) {
      const entry = this.supply.readyOf(chunk);
      if (entry === null) continue;
      if (entry.zero) {
        this.supply.dropChecks(chunk);
        this.blanks.addChunk(false, chunk);
        continue;
      }
      const kindByte = kindOf(Space.image, entry.encoding, entry.variant);
      const { bytes, isLast } = this.checks.write(entry, kindByte, this.position);
      this.position++;
      if (isLast) this.supply.dropChecks(chunk);
      return this.sealed(bytes).copy(out);
    }
    return 0;
  }

  /** Drops chunks at the head of the pass that turned out zero or unreadable. */
  private skipUnsendable(): void {
    for (let head = this.supply.head; head !== undefined; head = this.supply.head) {
      if (head.state === 'reading' || (head.state === 'ready' && !head.zero)) return;
      if (head.zero) {
        if (this.blanks.isFull) return;
        this.blanks.addChunk(false, head.chunk);
      }
      this.leaveHead();
    }
  }

  private leaveHead(): void {
    this.supply.leaveHead();
    this.block = 0;
  }

  /**
   * A shorter last block of a chunk ends a train: it goes behind the next chunk's blocks that have
   * room.
   */
  private fillPass(): boolean {
    const train = this.train;
    let tail: CacheEntry | null = null;
    for (let head = this.supply.sendableHead; head !== undefined; head = this.supply.sendableHead) {
      const room = this.roomBeside(tail);
      if (room <= 0) break;
      if (this.block === 0) this.pending.noteSent(head.chunk, this.position);
      if (this.block === 0) this.everSent.set(head.chunk);
      const fullBlocks = Math.floor(head.encodedLength / this.config.blockSize);
      const count = Math.min(fullBlocks - this.block, room);
      this.position = train.addRun(Space.image, head, this.block, count, this.position);
      this.block += count;
      if (this.block < fullBlocks) break;
      if (fullBlocks < head.blockCount) {
        if (tail !== null || train.room === 0) break;
        tail = head;
      }
      this.leaveHead();
    }
    if (tail !== null) {
      this.position = train.add(Space.image, tail, tail.blockCount - 1, this.position);
    }
    this.blocksSent += train.packets;
    return train.packets > 0;
  }

  /** How many more full blocks fit, with the last one of a chunk that is to go behind them. */
  private roomBeside(tail: CacheEntry | null): number {
    return tail === null ? this.train.room : this.train.room - 1;
  }

  private fillRepairs(): boolean {
    for (const repair of this.repairs.values()) {
      const entry = this.supply.readyOf(repair.chunk);
      if (entry === null) continue;
      if (entry.zero) {
        this.supply.dropRepair(repair.chunk);
        this.blanks.addChunk(false, repair.chunk);
        continue;
      }
      for (const block of repair.blocks) {
        if (this.train.room === 0) break;
        this.repairs.noteSent(repair, block, this.position);
        if (block >= entry.blockCount) {
          // Whoever asks for it holds a half of another encoding: only the whole chunk helps.
          this.supply.dropRepair(repair.chunk);
          this.pending.add([{ first: repair.chunk, count: 1 }], this.position, [], true);
          break;
        }
        this.position = this.train.add(Space.image, entry, block, this.position);
      }
      if (repair.blocks.size === 0) this.supply.dropRepair(repair.chunk);
      if (this.train.room === 0) break;
    }
    this.blocksSent += this.train.packets;
    return this.train.packets > 0;
  }
}
