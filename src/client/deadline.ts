/** Deadlines that are not worth waking the thread for while packets wake it. */

/**
 * Packets came at `now`: what would be due in less than `earlyMs` is done along with them.
 * @returns the deadline from now on; Infinity stays that
 */
export function dueWithPackets(dueMs: number, now: number, earlyMs: number): number {
  return dueMs < now + earlyMs ? Math.min(dueMs, now) : dueMs;
}
