/**
 * The layer of compression: a chunk is packed where that saves something, and travels raw
 * elsewhere.
 */
import { Encoding, type EncodingId } from '../protocol/block.js';
import { writeSparseFrame } from './sparse-frame.js';
import type { Zstd } from './zstd.js';

/** What became of a chunk, in its place. */
export interface Packed {
  encodedLength: number;
  encoding: EncodingId;
  variant: number;
}

/** A chunk that shrinks by less is not worth the clients' work. */
const MIN_SAVING = 0.03;
/** Samples of a chunk: of file systems' chunks, fewer missed one in twenty that shrinks. */
const SAMPLES = 8;
const SAMPLE_BYTES = 4096;
const SAMPLE_LEVEL = 1;
/** After so many chunks in a row that did not shrink, not every one is tried. */
const PATIENCE = 4;
const MAX_SKIPPED = 7;
const VARIANT_MASK = 0xf;
/** Of frames that no level of compression has made: see `sparse-frame.ts`. */
const SPARSE_VARIANT = 0;

interface PackOptions {
  level: number;
  isRepeat: boolean;
  /** Where each run that is unused, and zeros, begins and ends; null for none. */
  unused?: readonly number[] | null;
  isPlain?: boolean;
}

/** Frames of data that does not shrink are a little longer than the data. */
const boundOf = (lengthBytes: number): number => lengthBytes + (lengthBytes >> 7) + 128;

/** What is packed to more is not worth it. */
const mostBytesOf = (chunk: Buffer): number => chunk.length * (1 - MIN_SAVING);

/** The level in the four bits of a variant; a session uses a level above 15 alone. */
export const variantOf = (level: number): number => Math.min(level, VARIANT_MASK);

const rawOf = (chunk: Buffer): Packed => ({
  encodedLength: chunk.length,
  encoding: Encoding.raw,
  variant: 0,
});

/** Of one thread: it keeps memory to compress into, and count of what shrank lately. */
export class Compression {
  private scratch = Buffer.alloc(0);
  private vain = 0;
  private skipped = 0;

  /** @param zstd null where chunks are to travel raw */
  constructor(private readonly zstd: Zstd | null) {}

  /** Compresses a chunk in its place, where that saves something. */
  pack(chunk: Buffer, { level, isRepeat, isPlain, unused }: PackOptions): Packed {
    const { zstd } = this;
    if (isPlain) return rawOf(chunk);
    if (zstd === null || level === 0) return this.leaveOut(chunk, unused);
    if (!isRepeat && !this.isWorthIt(chunk, zstd)) return this.leaveOut(chunk, unused);
    const scratch = this.room(chunk.length);
    const length = zstd.compress(chunk, scratch, level);
    if (length < 0 || length >= mostBytesOf(chunk)) return this.leaveOut(chunk, unused);
    scratch.copy(chunk, 0, 0, length);
    this.vain = 0;
    return { encodedLength: length, encoding: Encoding.zstd, variant: variantOf(level) };
  }

  /** Without a compressor: what is unused need not travel all the same. */
  private leaveOut(chunk: Buffer, unused: readonly number[] | null | undefined): Packed {
    if (!unused) return rawOf(chunk);
    const scratch = this.room(chunk.length);
    const length = writeSparseFrame(chunk, unused, scratch, mostBytesOf(chunk));
    if (length < 0) return rawOf(chunk);
    scratch.copy(chunk, 0, 0, length);
    return { encodedLength: length, encoding: Encoding.zstd, variant: SPARSE_VARIANT };
  }

  canUnpack(encoding: EncodingId): boolean {
    return encoding === Encoding.raw || this.zstd !== null;
  }

  /**
   * The inverse of `pack`.
   * @param out as long as the chunk; of a raw one, `packed` itself
   * @returns whether it was one
   */
  unpack(packed: Buffer, encoding: EncodingId, out: Buffer): boolean {
    if (encoding === Encoding.raw) return true;
    return this.zstd?.decompress(packed, out) ?? false;
  }

  /**
   * Tries small samples first: what is compressed or encrypted already must cost next to nothing.
   */
  private isWorthIt(chunk: Buffer, zstd: Zstd): boolean {
    if (chunk.length < 2 * SAMPLES * SAMPLE_BYTES) return true;
    if (this.skipped < Math.min(Math.floor(this.vain / PATIENCE), MAX_SKIPPED)) {
      this.skipped++;
      return false;
    }
    this.skipped = 0;
    const last = chunk.length - SAMPLE_BYTES;
    for (let i = 0; i < SAMPLES; i++) {
      // Not in order: neighbours are much alike, and one that shrinks is enough.
      const at = Math.floor((last * ((i * 3) % SAMPLES)) / (SAMPLES - 1));
      const sample = chunk.subarray(at, at + SAMPLE_BYTES);
      const length = zstd.compress(sample, this.room(SAMPLE_BYTES), SAMPLE_LEVEL);
      if (length >= 0 && length < SAMPLE_BYTES * (1 - MIN_SAVING)) return true;
    }
    this.vain++;
    return false;
  }

  private room(lengthBytes: number): Buffer {
    const bytes = boundOf(lengthBytes);
    if (this.scratch.length < bytes) this.scratch = Buffer.alloc(bytes);
    return this.scratch.subarray(0, bytes);
  }
}
