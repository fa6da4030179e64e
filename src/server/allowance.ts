/**
 * How much one client may make the server send. Whatever it reports, the sum is bounded:
 *
 *     256 + 8 times the image + 64 chunks for each chunk that it gained
 *
 * The first terms leave room for loss. The last is for clients that the stream leaves behind: one that
 * keeps a fiftieth of each pass asks for the rest of the image again and again, but gains each time.
 * Only what nobody else had asked for already is counted.
 */

const LEAST_CHUNKS = 256;
const TIMES_THE_IMAGE = 8;
const CHUNKS_PER_GAIN = 64;

export class Allowance {
  #left: number;
  #mostHad = 0;

  /** @param chunkCount of the image, pages of its map included */
  constructor(chunkCount: number) {
    this.#left = LEAST_CHUNKS + TIMES_THE_IMAGE * chunkCount;
  }

  get isSpent(): boolean {
    return this.#left <= 0;
  }

  /** The client's asking made so many chunks pending. */
  spend(chunks: number): void {
    this.#left -= chunks;
  }

  /** The client says that it has so many chunks. What was had before is no gain. */
  noteHad(chunks: number): void {
    if (chunks <= this.#mostHad) return;
    this.#left += (chunks - this.#mostHad) * CHUNKS_PER_GAIN;
    this.#mostHad = chunks;
  }
}
