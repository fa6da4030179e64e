/** Chunks that the source cannot give, as the server says, and the end of a copy that lacks them. */
import { Failure } from '../failure.js';
import type { Copy } from './copy.js';

/** Ranges of bytes that the failure names. */
const MOST_RANGES = 16;

export class SourceLacks {
  readonly #copy: Copy;
  readonly #isCheckOnly: boolean;
  #isEmpty = true;
  #failure: Failure | null = null;

  constructor(copy: Copy, isCheckOnly: boolean) {
    this.#copy = copy;
    this.#isCheckOnly = isCheckOnly;
  }

  /** Why the copy cannot come to its end, or null: with all else at its place, these chunks decide. */
  get failure(): Failure | null {
    const mayDecide = this.#failure === null && !this.#isEmpty && !this.#isCheckOnly;
    if (mayDecide && this.#copy.lacksOnlyUnreadable) {
      this.#fail('all else is on the target: mend the source, and run again with --resume');
    }
    return this.#failure;
  }

  /**
   * The server says so of a run of chunks. Its numbers are the network's.
   * @returns whether more has become wanted
   */
  note(first: number, count: number): boolean {
    const { map, geometry } = this.#copy;
    if (first >= geometry.chunkCount) return false;
    this.#isEmpty = false;
    this.#copy.giveUp(first, Math.min(count, geometry.chunkCount - first));
    // An image with such a chunk has no map to check by.
    const isUncheckable = map === null && this.#copy.uncheckedCount > 0;
    if (isUncheckable && this.#isCheckOnly) this.#fail('so there is nothing to compare with');
    else if (isUncheckable) this.#copy.stopChecking();
    return isUncheckable && !this.#isCheckOnly;
  }

  /** The server was started again: its source may have been mended. */
  forgive(): void {
    this.#isEmpty = true;
    this.#copy.forgive();
  }

  #fail(consequence: string): void {
    const { geometry } = this.#copy;
    const ranges: string[] = [];
    let more = 0;
    this.#copy.forEachUnreadable((first, count) => {
      const last = first + count - 1;
      const lastByte = geometry.chunkOffset(last) + geometry.chunkLength(last) - 1;
      if (ranges.length < MOST_RANGES) ranges.push(`${geometry.chunkOffset(first)}-${lastByte}`);
      else more++;
      return true;
    });
    const rest = more > 0 ? ` and ${more} more ranges` : '';
    const text = `the server cannot read bytes ${ranges.join(', ')}${rest} of the image; ${consequence}`;
    this.#failure ??= new Failure('source', 'UNREADABLE', text);
  }
}
