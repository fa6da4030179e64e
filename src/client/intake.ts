/** Takes block packets apart and puts the blocks where they belong. Runs once a packet. */
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
import { advancePosition } from '../protocol/position.js';
import { viewOf } from '../protocol/words.js';
import type { Asking } from './asking.js';
import type { Assembly } from './assembly.js';
import type { Collector } from './collector.js';
import type { Copy } from './copy.js';
import type { StreamCounters } from './counters.js';
import type { MapFetch } from './map-fetch.js';
import type { Storing } from './storing.js';

/** What came of a block packet. `page` and `root`: a part of the block map is complete. */
export type Taken = 'bad' | 'block' | 'page' | 'root';

export interface IntakeParts {
  copy: Copy;
  assembly: Assembly;
  asking: Asking;
  storing: Storing;
  mapFetch: MapFetch;
  counters: StreamCounters;
}

export class Intake {
  readonly #geometry: Geometry;
  readonly #copy: Copy;
  readonly #assembly: Assembly;
  readonly #asking: Asking;
  readonly #storing: Storing;
  readonly #mapFetch: MapFetch;
  readonly #counters: StreamCounters;
  readonly #wantsImage: boolean;
  blockSize: number;
  /** The half chunk that the packet taken last belongs to; null when the next one can't continue it. */
  #current: Collector | null = null;
  /** While a copy is read back, only what was read back counts. */
  ignoresUnchecked = false;

  /** @param wantsImage false when only the block map is wanted */
  constructor(parts: IntakeParts, blockSize: number, wantsImage: boolean) {
    this.#geometry = parts.copy.geometry;
    this.#copy = parts.copy;
    this.#assembly = parts.assembly;
    this.#asking = parts.asking;
    this.#storing = parts.storing;
    this.#mapFetch = parts.mapFetch;
    this.#counters = parts.counters;
    this.blockSize = blockSize;
    this.#wantsImage = wantsImage;
  }

  takeBlock(bytes: Buffer, offset: number, length: number, now: number): Taken {
    this.#current = null;
    if (length < BLOCK_HEADER_BYTES) return 'bad';
    const kindByte = kindByteOf(bytes, offset);
    const space = spaceOfKind(kindByte);
    const encodedLength = encodedLengthOf(bytes, offset);
    const block = blockOf(bytes, offset);
    const payloadBytes = length - BLOCK_HEADER_BYTES;
    if (
      payloadBytes === 0 ||
      block >= blockCountOf(encodedLength, this.blockSize) ||
      payloadBytes !== blockLengthOf(encodedLength, this.blockSize, block)
    ) {
      return 'bad';
    }
    const start = offset + BLOCK_HEADER_BYTES;
    const end = offset + length;
    const chunk = chunkOf(bytes, offset);
    const position = positionOf(bytes, offset);
    if (space === Space.image) {
      if (!this.#isPlausible(chunk, encodedLength, kindByte)) return 'bad';
      this.#counters.seen(position, length);
      this.#takeImageBlock(chunk, kindByte, encodedLength, block, position, bytes, start, end, now);
      return 'block';
    }
    if (space !== Space.mapPage && space !== Space.mapRoot) return 'bad';
    this.#counters.seen(position, length);
    const isWhole = this.#mapFetch.take(
      space,
      chunk,
      block,
      kindByte,
      encodedLength,
      this.blockSize,
      bytes,
      start,
      end,
      position,
      now,
    );
    if (!isWhole) return 'block';
    return space === Space.mapPage ? 'page' : 'root';
  }

  /**
   * Takes the packets that continue the block packet at `before`, which was taken last: of a
   * train all but the first. What holds for that one holds for them, so little is looked at.
   * What runs once a packet is apart, in loops of its own: beside what comes seldom, V8 would give up what it
   * has optimized.
   * @returns where the first packet begins that does not
   */
  takeRun(bytes: Buffer, before: number, length: number, end: number): number {
    const collector = this.#current;
    const counters = this.#counters;
    const next = before + length;
    // A single packet, of which no view is worth making.
    if (length > end - next) return next;
    // The last block may be shorter: it is for `takeBlock`.
    if (collector === null || length !== BLOCK_HEADER_BYTES + this.blockSize) return next;
    const firstBlock = blockOf(bytes, before) + 1;
    const most = Math.floor(collector.encodedLength / this.blockSize) - firstBlock;
    const count = countContinuing(viewOf(bytes), before, length, end, most);
    if (count === 0) return next;
    const added = collector.addRun(firstBlock, count, bytes, next + BLOCK_HEADER_BYTES, length);
    counters.blocksReceived += added;
    counters.blocksDuplicate += count - added;
    const position = positionOf(bytes, before);
    counters.seenRun(advancePosition(position, 1), count, length);
    collector.lastPosition = advancePosition(position, count);
    if (collector.isComplete) this.#complete(collector);
    return next + count * length;
  }

  #complete(collector: Collector): void {
    this.#current = null;
    this.#storing.complete(collector);
  }

  #isPlausible(chunk: number, encodedLength: number, kindByte: number): boolean {
    if (chunk >= this.#geometry.chunkCount) return false;
    const rawLength = this.#geometry.chunkLength(chunk);
    const encoding = encodingOfKind(kindByte);
    if (encoding === Encoding.raw) return encodedLength === rawLength;
    return encoding === Encoding.zstd && encodedLength < rawLength;
  }

  #takeImageBlock(
    chunk: number,
    kindByte: number,
    encodedLength: number,
    block: number,
    position: number,
    bytes: Buffer,
    start: number,
    end: number,
    now: number,
  ): void {
    const counters = this.#counters;
    if (
      !this.#wantsImage ||
      this.#copy.isSettled(chunk) ||
      (this.ignoresUnchecked && this.#copy.isUnchecked(chunk))
    ) {
      counters.blocksDuplicate++;
      return;
    }
    let collector = this.#assembly.find(chunk);
    if (
      collector !== undefined &&
      (collector.kindByte !== kindByte || collector.encodedLength !== encodedLength)
    ) {
      this.#assembly.abandon(collector);
      collector = undefined;
    }
    if (collector === undefined) {
      const opened = this.#assembly.open(
        chunk,
        kindByte,
        encodedLength,
        this.blockSize,
        this.#givenUp,
      );
      if (opened === null) {
        // Nowhere to put it: to the server this is a packet that did not arrive.
        counters.packetsReceived--;
        counters.packetsLost++;
        return;
      }
      collector = opened;
      this.#asking.halfBegun(now);
    }
    collector.lastPosition = position;
    collector.lastMs = now;
    if (!collector.add(block, bytes, start, end)) {
      counters.blocksDuplicate++;
      return;
    }
    counters.blocksReceived++;
    this.#current = collector;
    if (collector.isComplete) this.#complete(collector);
  }

  /** A half chunk lost its slot. The next pass, or the next idle status, brings it again. */
  readonly #givenUp = (chunk: number): void => {
    this.#asking.giveUp(chunk);
  };
}
