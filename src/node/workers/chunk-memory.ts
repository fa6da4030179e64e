/**
 * Memory for chunks, one slot each, which threads share. A slot begins where a page does, and has
 * room for a chunk with all its layers.
 */

import { maxEncodedBytesOf } from '../../codec/seal.js';
import { loadNative } from '../system/native.js';
import { bytesToPage, PAGE_BYTES } from './page-memory.js';

export class ChunkMemory {
  /** All of it, as threads hand it to each other. */
  readonly shared: SharedArrayBuffer;
  readonly slots: readonly Buffer[];
  /** From one slot to the next. */
  private readonly strideBytes: number;
  private readonly firstSlotOffset: number;

  constructor(slotCount: number, chunkBytes: number) {
    const slotBytes = maxEncodedBytesOf(chunkBytes);
    this.strideBytes = Math.ceil(slotBytes / PAGE_BYTES) * PAGE_BYTES;
    this.shared = new SharedArrayBuffer(slotCount * this.strideBytes + PAGE_BYTES);
    const bytes = loadNative()?.unshared(this.shared) ?? Buffer.from(this.shared);
    this.firstSlotOffset = bytesToPage(bytes);
    this.slots = Array.from({ length: slotCount }, (_, slot) =>
      bytes.subarray(this.offsetOf(slot), this.offsetOf(slot) + slotBytes),
    );
  }

  /** Where a slot begins in `shared`. */
  offsetOf(slot: number): number {
    return this.firstSlotOffset + slot * this.strideBytes;
  }
}
