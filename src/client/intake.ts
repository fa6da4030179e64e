/** Takes block packets apart and puts the blocks where they belong. Runs once a packet. */
import type { Geometry } from '../image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  blockLengthOf,
  blockOf,
  chunkOf,
  continuesBlock,
  Encoding,
  encodedLengthOf,
  encodingOfKind,
  kindByteOf,
  positionOf,
  Space,
  spaceOfKind,
} from '../protocol/block.js';
import { advancePosition, positionsBetween } from '../protocol/position.js';
import type { Asking } from './asking.js';
import type { Assembly } from './assembly.js';
import type { Collector } from './collector.js';
import type { Copy } from './copy.js';
import type { StreamCounters } from './counters.js';
import { type Landing, LandingPlace } from './landing.js';
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
  readonly #place = new LandingPlace();
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
      now,
    );
    if (!isWhole) return 'block';
    return space === Space.mapPage ? 'page' : 'root';
  }

  /**
   * Takes the packets that continue the block packet at `before`, which was taken last: of a
   * train all but the first. What holds for that one holds for them, so little is looked at.
   * @returns where the first packet begins that does not
   */
  takeRun(bytes: Buffer, before: number, length: number, end: number): number {
    const collector = this.#current;
    const counters = this.#counters;
    const next = before + length;
    // The last block may be shorter: it is for `takeBlock`.
    if (collector === null || length !== BLOCK_HEADER_BYTES + this.blockSize) return next;
    if (counters.position !== advancePosition(positionOf(bytes, before), 1)) return next;
    const firstBlock = blockOf(bytes, before) + 1;
    const mostBlocks = Math.floor(collector.encodedLength / this.blockSize);
    let block = firstBlock;
    let offset = next;
    for (; block < mostBlocks && end - offset >= length; block++) {
      if (!continuesBlock(bytes, offset - length, offset, length)) break;
      if (collector.add(block, bytes, offset + BLOCK_HEADER_BYTES, offset + length)) {
        counters.blocksReceived++;
      } else {
        counters.blocksDuplicate++;
      }
      offset += length;
    }
    if (block === firstBlock) return next;
    this.#noteRun(collector, block - firstBlock, length * (block - firstBlock));
    return offset;
  }

  /** Where the next blocks may land; null when that cannot be foreseen. */
  landing(): Landing | null {
    const place = this.#place;
    const current = this.#current;
    const isOpen = current !== null && this.#assembly.find(current.chunk) === current;
    if (isOpen && place.behind(current, this.blockSize)) return place;
    const { nextFree } = this.#assembly;
    return nextFree !== null && place.fresh(nextFree, this.blockSize) ? place : null;
  }

  /**
   * Takes a train that landed where `landing` said last.
   * @param headers of its packets, one after the other
   * @returns false when it does not belong there: nothing was taken
   */
  takeLanded(headers: Buffer, lengthBytes: number, now: number): boolean {
    const place = this.#place;
    const counters = this.#counters;
    const kindByte = kindByteOf(headers, 0);
    const encodedLength = encodedLengthOf(headers, 0);
    const position = positionOf(headers, 0);
    const chunk = chunkOf(headers, 0);
    if (spaceOfKind(kindByte) !== Space.image) return false;
    if (!this.#isPlausible(chunk, encodedLength, kindByte) || !this.#isWanted(chunk)) return false;
    if (positionsBetween(counters.position, position) < 0) return false;
    if (!place.fits(headers, lengthBytes)) return false;
    let collector: Collector | null = place.half;
    if (collector === null) {
      if (this.#assembly.find(chunk) !== undefined) return false;
      collector = this.#open(chunk, kindByte, encodedLength, now);
      if (collector?.bytes !== place.bytes) throw new Error('landed in memory of another chunk');
    }
    const packets = Math.ceil(lengthBytes / (BLOCK_HEADER_BYTES + place.blockSize));
    collector.addLanded(blockOf(headers, 0), packets);
    counters.blocksReceived += packets;
    counters.know(position);
    collector.lastMs = now;
    this.#current = collector;
    this.#noteRun(collector, packets, lengthBytes);
    return true;
  }

  /** Notes packets that came in one go, from the position that was due. */
  #noteRun(collector: Collector, packets: number, lengthBytes: number): void {
    this.#counters.seenRun(packets, lengthBytes);
    collector.lastPosition = advancePosition(this.#counters.position, -1);
    if (collector.isComplete) this.#complete(collector);
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
    if (!this.#isWanted(chunk)) {
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
      const opened = this.#open(chunk, kindByte, encodedLength, now);
      if (opened === null) {
        // Nowhere to put it: to the server this is a packet that did not arrive.
        counters.packetsReceived--;
        counters.packetsLost++;
        return;
      }
      collector = opened;
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

  #isWanted(chunk: number): boolean {
    if (!this.#wantsImage || this.#copy.isSettled(chunk)) return false;
    return !(this.ignoresUnchecked && this.#copy.isUnchecked(chunk));
  }

  #open(chunk: number, kindByte: number, encodedLength: number, now: number): Collector | null {
    const { blockSize } = this;
    const opened = this.#assembly.open(chunk, kindByte, encodedLength, blockSize, this.#givenUp);
    if (opened !== null) this.#asking.halfBegun(now);
    return opened;
  }

  /** A half chunk lost its slot. The next pass, or the next idle status, brings it again. */
  readonly #givenUp = (chunk: number): void => {
    this.#asking.giveUp(chunk);
  };
}
