/**
 * Reads a synced copy back and proves it once more. What does not fit is fetched again and read
 * back again; a second misfit means that the target does not keep what is written to it.
 */
import { Failure } from '../failure.js';
import type { Checking } from './checking.js';
import type { Copy } from './copy.js';

export class Verifying {
  readonly #copy: Copy;
  readonly #checking: Checking;
  #misfits: number[] = [];
  #rounds = 0;
  #failure: Failure | null = null;

  constructor(copy: Copy, checking: Checking) {
    this.#copy = copy;
    this.#checking = checking;
  }

  get hasBegun(): boolean {
    return this.#rounds > 0;
  }

  get failure(): Failure | null {
    return this.#failure;
  }

  /** Begins a round over a copy that is proven and synced. @returns false when none is needed */
  begin(): boolean {
    const { chunkCount } = this.#copy.geometry;
    const isFirst = this.#rounds === 0;
    const chunks = isFirst ? chunkCount : this.#misfits.length;
    if (chunks === 0) return false;
    this.#checking.isDirect = true;
    for (let i = 0; i < chunks; i++) {
      const chunk = isFirst ? i : this.#misfits[i]!;
      this.#copy.doubt(chunk);
      this.#checking.add(chunk);
    }
    this.#misfits = [];
    this.#rounds++;
    return true;
  }

  /** The target gives back something else than was written. */
  misfit(chunk: number): void {
    if (this.#rounds === 1) {
      this.#misfits.push(chunk);
      return;
    }
    const firstByte = this.#copy.geometry.chunkOffset(chunk);
    const lastByte = firstByte + this.#copy.geometry.chunkLength(chunk) - 1;
    this.#failure = new Failure(
      'target',
      'VERIFY_FAILED',
      `the target does not give back what was written: bytes ${firstByte} to ${lastByte} were ` +
        'wrong twice; check the disk and its cables, and use another one',
    );
  }
}
