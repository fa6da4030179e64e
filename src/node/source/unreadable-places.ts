/**
 * Chunks that the source could not give: who must be told, and when to try again. Reading a bad
 * sector can take a disk seconds, so nobody's asking makes it try often.
 */
import type { Geometry } from '../../image/geometry.js';

const RETRY_MS = 5_000;
/** Notices go out in batches: neighbouring chunks share one. */
const FLUSH_MS = 100;
const MOST_NOTICES = 16;
/** All places are told again so often, for clients that came later or lost a notice. */
const REPEAT_MS = 2_000;

export interface UnreadableNotice {
  first: number;
  count: number;
  text: string;
  /** The operator has not been told of it. */
  isNew: boolean;
}

interface Place {
  failedMs: number;
  reason: string;
  isTold: boolean;
}

export class UnreadablePlaces {
  readonly #geometry: Geometry;
  readonly #tell: (notice: UnreadableNotice) => void;
  readonly #places = new Map<number, Place>();
  readonly #due = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #repeatTimer: NodeJS.Timeout | undefined;

  constructor(geometry: Geometry, tell: (notice: UnreadableNotice) => void) {
    this.#geometry = geometry;
    this.#tell = tell;
  }

  /** Whether to read a chunk that is asked for; if not, whoever asked will be told. */
  mayTry(chunk: number, now: number): boolean {
    const place = this.#places.get(chunk);
    if (place === undefined || now - place.failedMs >= RETRY_MS) return true;
    this.#queue(chunk);
    return false;
  }

  failed(chunk: number, reason: string, now: number): void {
    const isTold = this.#places.get(chunk)?.isTold ?? false;
    this.#places.set(chunk, { failedMs: now, reason, isTold });
    this.#repeatTimer ??= setInterval(() => {
      for (const place of this.#places.keys()) this.#queue(place);
    }, REPEAT_MS);
    this.#queue(chunk);
  }

  /** It could be read after all. */
  recovered(chunk: number): void {
    this.#places.delete(chunk);
    this.#due.delete(chunk);
  }

  #queue(chunk: number): void {
    this.#due.add(chunk);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, FLUSH_MS);
  }

  #flush(): void {
    const chunks = [...this.#due].sort((a, b) => a - b);
    for (let i = 0, notices = 0; i < chunks.length && notices < MOST_NOTICES; notices++) {
      const first = chunks[i]!;
      let count = 0;
      let isNew = false;
      while (chunks[i] === first + count) {
        const place = this.#places.get(first + count)!;
        isNew ||= !place.isTold;
        place.isTold = true;
        this.#due.delete(first + count);
        count++;
        i++;
      }
      this.#tell({ first, count, text: this.#textOf(first, count), isNew });
    }
    for (const chunk of this.#due) {
      this.#queue(chunk);
      break;
    }
  }

  #textOf(first: number, count: number): string {
    const last = first + count - 1;
    const endBytes = this.#geometry.chunkOffset(last) + this.#geometry.chunkLength(last);
    const { reason } = this.#places.get(first)!;
    return `bytes ${this.#geometry.chunkOffset(first)} to ${endBytes - 1} of the image cannot be read: ${reason}`;
  }

  close(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#repeatTimer);
  }
}
