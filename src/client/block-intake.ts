/** Takes the stream apart and puts its blocks where they belong. Runs once a packet. */

import type { Geometry } from '../image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  blockLengthOf,
  blockOf,
  chunkOf,
  countContinuing,
  Encoding,
  encodedLengthOf,
  encodingOfKind,
  kindByteOf,
  positionOf,
  Space,
  spaceOfKind,
} from '../protocol/block.js';
import { decodeZeroRanges, type ImageDescription } from '../protocol/from-server.js';
import { highHalf, lowHalf, sessionHigh, sessionLow } from '../protocol/packet.js';
import { advancePosition } from '../protocol/position.js';
import { viewOf } from '../protocol/words.js';
import type { ChunkStates } from './copy/chunk-states.js';
import type { Assembly, PartialChunk } from './copy/partial-chunk.js';
import type { TargetWrites } from './copy/target-writes.js';
import type { MapFetch } from './map-fetch.js';
import type { StreamCounters } from './reports.js';

export class BlockIntake {
  private readonly geometry: Geometry;
  private blockSize = 1;
  private sessionHigh = 0;
  private sessionLow = 0;
  /** False when only the block map is wanted. */
  wantsImage = true;
  /** While a copy is read back, only what was read back counts. */
  ignoresUnchecked = false;
  /** The half chunk of the packet taken last; null when the next one can't continue it. */
  private current: PartialChunk | null = null;

  /**
   * @param mapPartCame is told when `MapFetch.lastPart` has become whole
   * @param sealBytes how much longer a chunk is when it travels
   */
  constructor(
    private readonly states: ChunkStates,
    private readonly assembly: Assembly,
    private readonly writes: TargetWrites,
    private readonly mapFetch: MapFetch,
    private readonly counters: StreamCounters,
    private readonly mapPartCame: (now: number) => void,
    private readonly sealBytes = 0,
  ) {
    this.geometry = states.geometry;
  }

  /** Begins a session of the image: blocks may be cut otherwise. */
  begin({ session, blockSize }: ImageDescription): void {
    this.blockSize = blockSize;
    this.sessionHigh = highHalf(session);
    this.sessionLow = lowHalf(session);
  }

  /** Whether a packet is of the session that is received. */
  isOwn(bytes: Buffer, offset: number): boolean {
    return (
      sessionLow(bytes, offset) === this.sessionLow &&
      sessionHigh(bytes, offset) === this.sessionHigh
    );
  }

  /** Takes the block packet `bytes[offset, offset + length)`. @returns false for one that is bad */
  takeBlock(bytes: Buffer, offset: number, length: number, now: number): boolean {
    this.current = null;
    if (length <= BLOCK_HEADER_BYTES) return false;
    const encodedLength = encodedLengthOf(bytes, offset);
    const block = blockOf(bytes, offset);
    if (
      block >= blockCountOf(encodedLength, this.blockSize) ||
      length - BLOCK_HEADER_BYTES !== blockLengthOf(encodedLength, this.blockSize, block)
    ) {
      return false;
    }
    const space = spaceOfKind(kindByteOf(bytes, offset));
    if (space === Space.image) {
      if (!this.isPlausible(chunkOf(bytes, offset), encodedLength, kindByteOf(bytes, offset))) {
        return false;
      }
      this.counters.seen(positionOf(bytes, offset), length);
      this.takeImageBlock(bytes, offset, length, now);
      return true;
    }
    if (space !== Space.mapPage && space !== Space.mapRoot) return false;
    this.counters.seen(positionOf(bytes, offset), length);
    if (this.mapFetch.take(bytes, offset, length, this.blockSize, now)) this.mapPartCame(now);
    return true;
  }

  /**
   * Takes the packets that continue the block packet at `before`, which was taken last: of a
   * train all but the first. What holds for that one holds for them, so little is looked at.
   * What runs once a packet is in loops of its own: see docs/HOT-PATHS.md, rule 3.
   * @returns where the first packet begins that does not
   */
  takeRun(bytes: Buffer, before: number, length: number, end: number): number {
    const { current, counters } = this;
    const next = before + length;
    // A single packet, of which no view is worth making.
    if (length > end - next) return next;
    // The last block may be shorter: it is for `takeBlock`.
    if (current === null || length !== BLOCK_HEADER_BYTES + this.blockSize) return next;
    const firstBlock = blockOf(bytes, before) + 1;
    const maxCount = Math.floor(current.encodedLength / this.blockSize) - firstBlock;
    const count = countContinuing(viewOf(bytes), before, length, end, maxCount);
    if (count === 0) return next;
    const added = current.addRun(firstBlock, count, bytes, next + BLOCK_HEADER_BYTES, length);
    counters.blocksReceived += added;
    counters.blocksDuplicate += count - added;
    const position = positionOf(bytes, before);
    counters.seenRun(advancePosition(position, 1), count, length);
    current.lastPosition = advancePosition(position, count);
    if (current.isComplete) this.complete(current);
    return next + count * length;
  }

  /** @returns false when it is malformed */
  takeZeroRanges(packet: Buffer): boolean {
    const zeros = decodeZeroRanges(packet);
    if (zeros === null) return false;
    const { chunkCount } = this.geometry;
    for (const { first, count } of zeros.ranges) {
      if (count === 0 || first >= chunkCount || count > chunkCount - first) return false;
    }
    this.counters.seen(zeros.position, packet.length);
    if (!this.wantsImage) return true;
    const kind = zeros.isFree ? 'free' : 'zero';
    for (const { first, count } of zeros.ranges) {
      this.writes.blank(kind, this.states.missingThatMayBe(kind, first, count));
    }
    return true;
  }

  private complete(partial: PartialChunk): void {
    this.current = null;
    this.writes.complete(partial);
  }

  private isPlausible(chunk: number, encodedLength: number, kindByte: number): boolean {
    if (chunk >= this.geometry.chunkCount) return false;
    const rawLength = this.geometry.chunkLength(chunk) + this.sealBytes;
    const encoding = encodingOfKind(kindByte);
    if (encoding === Encoding.raw) return encodedLength === rawLength;
    if (encoding !== Encoding.zstd || encodedLength >= rawLength) return false;
    return encodedLength > this.sealBytes;
  }

  private takeImageBlock(bytes: Buffer, offset: number, length: number, now: number): void {
    const { counters } = this;
    const chunk = chunkOf(bytes, offset);
    if (
      !this.wantsImage ||
      this.states.isSettled(chunk) ||
      !this.states.mayCome(chunk) ||
      (this.ignoresUnchecked && this.states.isUnchecked(chunk))
    ) {
      counters.blocksDuplicate++;
      return;
    }
    const partial = this.partialOf(
      chunk,
      kindByteOf(bytes, offset),
      encodedLengthOf(bytes, offset),
    );
    if (partial === null) {
      // Nowhere to put it: to the server this is a packet that did not arrive.
      counters.packetsReceived--;
      counters.packetsLost++;
      return;
    }
    partial.lastPosition = positionOf(bytes, offset);
    partial.lastMs = now;
    const start = offset + BLOCK_HEADER_BYTES;
    if (!partial.add(blockOf(bytes, offset), bytes, start, offset + length)) {
      counters.blocksDuplicate++;
      return;
    }
    counters.blocksReceived++;
    this.current = partial;
    if (partial.isComplete) this.complete(partial);
  }

  /** The half chunk that a block belongs to: blocks of two encodings do not mix. */
  private partialOf(chunk: number, kindByte: number, encodedLength: number): PartialChunk | null {
    const found = this.assembly.find(chunk);
    if (found !== undefined) {
      if (found.kindByte === kindByte && found.encodedLength === encodedLength) return found;
      this.assembly.abandon(found);
    }
    return this.assembly.open(chunk, kindByte, encodedLength, this.blockSize);
  }
}
