/**
 * When the chunk jobs are more than the thread that serves the network should do besides. Until then
 * it does them itself: on a machine whose cores are all taken, a second thread and the messages to
 * it cost a tenth of a copy's time and gain nothing.
 */

export type Burden = 'disk' | 'processor';

const MOST_CORE_SHARE = 0.9;
/** A core that is nobody else's for a moment is not yet one to spare. */
const SHARE_WINDOW_MS = 500;
/** Jobs take so many times as long as all that is computed meanwhile: the thread waits for the disk. */
const MOST_WAIT_FACTOR = 4;
const JOBS_WINDOW_MS = 50;

export class Workload {
  #windowMs: number;
  #windowCpuMs: number;
  #jobsMs = 0;
  #jobsCpuMs: number;

  /** Times on the caller's clock; `cpuMs` is the processor time that the process has had. */
  constructor(nowMs: number, cpuMs: number) {
    this.#windowMs = nowMs;
    this.#windowCpuMs = cpuMs;
    this.#jobsCpuMs = cpuMs;
  }

  /**
   * Notes a job of `tookMs` that ends now.
   * @returns what there is too much of, or null
   */
  note(tookMs: number, nowMs: number, cpuMs: number): Burden | null {
    return this.#noteWait(tookMs, cpuMs) ?? this.#noteShare(nowMs, cpuMs);
  }

  #noteWait(tookMs: number, cpuMs: number): Burden | null {
    this.#jobsMs += tookMs;
    if (this.#jobsMs < JOBS_WINDOW_MS) return null;
    const isWaiting = this.#jobsMs > MOST_WAIT_FACTOR * (cpuMs - this.#jobsCpuMs);
    this.#jobsMs = 0;
    this.#jobsCpuMs = cpuMs;
    return isWaiting ? 'disk' : null;
  }

  /** A process that gets nearly a whole core has others to use; one that does not has none. */
  #noteShare(nowMs: number, cpuMs: number): Burden | null {
    const elapsedMs = nowMs - this.#windowMs;
    if (elapsedMs < SHARE_WINDOW_MS) return null;
    const isBusy = cpuMs - this.#windowCpuMs > MOST_CORE_SHARE * elapsedMs;
    this.#windowMs = nowMs;
    this.#windowCpuMs = cpuMs;
    return isBusy ? 'processor' : null;
  }
}
