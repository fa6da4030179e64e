/**
 * One timer for a machine's next deadline. A deadline that moves away, as most do at each look,
 * leaves the timer as it is: being woken once too often costs less than setting it each time.
 */
export class Alarm {
  private readonly wake: () => void;
  private timer: NodeJS.Timeout | undefined;
  private atMs = Number.POSITIVE_INFINITY;

  constructor(wake: () => void) {
    this.wake = wake;
  }

  /** @param deadlineMs Infinity for none; both times on one clock */
  set(deadlineMs: number, nowMs: number): void {
    if (deadlineMs >= this.atMs) return;
    clearTimeout(this.timer);
    this.atMs = deadlineMs;
    this.timer = setTimeout(this.ring, Math.max(0, deadlineMs - nowMs));
  }

  private readonly ring = (): void => {
    this.atMs = Number.POSITIVE_INFINITY;
    this.wake();
  };

  clear(): void {
    clearTimeout(this.timer);
  }
}
