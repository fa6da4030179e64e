/**
 * Packs block packets back to back into one buffer: a train that crosses into the kernel in one
 * call. All packets of a train have the same length but the last, which may be shorter.
 */

import {
  BLOCK_HEADER_BYTES,
  type BlockFields,
  blockLengthOf,
  writeBlockHeader,
} from '../../protocol/block.js';
import { highHalf, lowHalf } from '../../protocol/packet.js';
import { viewOf } from '../../protocol/words.js';

/** A chunk (or map page) as a source of blocks. */
export interface BlockSource {
  chunk: number;
  bytes: Buffer;
  encodedLength: number;
  blockCount: number;
  encoding: 0 | 1;
  variant: number;
}

/** Payloads of a train's packets, left where they lie for a sender that gathers them. */
export interface Payloads {
  /** Of each packet, what its payload is a part of, and where in that it begins. */
  readonly bytes: Buffer[];
  readonly starts: number[];
  /** The headers lie one after the other in the train's buffer. */
  readonly headerBytes: number;
}

export class Train {
  /** Bytes packed so far. */
  length = 0;
  packets = 0;
  private isClosed = false;
  private out: Buffer = Buffer.alloc(0);
  private words: DataView = viewOf(this.out);
  private mostBytes = 0;
  private readonly packetBytes: number;
  private readonly blockSize: number;
  private readonly sessionHigh: number;
  private readonly sessionLow: number;
  private readonly fields: BlockFields;
  /** Null when payloads are copied into the train, behind their headers. */
  readonly payloads: Payloads | null;

  /** @param gathers whether only headers are packed, and payloads left where they lie */
  constructor(session: bigint, blockSize: number, gathers = false) {
    this.payloads = gathers ? { bytes: [], starts: [], headerBytes: BLOCK_HEADER_BYTES } : null;
    this.blockSize = blockSize;
    this.packetBytes = BLOCK_HEADER_BYTES + blockSize;
    this.sessionHigh = highHalf(session);
    this.sessionLow = lowHalf(session);
    this.fields = {
      chunk: 0,
      block: 0,
      position: 0,
      encodedLength: 0,
      space: 0,
      encoding: 0,
      variant: 0,
    };
  }

  begin(out: Buffer, mostBytes: number): void {
    this.out = out;
    this.words = viewOf(out);
    this.mostBytes = Math.min(out.length, mostBytes);
    this.length = 0;
    this.packets = 0;
    this.isClosed = false;
  }

  /** How many more full packets fit; an empty train always takes one. */
  get room(): number {
    if (this.isClosed) return 0;
    const fitting = Math.floor((this.mostBytes - this.length) / this.packetBytes);
    return Math.max(this.packets === 0 ? 1 : 0, fitting);
  }

  /**
   * Adds `count` full blocks from block `first` on, for which there must be room.
   * @param position send position of the first. @returns the position after them
   */
  addRun(
    space: BlockFields['space'],
    source: BlockSource,
    first: number,
    count: number,
    position: number,
  ): number {
    this.describe(space, source);
    for (let i = 0; i < count; i++) {
      this.put(source, first + i, position + i, this.blockSize);
    }
    return position + count;
  }

  /** Adds one block. @param position its send position. @returns the position after it */
  add(space: BlockFields['space'], source: BlockSource, block: number, position: number): number {
    const payloadBytes = blockLengthOf(source.encodedLength, this.blockSize, block);
    this.describe(space, source);
    this.put(source, block, position, payloadBytes);
    if (payloadBytes < this.blockSize) this.isClosed = true;
    return position + 1;
  }

  /** What the headers of all blocks of `source` have in common. */
  private describe(space: BlockFields['space'], source: BlockSource): void {
    const fields = this.fields;
    fields.chunk = source.chunk;
    fields.encodedLength = source.encodedLength;
    fields.space = space;
    fields.encoding = source.encoding;
    fields.variant = source.variant;
  }

  private put(source: BlockSource, block: number, position: number, payloadBytes: number): void {
    const { payloads } = this;
    const fields = this.fields;
    fields.block = block;
    fields.position = position;
    writeBlockHeader(
      this.words,
      payloads === null ? this.length : this.packets * BLOCK_HEADER_BYTES,
      this.sessionHigh,
      this.sessionLow,
      fields,
      payloadBytes,
    );
    const from = block * this.blockSize;
    if (payloads === null) {
      source.bytes.copy(this.out, this.length + BLOCK_HEADER_BYTES, from, from + payloadBytes);
    } else {
      payloads.bytes[this.packets] = source.bytes;
      payloads.starts[this.packets] = from;
    }
    this.length += BLOCK_HEADER_BYTES + payloadBytes;
    this.packets++;
  }
}
