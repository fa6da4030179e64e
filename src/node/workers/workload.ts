/**
 * When the chunk jobs are more than the thread that serves the network should do besides. Until then
 * it does them itself: on a machine whose cores are all taken, a second thread and the messages to
 * it cost a tenth of a copy's time and gain nothing.
 */

export type Burden = 'disk' | 'processor';

const MOST_CORE_SHARE = 0.9;
/** Jobs take so many times as long as all that is computed meanwhile: the thread waits for the disk. */
const MOST_WAIT_FACTOR = 4;
const JOBS_WINDOW_MS = 50;

export class Workload {
  readonly #shareWindowMs: number;
  readonly #cpuMs: () => number;
  #windowMs: number;
  #windowCpuMs: number;
  #jobsMs = 0;
  #jobsCpuMs: number;

  /**
   * @param shareWindowMs so long a whole core has to be this process's to be one to spare
   * @param cpuMs processor time that the process has had: it is asked for seldom, as asking takes time
   */
  constructor(nowMs: number, shareWindowMs: number, cpuMs: () => number = processCpuMs) {
    this.#shareWindowMs = shareWindowMs;
    this.#cpuMs = cpuMs;
    this.#windowMs = nowMs;
    this.#windowCpuMs = cpuMs();
    this.#jobsCpuMs = this.#windowCpuMs;
  }

  /**
   * Notes a job of `tookMs` that ends now.
   * @returns what there is too much of, or null
   */
  note(tookMs: number, nowMs: number): Burden | null {
    this.#jobsMs += tookMs;
    if (this.#jobsMs >= JOBS_WINDOW_MS && this.#isWaiting()) return 'disk';
    return nowMs - this.#windowMs >= this.#shareWindowMs && this.#isBusy(nowMs)
      ? 'processor'
      : null;
  }

  #isWaiting(): boolean {
    const cpuMs = this.#cpuMs();
    const isWaiting = this.#jobsMs > MOST_WAIT_FACTOR * (cpuMs - this.#jobsCpuMs);
    this.#jobsMs = 0;
    this.#jobsCpuMs = cpuMs;
    return isWaiting;
  }

  /** A process that gets nearly a whole core has others to use; one that does not has none. */
  #isBusy(nowMs: number): boolean {
    const cpuMs = this.#cpuMs();
    const isBusy = cpuMs - this.#windowCpuMs > MOST_CORE_SHARE * (nowMs - this.#windowMs);
    this.#windowMs = nowMs;
    this.#windowCpuMs = cpuMs;
    return isBusy;
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
