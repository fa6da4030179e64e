/** How a chunk travels: compressed where that saves something, as it is elsewhere. */
import { Encoding, type EncodingId } from '../../protocol/block.js';
import type { Zstd } from './zstd.js';

export interface Encoded {
  encodedLength: number;
  encoding: EncodingId;
  variant: number;
}

/** A chunk that shrinks by less is not worth the clients' work. */
const LEAST_SAVING = 0.03;
/** Samples of a chunk: of file systems' chunks, fewer missed one in twenty that shrinks. */
const SAMPLES = 8;
const SAMPLE_BYTES = 4096;
const SAMPLE_LEVEL = 1;
/** After so many chunks in a row that did not shrink, not every one is tried. */
const PATIENCE = 4;
const MOST_SKIPPED = 7;
const VARIANT_MASK = 0xf;

/** Frames of data that does not shrink are a little longer than the data. */
const boundOf = (lengthBytes: number): number => lengthBytes + (lengthBytes >> 7) + 128;

/** The level in the four bits of a variant; a session uses a level above 15 alone. */
export const variantOf = (level: number): number => Math.min(level, VARIANT_MASK);

/** One worker's encoder. */
export class ChunkEncoder {
  readonly #zstd: Zstd;
  #scratch = Buffer.alloc(0);
  #vain = 0;
  #skipped = 0;

  constructor(zstd: Zstd) {
    this.#zstd = zstd;
  }

  /**
   * Compresses the chunk in its place.
   * @param level 1 to 19
   * @param isRepeat it was sent compressed at this level before: it must come out the same
   */
  encode(chunk: Buffer, level: number, isRepeat: boolean): Encoded {
    if (isRepeat || this.#isWorthIt(chunk)) {
      const scratch = this.#room(chunk.length);
      const length = this.#zstd.compress(chunk, scratch, level);
      if (length >= 0 && length < chunk.length * (1 - LEAST_SAVING)) {
        scratch.copy(chunk, 0, 0, length);
        this.#vain = 0;
        return { encodedLength: length, encoding: Encoding.zstd, variant: variantOf(level) };
      }
    }
    return { encodedLength: chunk.length, encoding: Encoding.raw, variant: 0 };
  }

  /** Tries small samples first: what is compressed or encrypted already must cost next to nothing. */
  #isWorthIt(chunk: Buffer): boolean {
    if (chunk.length < 2 * SAMPLES * SAMPLE_BYTES) return true;
    if (this.#skipped < Math.min(Math.floor(this.#vain / PATIENCE), MOST_SKIPPED)) {
      this.#skipped++;
      return false;
    }
    this.#skipped = 0;
    const last = chunk.length - SAMPLE_BYTES;
    for (let i = 0; i < SAMPLES; i++) {
      // Not in order: neighbours are much alike, and one that shrinks is enough.
      const at = Math.floor((last * ((i * 3) % SAMPLES)) / (SAMPLES - 1));
      const sample = chunk.subarray(at, at + SAMPLE_BYTES);
      const length = this.#zstd.compress(sample, this.#room(SAMPLE_BYTES), SAMPLE_LEVEL);
      if (length >= 0 && length < SAMPLE_BYTES * (1 - LEAST_SAVING)) return true;
    }
    this.#vain++;
    return false;
  }

  #room(lengthBytes: number): Buffer {
    const bytes = boundOf(lengthBytes);
    if (this.#scratch.length < bytes) this.#scratch = Buffer.alloc(bytes);
    return this.#scratch.subarray(0, bytes);
  }
}
