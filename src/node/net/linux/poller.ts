/**
 * Looks at a socket by the clock. An event for every few packets would cost more than all the rest
 * of receiving them; the socket's buffer holds what comes in between.
 *
 * Why, and when it may be deleted: see `group-receiver.ts`.
 */

import { now } from '../../system/clock.js';
import type { GroupHandler } from '../group-socket.js';
import type { BatchReader } from './batch-reader.js';

/**
 * While many packets come, the socket is looked at so seldom that each look brings about so much:
 * the look, and handing on what it brought, cost more than the packets. A small buffer could
 * overflow in that time.
 */
const BYTES_PER_LOOK = 1024 * 1024;
const MIN_BUSY_POLL_MS = 5;
const MAX_BUSY_POLL_MS = 20;
const SMALL_BUFFER_BYTES = 8 * 1024 * 1024;
/** A few packets are answers that something waits for. */
const FEW_BYTES = 24 * 1024;
const FEW_POLL_MS = 2;
const IDLE_POLL_MS = 8;
/** After a read that failed. */
const FAILED_POLL_MS = 20;
/** A timer does not go off sooner. */
const MIN_PAUSE_MS = 1;
/** So much is taken before the event loop gets its turn, and the server hears of it. */
const MAX_BYTES_PER_TURN = 2 * 1024 * 1024;

interface ReadOutcomes {
  /** @param error the system's number for it, positive */
  failed(error: number): void;
  /** A read brought packets, or found none. */
  succeeded(): void;
}

export class Poller {
  private readonly isSmall: boolean;
  private timer: NodeJS.Timeout | undefined;
  private immediate: NodeJS.Immediate | undefined;
  private waitMs = IDLE_POLL_MS;
  private busyPollMs = MIN_BUSY_POLL_MS;
  private isStopped = false;

  constructor(
    private readonly reader: BatchReader,
    private readonly handler: GroupHandler,
    receiveBufferBytes: number,
    private readonly outcomes: ReadOutcomes,
  ) {
    this.isSmall = receiveBufferBytes < SMALL_BUFFER_BYTES;
    this.timer = setTimeout(this.poll, 0);
  }

  private readonly poll = (): void => {
    const { reader, handler } = this;
    const beginMs = now();
    let count = 0;
    let bytes = 0;
    let error = 0;
    let mayHaveMore = true;
    let hasRead = false;
    while (mayHaveMore && bytes < MAX_BYTES_PER_TURN) {
      if (!handler.canTake()) {
        mayHaveMore = false;
        count++;
        break;
      }
      const datagrams = reader.read(handler.onPackets);
      hasRead = true;
      if (datagrams < 0) error = -datagrams;
      else count += datagrams;
      bytes += reader.bytes;
      mayHaveMore = reader.mayHaveMore;
    }
    if (count > 0) handler.onBatch();
    if (error !== 0) this.outcomes.failed(error);
    else if (hasRead) this.outcomes.succeeded();
    if (this.isStopped) return;
    if (!mayHaveMore) this.waitMs = error === 0 ? this.pauseAfter(count, bytes) : FAILED_POLL_MS;
    // What came takes its time, too: packets gather meanwhile.
    const leftMs = mayHaveMore ? 0 : this.waitMs - (now() - beginMs);
    if (leftMs < MIN_PAUSE_MS) this.immediate = setImmediate(this.poll);
    else this.timer = setTimeout(this.poll, leftMs);
  };

  private pauseAfter(datagrams: number, bytes: number): number {
    if (datagrams === 0) return Math.min(this.waitMs * 2, IDLE_POLL_MS);
    if (bytes < FEW_BYTES || this.isSmall) return FEW_POLL_MS;
    const fittingMs = (this.busyPollMs * BYTES_PER_LOOK) / bytes;
    this.busyPollMs = Math.min(MAX_BUSY_POLL_MS, Math.max(MIN_BUSY_POLL_MS, fittingMs));
    return this.busyPollMs;
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearImmediate(this.immediate);
  }
}
