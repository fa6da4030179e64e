/** Where the client is in the stream, and what came of it so far. */
import { advancePosition, positionsBetween } from '../protocol/position.js';

/** A position that every status contradicts for so long was a forgery. */
const BEHIND_MS = 1_000;

export class StreamCounters {
  /** One past the highest position seen. */
  position: number;
  /** Packets of the stream since the client joined, as reports count them. */
  packetsReceived = 0;
  /** Send positions that never arrived. */
  packetsLost = 0;
  /** Bytes of this session's packets, headers included. */
  wireBytes = 0;
  blocksReceived = 0;
  /** Blocks that were already here. */
  blocksDuplicate = 0;
  /** Chunks that came whole, and were not what the block map says. */
  chunksRefused = 0;
  requestsSent = 0;
  /** Nothing of this session has come yet: what went before was not lost, but before our time. */
  #isNew = true;
  #behindSinceMs = Number.POSITIVE_INFINITY;

  /** @param position where the stream is when the client joins */
  constructor(position: number) {
    this.position = position;
  }

  /** Counts a packet of the stream. */
  seen(position: number, length: number): void {
    this.packetsReceived++;
    this.wireBytes += length;
    const ahead = positionsBetween(this.position, position);
    if (ahead < 0) {
      // Overtaken on its way, as happens where a sender moves from one processor to another: not lost after all.
      if (this.packetsLost > 0) this.packetsLost--;
      return;
    }
    if (!this.#isNew) this.packetsLost += ahead;
    this.#isNew = false;
    this.position = advancePosition(position, 1);
  }

  /** Counts `count` packets of `length` bytes each, which follow one that was seen just before. */
  seenRun(first: number, count: number, length: number): void {
    this.packetsReceived += count;
    this.wireBytes += count * length;
    const overtaken = Math.min(count, positionsBetween(first, this.position));
    this.packetsLost = Math.max(0, this.packetsLost - overtaken);
    this.position = advancePosition(this.position, count - overtaken);
  }

  /** The server will send at `position` next. @returns false when later packets came already */
  know(position: number): boolean {
    const ahead = positionsBetween(this.position, position);
    if (ahead > 0) {
      if (!this.#isNew) this.packetsLost += ahead;
      this.position = position;
    }
    return ahead >= 0;
  }

  /** As `know`, from a status: a position that no status bears out is given up. */
  learn(position: number, now: number): boolean {
    if (this.know(position)) {
      this.#behindSinceMs = Number.POSITIVE_INFINITY;
      return true;
    }
    if (this.#behindSinceMs === Number.POSITIVE_INFINITY) this.#behindSinceMs = now;
    if (now - this.#behindSinceMs < BEHIND_MS) return false;
    this.#behindSinceMs = Number.POSITIVE_INFINITY;
    this.position = position;
    return true;
  }
}
