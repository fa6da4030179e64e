/**
 * How much of the machine nobody uses: work that can wait should not take processors from work that
 * cannot.
 */

import { openSync, readSync } from 'node:fs';

/** The kernel counts in ticks of 10 ms: in a shorter time they say little. */
const WINDOW_MS = 100;
/** `USER_HZ`, in which the kernel counts for programs, whatever it counts in for itself. */
const TICK_MS = 10;
/** Of the first line, `cpu` and ten counters, with the longest that they can be. */
const LINE_BYTES = 256;

/** Reads the first line of Linux's counters, or null where there are none. */
type ReadCounters = () => string | null;

export class IdleCores {
  private readonly read: ReadCounters;
  private windowMs: number;
  private windowIdleMs: number;
  /** Until the first window is over, nothing is known to be idle. */
  private lately = 0;

  constructor(nowMs: number, read: ReadCounters = countersOfSystem()) {
    this.read = read;
    this.windowMs = nowMs;
    this.windowIdleMs = this.idleMs();
  }

  /** How many cores were idle lately, on the average; infinitely many where that cannot be told. */
  count(nowMs: number): number {
    const spanMs = nowMs - this.windowMs;
    if (spanMs < WINDOW_MS) return this.lately;
    const idleMs = this.idleMs();
    this.lately =
      idleMs === Number.POSITIVE_INFINITY ? idleMs : (idleMs - this.windowIdleMs) / spanMs;
    this.windowMs = nowMs;
    this.windowIdleMs = idleMs;
    return this.lately;
  }

  /** Time that all cores together have been idle, or waited for a disk. See proc_stat(5). */
  private idleMs(): number {
    const [name, , , , idle, waiting] = this.read()?.split(/\s+/) ?? [];
    const ticks = Number(idle) + Number(waiting);
    return name === 'cpu' && Number.isFinite(ticks) ? ticks * TICK_MS : Number.POSITIVE_INFINITY;
  }
}

let counters: ReadCounters | null = null;

/** Opened once: a client that follows one image after the other would open it for each. */
function countersOfSystem(): ReadCounters {
  counters ??= openCounters();
  return counters;
}

function openCounters(): ReadCounters {
  let fd: number;
  try {
    fd = openSync('/proc/stat', 'r');
  } catch {
    return () => null;
  }
  const line = Buffer.alloc(LINE_BYTES);
  return () => line.toString('latin1', 0, readSync(fd, line, 0, LINE_BYTES, 0));
}
