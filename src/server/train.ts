/**
 * Packs block packets back to back into one buffer: a train that crosses into the kernel in one
 * call. All packets of a train have the same length but the last, which may be shorter.
 */
import type { BlockFields } from '../protocol/block.js';
import { BLOCK_HEADER_BYTES, blockLengthOf, writeBlockHeader } from '../protocol/block.js';
import { highHalf, lowHalf } from '../protocol/packet.js';
import { advancePosition } from '../protocol/position.js';
import { LastView } from '../protocol/words.js';

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
  #isClosed = false;
  #out: Buffer = Buffer.alloc(0);
  readonly #view = new LastView();
  #mostBytes = 0;
  readonly #packetBytes: number;
  readonly #blockSize: number;
  readonly #sessionHigh: number;
  readonly #sessionLow: number;
  readonly #fields: BlockFields;
  /** Null when payloads are copied into the train, behind their headers. */
  readonly payloads: Payloads | null;

  /** @param gathers whether only headers are packed, and payloads left where they lie */
  constructor(session: bigint, blockSize: number, gathers = false) {
    this.payloads = gathers ? { bytes: [], starts: [], headerBytes: BLOCK_HEADER_BYTES } : null;
    this.#blockSize = blockSize;
    this.#packetBytes = BLOCK_HEADER_BYTES + blockSize;
    this.#sessionHigh = highHalf(session);
    this.#sessionLow = lowHalf(session);
    this.#fields = {
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
    this.#out = out;
    this.#mostBytes = Math.min(out.length, mostBytes);
    this.length = 0;
    this.packets = 0;
    this.#isClosed = false;
  }

  /** Whether another full packet fits; a train always takes one. */
  get hasRoom(): boolean {
    return this.packets === 0 || this.hasRoomFor(1);
  }

  /** Whether so many more full packets fit. */
  hasRoomFor(packets: number): boolean {
    return !this.#isClosed && this.length + packets * this.#packetBytes <= this.#mostBytes;
  }

  /** Adds one block. @param position its send position. @returns the position after it */
  add(space: BlockFields['space'], source: BlockSource, block: number, position: number): number {
    const payloadBytes = blockLengthOf(source.encodedLength, this.#blockSize, block);
    const fields = this.#fields;
    fields.chunk = source.chunk;
    fields.block = block;
    fields.position = position;
    fields.encodedLength = source.encodedLength;
    fields.space = space;
    fields.encoding = source.encoding;
    fields.variant = source.variant;
    const { payloads } = this;
    writeBlockHeader(
      this.#view.of(this.#out),
      payloads === null ? this.length : this.packets * BLOCK_HEADER_BYTES,
      this.#sessionHigh,
      this.#sessionLow,
      fields,
      payloadBytes,
    );
    const from = block * this.#blockSize;
    if (payloads === null) {
      source.bytes.copy(this.#out, this.length + BLOCK_HEADER_BYTES, from, from + payloadBytes);
    } else {
      payloads.bytes[this.packets] = source.bytes;
      payloads.starts[this.packets] = from;
    }
    this.length += BLOCK_HEADER_BYTES + payloadBytes;
    this.packets++;
    if (payloadBytes < this.#blockSize) this.#isClosed = true;
    return advancePosition(position, 1);
  }
}
