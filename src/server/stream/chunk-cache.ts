/**
 * Chunks in memory, encoded as they travel: read ahead of the pass, kept a while after for
 * repairs. A fixed number of slots of fixed memory, whatever the image's size.
 */

import { blockCountOf } from '../../protocol/block.js';

type EntryState = 'reading' | 'ready' | 'failed';

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
  /** Read as it is, for clients that hold an older version: whole, it had better be packed. */
  isPlain: boolean;
  /** How many users forbid that the slot is taken for another chunk. */
  pins: number;
  lastUsed: number;
}

export class ChunkCache {
  private readonly entries: CacheEntry[];
  private readonly byChunk = new Map<number, CacheEntry>();
  private readonly blockSize: number;
  private uses = 0;

  constructor(slots: readonly Buffer[], blockSize: number) {
    this.blockSize = blockSize;
    this.entries = slots.map((bytes, slot) => ({
      slot,
      chunk: -1,
      state: 'failed',
      bytes,
      encodedLength: 0,
      blockCount: 0,
      encoding: 0,
      variant: 0,
      zero: false,
      isPlain: false,
      pins: 0,
      lastUsed: 0,
    }));
  }

  get slotCount(): number {
    return this.entries.length;
  }

  /** The entry of a chunk that is read or being read. */
  find(chunk: number): CacheEntry | undefined {
    const entry = this.byChunk.get(chunk);
    if (entry !== undefined) entry.lastUsed = ++this.uses;
    return entry;
  }

  /** As `find`, to be sent whole. One that nobody waits for is forgotten if it is not packed. */
  findToSend(chunk: number): CacheEntry | undefined {
    const entry = this.find(chunk);
    const isInTheWay = entry?.isPlain === true && entry.pins === 0 && entry.state === 'ready';
    if (!isInTheWay) return entry;
    this.failed(entry);
    return undefined;
  }

  /** A slot for a chunk about to be read, the one longest unused; null when all are in use. */
  claim(chunk: number): CacheEntry | null {
    let oldest: CacheEntry | null = null;
    for (const entry of this.entries) {
      if (entry.pins > 0 || entry.state === 'reading') continue;
      if (oldest === null || entry.lastUsed < oldest.lastUsed) oldest = entry;
    }
    if (oldest === null) return null;
    this.forget(oldest);
    oldest.chunk = chunk;
    oldest.state = 'reading';
    oldest.zero = false;
    oldest.isPlain = false;
    oldest.lastUsed = ++this.uses;
    this.byChunk.set(chunk, oldest);
    return oldest;
  }

  entryOfSlot(slot: number): CacheEntry {
    return this.entries[slot]!;
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
    entry.blockCount = blockCountOf(encodedLength, this.blockSize);
    entry.encoding = encoding;
    entry.variant = variant;
    entry.zero = zero;
  }

  failed(entry: CacheEntry): void {
    entry.state = 'failed';
    this.forget(entry);
  }

  private forget(entry: CacheEntry): void {
    if (this.byChunk.get(entry.chunk) === entry) this.byChunk.delete(entry.chunk);
  }
}
