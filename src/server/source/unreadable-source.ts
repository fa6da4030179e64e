/**
 * Chunks that the source could not give: who must be told, and when to try again. Reading a bad
 * sector can take a disk seconds, so nobody's asking makes it try often.
 */

import type { Geometry } from '../../image/geometry.js';

const RETRY_MS = 5_000;
/** What failed once is read again at once when it is asked for: most of such trouble passes. */
const EARLY_TRIES = 2;
/** Notices go out in batches: neighbouring chunks share one. */
const FLUSH_MS = 100;
const MAX_NOTICES = 16;
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
  tries: number;
  reason: string;
  isTold: boolean;
}

export class UnreadableSource {
  private readonly geometry: Geometry;
  private readonly places = new Map<number, Place>();
  private readonly due = new Set<number>();
  private flushMs = Number.POSITIVE_INFINITY;
  private repeatMs = Number.POSITIVE_INFINITY;

  constructor(geometry: Geometry) {
    this.geometry = geometry;
  }

  /** When `poll` has something to tell. */
  get dueMs(): number {
    return Math.min(this.flushMs, this.repeatMs);
  }

  /** Whether to read a chunk that is asked for; if not, whoever asked will be told. */
  mayTry(chunk: number, now: number): boolean {
    const place = this.places.get(chunk);
    if (place === undefined || place.tries < EARLY_TRIES) return true;
    if (now - place.failedMs >= RETRY_MS) return true;
    this.queue(chunk, now);
    return false;
  }

  failed(chunk: number, reason: string, now: number): void {
    const { isTold, tries } = this.places.get(chunk) ?? { isTold: false, tries: 0 };
    this.places.set(chunk, { failedMs: now, tries: tries + 1, reason, isTold });
    if (this.repeatMs === Number.POSITIVE_INFINITY) this.repeatMs = now + REPEAT_MS;
    this.queue(chunk, now);
  }

  has(chunk: number): boolean {
    return this.places.has(chunk);
  }

  /** It could be read after all. */
  recovered(chunk: number): void {
    this.places.delete(chunk);
    this.due.delete(chunk);
    if (this.places.size === 0) this.repeatMs = Number.POSITIVE_INFINITY;
  }

  private queue(chunk: number, now: number): void {
    this.due.add(chunk);
    this.flushMs = Math.min(this.flushMs, now + FLUSH_MS);
  }

  /** What the clients are to be told at `now`. */
  poll(now: number): UnreadableNotice[] {
    if (now >= this.repeatMs) {
      this.repeatMs = now + REPEAT_MS;
      for (const chunk of this.places.keys()) this.queue(chunk, now);
    }
    if (now < this.flushMs) return [];
    const notices = this.batch();
    this.flushMs = this.due.size > 0 ? now + FLUSH_MS : Number.POSITIVE_INFINITY;
    return notices;
  }

  private batch(): UnreadableNotice[] {
    const notices: UnreadableNotice[] = [];
    const chunks = [...this.due].sort((a, b) => a - b);
    for (let i = 0; i < chunks.length && notices.length < MAX_NOTICES; ) {
      const first = chunks[i]!;
      let count = 0;
      let isNew = false;
      while (chunks[i] === first + count) {
        const place = this.places.get(first + count)!;
        isNew ||= !place.isTold;
        place.isTold = true;
        this.due.delete(first + count);
        count++;
        i++;
      }
      notices.push({ first, count, text: this.textOf(first, count), isNew });
    }
    return notices;
  }

  private textOf(first: number, count: number): string {
    const last = first + count - 1;
    const endBytes = this.geometry.chunkOffset(last) + this.geometry.chunkLength(last);
    const { reason } = this.places.get(first)!;
    return (
      `bytes ${this.geometry.chunkOffset(first)} to ${endBytes - 1} of the image cannot ` +
      `be read: ${reason}`
    );
  }
}
