/** Memory for chunks, one slot each, which threads share. */
import { loadNative } from '../native.js';
import { bytesToPage, PAGE_BYTES } from './page-memory.js';

export class ChunkMemory {
  /** All of it, as threads hand it to each other. */
  readonly shared: SharedArrayBuffer;
  readonly slots: readonly Buffer[];
  readonly #slotBytes: number;
  readonly #firstSlotOffset: number;

  constructor(slotCount: number, slotBytes: number) {
    this.shared = new SharedArrayBuffer(slotCount * slotBytes + PAGE_BYTES);
    const bytes = loadNative()?.unshared(this.shared) ?? Buffer.from(this.shared);
    this.#slotBytes = slotBytes;
    this.#firstSlotOffset = bytesToPage(bytes);
    this.slots = Array.from({ length: slotCount }, (_, slot) =>
      bytes.subarray(this.offsetOf(slot), this.offsetOf(slot + 1)),
    );
  }

  /** Where a slot begins in `shared`. */
  offsetOf(slot: number): number {
    return this.#firstSlotOffset + slot * this.#slotBytes;
  }
}
