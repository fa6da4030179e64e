/**
 * Chunks in memory, encoded as they travel: read ahead of the pass, kept a while after for
 * repairs. A fixed number of slots of fixed memory, whatever the image's size.
 */
import { blockCountOf } from '../protocol/block.js';

export type EntryState = 'reading' | 'ready' | 'failed';

export interface CacheEntry {
  readonly slot: number;
  chunk: number;
  state: EntryState;
  /** The slot's memory, or the block map's own for map pages. */
  bytes: Buffer;
  encodedLength: number;
  blockCount: number;
  /** Encoding and variant as the wire has them. */
  encoding: 0 | 1;
  variant: number;
  /** Found to be all zeros: nothing to send but the fact. */
  zero: boolean;
  /** How many users forbid that the slot is taken for another chunk. */
  pins: number;
  lastUsed: number;
}

export class ChunkCache {
  readonly #entries: CacheEntry[];
  readonly #byChunk = new Map<number, CacheEntry>();
  readonly #blockSize: number;
  #uses = 0;

  constructor(slots: readonly Buffer[], blockSize: number) {
    this.#blockSize = blockSize;
    this.#entries = slots.map((bytes, slot) => ({
      slot,
      chunk: -1,
      state: 'failed',
      bytes,
      encodedLength: 0,
      blockCount: 0,
      encoding: 0,
      variant: 0,
      zero: false,
      pins: 0,
      lastUsed: 0,
    }));
  }

  get slotCount(): number {
    return this.#entries.length;
  }

  /** The entry of a chunk that is read or being read. */
  find(chunk: number): CacheEntry | undefined {
    const entry = this.#byChunk.get(chunk);
    if (entry !== undefined) entry.lastUsed = ++this.#uses;
    return entry;
  }

  /** A slot for a chunk about to be read, the one longest unused; null when all are in use. */
  claim(chunk: number): CacheEntry | null {
    let oldest: CacheEntry | null = null;
    for (const entry of this.#entries) {
      if (entry.pins > 0 || entry.state === 'reading') continue;
      if (oldest === null || entry.lastUsed < oldest.lastUsed) oldest = entry;
    }
    if (oldest === null) return null;
    this.#forget(oldest);
    oldest.chunk = chunk;
    oldest.state = 'reading';
    oldest.zero = false;
    oldest.lastUsed = ++this.#uses;
    this.#byChunk.set(chunk, oldest);
    return oldest;
  }

  entryOfSlot(slot: number): CacheEntry {
    return this.#entries[slot]!;
  }

  ready(
    entry: CacheEntry,
    encodedLength: number,
    encoding: 0 | 1,
    variant: number,
    zero: boolean,
  ): void {
    entry.state = 'ready';
    entry.encodedLength = encodedLength;
    entry.blockCount = blockCountOf(encodedLength, this.#blockSize);
    entry.encoding = encoding;
    entry.variant = variant;
    entry.zero = zero;
  }

  failed(entry: CacheEntry): void {
    entry.state = 'failed';
    this.#forget(entry);
  }

  #forget(entry: CacheEntry): void {
    if (this.#byChunk.get(entry.chunk) === entry) this.#byChunk.delete(entry.chunk);
  }
}
