/**
 * Where the blocks that come next will most likely belong: a pass sends a chunk's blocks in order, and
 * one chunk after the other. A driver that can have the kernel put payloads where it likes lets
 * them land there, and they need not be copied. What proves to be something else is taken as usual.
 */
import {
  BLOCK_HEADER_BYTES,
  blockLengthOf,
  blockOf,
  chunkOf,
  continuesBlock,
  encodedLengthOf,
  kindByteOf,
} from '../protocol/block.js';
import { packetLength } from '../protocol/packet.js';
import type { Collector } from './collector.js';

/** Free memory for the payloads of the next blocks, which lie one after the other. */
export interface Landing {
  bytes: Buffer;
  startOffset: number;
  /** Length of each but the last of a chunk. */
  blockSize: number;
  /** How many there may be. */
  blockCount: number;
}

/** A place in a half chunk, or in memory for a new one. */
export class LandingPlace implements Landing {
  bytes: Buffer = Buffer.alloc(0);
  startOffset = 0;
  blockSize = 1;
  blockCount = 0;
  /** The half chunk that goes on here; null when a new one begins. */
  half: Collector | null = null;

  /** The place behind the last block of a half chunk. @returns whether any is missing there */
  behind(half: Collector, blockSize: number): boolean {
    this.half = half;
    return this.#set(half.bytes, half.endBlock, half.blockCount, blockSize);
  }

  /** The place for a chunk that has not begun. */
  fresh(bytes: Buffer, blockSize: number): boolean {
    this.half = null;
    return this.#set(bytes, 0, Math.ceil(bytes.length / blockSize), blockSize);
  }

  #set(bytes: Buffer, first: number, end: number, blockSize: number): boolean {
    this.bytes = bytes;
    this.startOffset = first * blockSize;
    this.blockSize = blockSize;
    this.blockCount = end - first;
    return this.blockCount > 0;
  }

  /**
   * Whether what landed here is a train of blocks that belongs here, to the last byte.
   * @param headers of its packets, one after the other
   * @param lengthBytes of the whole train
   */
  fits(headers: Buffer, lengthBytes: number): boolean {
    const { blockSize, half } = this;
    const packetBytes = BLOCK_HEADER_BYTES + blockSize;
    const packets = Math.ceil(lengthBytes / packetBytes);
    const encodedLength = encodedLengthOf(headers, 0);
    const block = blockOf(headers, 0);
    if (block * blockSize !== this.startOffset || packets > this.blockCount) return false;
    if ((block + packets - 1) * blockSize >= encodedLength) return false;
    if (half !== null) {
      if (half.chunk !== chunkOf(headers, 0) || half.encodedLength !== encodedLength) return false;
      if (half.kindByte !== kindByteOf(headers, 0)) return false;
    }
    const last = blockLengthOf(encodedLength, blockSize, block + packets - 1);
    const lastBytes = BLOCK_HEADER_BYTES + last;
    if ((packets - 1) * packetBytes + lastBytes !== lengthBytes) return false;
    const firstBytes = packets === 1 ? lastBytes : packetBytes;
    if (packetLength(headers, 0, lengthBytes) !== firstBytes) return false;
    for (let packet = 1; packet < packets; packet++) {
      const offset = packet * BLOCK_HEADER_BYTES;
      const length = packet === packets - 1 ? lastBytes : packetBytes;
      if (!continuesBlock(headers, offset - BLOCK_HEADER_BYTES, offset, length)) return false;
    }
    return true;
  }
}
