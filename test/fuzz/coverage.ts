/**
 * Which parts of the sources ran, and how often, as V8 counts them: what is new is worth keeping.
 */

import { Session } from 'node:inspector';

interface Range {
  startOffset: number;
  endOffset: number;
  count: number;
}

interface Coverage {
  result: { scriptId: string; url: string; functions: { ranges: Range[] }[] }[];
}

export class CoverageSignal {
  private readonly session = new Session();
  private readonly seen = new Set<string>();

  constructor() {
    this.session.connect();
    this.post('Profiler.enable');
    this.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Pieces of code, each with a coarse count, that ever ran. */
  get size(): number {
    return this.seen.size;
  }

  /** @returns how much ran since the last call that never ran before, or never so often */
  take(): number {
    const before = this.seen.size;
    const coverage = this.post('Profiler.takePreciseCoverage') as unknown as Coverage;
    for (const { scriptId, url, functions } of coverage.result) {
      if (!url.includes('/src/')) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count === 0) continue;
          const often = Math.min(6, Math.floor(Math.log2(count) / 2));
          this.seen.add(`${scriptId} ${startOffset} ${endOffset} ${often}`);
        }
      }
    }
    return this.seen.size - before;
  }

  close(): void {
    this.session.disconnect();
  }

  /** The inspector of one's own process answers at once. */
  private post(method: string, params: object = {}): object {
    let answer: object | undefined;
    this.session.post(method, params, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    if (answer === undefined) throw new Error(`no answer to ${method}`);
    return answer;
  }
}
