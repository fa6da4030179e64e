/** Judges what was found on the target, before the copy and, to verify, after it. */

import { Bitmap } from '../image/bitmap.js';
import { appendToRuns, type Run } from '../protocol/run.js';
import type { Asking } from './asking.js';
import type { Assembly } from './assembly.js';
import { Checking, type CheckOrder, type CheckOutcome } from './checking.js';
import type { Copy } from './copy.js';
import type { StreamCounters } from './counters.js';
import type { Storing } from './storing.js';
import { Verifying } from './verifying.js';

/** Differing chunks are asked for in batches of what is found in this time. */
const BATCH_MS = 20;
/** Fits no chunk. */
const NOTHING = new Uint8Array(0);

export interface SurveyParts {
  copy: Copy;
  assembly: Assembly;
  asking: Asking;
  storing: Storing;
  counters: StreamCounters;
}

export class Survey {
  readonly checking: Checking;
  readonly verifying: Verifying;
  /** Bytes that the target held already, and holds still. */
  keptBytes = 0;
  differingBytes = 0;
  readonly #parts: SurveyParts;
  readonly #mayRepair: boolean;
  readonly #differing: Bitmap;

  /** @param mayRepair false when nothing may be written, only compared */
  constructor(parts: SurveyParts, holdsEarlierData: boolean, mayRepair: boolean) {
    this.#parts = parts;
    this.#mayRepair = mayRepair;
    this.#differing = new Bitmap(parts.copy.geometry.chunkCount);
    this.checking = new Checking(parts.copy, holdsEarlierData);
    this.verifying = new Verifying(parts.copy, this.checking);
  }

  /** Chunks found to differ from the image. */
  get differingChunks(): number {
    return this.#differing.count;
  }

  handleChecked(order: CheckOrder, outcome: CheckOutcome, now: number, jitterMs: number): void {
    const { copy, storing, asking, counters } = this.#parts;
    const digest = outcome.kind === 'found' ? outcome.digest : NOTHING;
    if (!this.checking.ended(order, digest === null)) return;
    const zeros: Run[] = [];
    for (let chunk = order.first; chunk < order.first + order.count; chunk++) {
      if (!copy.isUnchecked(chunk)) continue;
      if (copy.checked(chunk, digest)) {
        this.#fits(chunk);
        continue;
      }
      this.#differs(chunk);
      if (!this.#mayRepair) continue;
      if (!copy.looksZero(chunk)) asking.lost(chunk, now, BATCH_MS + jitterMs);
      else appendToRuns(zeros, chunk);
    }
    // The target is not blank there, whatever it was thought to be.
    if (this.verifying.hasBegun) {
      for (const { count } of zeros) counters.chunksRefused += count;
    }
    storing.zeros(zeros);
  }

  #fits(chunk: number): void {
    const { copy, assembly } = this.#parts;
    const half = assembly.find(chunk);
    if (half !== undefined) assembly.abandon(half);
    if (!this.verifying.hasBegun) this.keptBytes += copy.geometry.chunkLength(chunk);
  }

  #differs(chunk: number): void {
    if (this.verifying.hasBegun) {
      this.verifying.misfit(chunk);
    } else if (this.#differing.set(chunk)) {
      this.differingBytes += this.#parts.copy.geometry.chunkLength(chunk);
    }
  }
}
