/**
 * How much one client, or all clients of one address together, may make the server send. Whatever
 * they report, the sum is bounded:
 *
 *     64 + 8 times the image + 64 chunks for each chunk that was gained
 *
 * The first terms leave room for loss. The last is for clients that the stream leaves behind: one
 * that keeps a fiftieth of each pass asks for the rest of the image again and again, but gains each
 * time. Only what nobody else had asked for already is counted.
 */

const MIN_CHUNKS = 64;
const TIMES_THE_IMAGE = 8;
const CHUNKS_PER_GAIN = 64;

export class RequestBudget {
  private readonly initialChunks: number;
  private readonly forgivenPerMs: number;
  private spentChunks = 0;
  private mostHadChunks = 0;
  private atMs = Number.NEGATIVE_INFINITY;

  /**
   * @param chunkCount of the image, pages of its map included
   * @param forgivenPerMs chunks of what was spent that are forgotten in a millisecond
   */
  constructor(chunkCount: number, forgivenPerMs = 0) {
    this.initialChunks = MIN_CHUNKS + TIMES_THE_IMAGE * chunkCount;
    this.forgivenPerMs = forgivenPerMs;
  }

  isSpent(now: number): boolean {
    this.forgive(now);
    return this.spentChunks >= this.initialChunks + CHUNKS_PER_GAIN * this.mostHadChunks;
  }

  /** Somebody's asking made so many chunks pending. */
  spend(chunks: number, now: number): void {
    this.forgive(now);
    this.spentChunks += chunks;
  }

  /** Nobody doubts that so many of them were needed. */
  giveBack(chunks: number): void {
    this.spentChunks = Math.max(0, this.spentChunks - chunks);
  }

  /** A client says that it has so many chunks. What was had before is no gain. */
  noteHad(chunks: number): void {
    this.mostHadChunks = Math.max(this.mostHadChunks, chunks);
  }

  private forgive(now: number): void {
    // Nothing is spent before the first look, so that its endless past forgives nothing.
    if (this.spentChunks > 0) {
      const forgiven = (now - this.atMs) * this.forgivenPerMs;
      this.spentChunks = Math.max(0, this.spentChunks - forgiven);
    }
    this.atMs = now;
  }
}
