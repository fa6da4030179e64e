/**
 * Spreads packets over time at a rate, by an absolute schedule: what a late timer missed is
 * made up for, but never as one burst. Timers fire about once a millisecond, so that much goes
 * at once.
 */

const BURST_MS = 1;
/** A late sender catches up with bursts of this multiple. */
const CATCH_UP_FACTOR = 2;
/** Lateness beyond this is forgiven: the machine was busy or suspended. */
const MAX_LATENESS_MS = 20;

export class Pacer {
  /** When the next train is due by the schedule. */
  private dueMs = Number.NEGATIVE_INFINITY;
  private burstAtMs = Number.NEGATIVE_INFINITY;
  /** How long the packets of this burst take at the rate. */
  private burstMs = 0;

  /** When the next train may go. */
  get nextMs(): number {
    const isBurstFull = this.burstMs >= BURST_MS * CATCH_UP_FACTOR;
    return isBurstFull ? Math.max(this.dueMs, this.burstAtMs + BURST_MS) : this.dueMs;
  }

  /** There was nothing to send, or no leave to, until `now`: that is no lateness. */
  rest(now: number): void {
    if (this.dueMs < now) this.dueMs = now;
  }

  /** Notes a train of `bytes` sent at `now`. @param bytesPerMs the rate */
  sent(now: number, bytes: number, bytesPerMs: number): void {
    const spanMs = bytes / bytesPerMs;
    if (now - this.burstAtMs >= BURST_MS) {
      this.burstAtMs = now;
      this.burstMs = 0;
    }
    this.burstMs += spanMs;
    this.dueMs = Math.max(this.dueMs, now - MAX_LATENESS_MS) + spanMs;
  }
}
