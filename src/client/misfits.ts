/** Chunks that the server sends whole and undamaged, and that still do not fit its block map. */
import { Failure } from '../failure.js';
import type { Geometry } from '../image/geometry.js';

/** Forged blocks may look like that once; asking for ever would be no end. */
const MOST_TIMES = 3;
/** Chunks that are counted at once: one of them is enough to end the copy. */
const MOST_CHUNKS = 256;

export class Misfits {
  /** Why the copy cannot come to its end, or null. */
  failure: Failure | null = null;
  readonly #geometry: Geometry;
  readonly #times = new Map<number, number>();

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
  }

  /** A chunk came just as the server has it, and does not fit. */
  note(chunk: number): void {
    const times = (this.#times.get(chunk) ?? 0) + 1;
    if (this.#times.size < MOST_CHUNKS || times > 1) this.#times.set(chunk, times);
    if (times < MOST_TIMES) return;
    const firstByte = this.#geometry.chunkOffset(chunk);
    const lastByte = firstByte + this.#geometry.chunkLength(chunk) - 1;
    this.failure ??= new Failure(
      'source',
      'DOES_NOT_FIT',
      `the server sends bytes ${firstByte} to ${lastByte} of its image other than its block map has ` +
        `them (tried ${times} times): the image changed there; start multiserver anew`,
    );
  }

  /** It came right after all. */
  forget(chunk: number): void {
    this.#times.delete(chunk);
  }
}
