/**
 * When the chunk jobs are more than the thread that serves the network should do besides. Until
 * then it does them itself: on a machine whose cores are all taken, a second thread and the
 * messages to it cost a tenth of a copy's time and gain nothing.
 */

import { IdleCores } from '../system/idle-cores.js';

export type Burden = 'disk' | 'processor';

const MAX_CORE_SHARE = 0.9;
/**
 * Jobs take so many times as long as all that is computed meanwhile: the thread waits for the disk.
 */
const MAX_WAIT_FACTOR = 4;
const JOBS_WINDOW_MS = 50;
/**
 * A core that is idle for a moment is not yet one to spare: starting a thread takes 0.1 s of a
 * core.
 */
const SHARE_WINDOW_MS = 500;
/** What a second thread needs to be a help. */
const MIN_IDLE_CORES = 0.5;

export class OffloadPolicy {
  private readonly cpuMs: () => number;
  private readonly idle: Pick<IdleCores, 'count'>;
  private windowMs: number;
  private windowCpuMs: number;
  private jobsMs = 0;
  private jobsCpuMs: number;

  /**
   * @param cpuMs processor time that the process has had: it is asked for seldom, as asking takes
   *   time
   */
  constructor(
    nowMs: number,
    cpuMs: () => number = processCpuMs,
    idle: Pick<IdleCores, 'count'> = new IdleCores(nowMs),
  ) {
    this.cpuMs = cpuMs;
    this.idle = idle;
    this.windowMs = nowMs;
    this.windowCpuMs = cpuMs();
    this.jobsCpuMs = this.windowCpuMs;
  }

  /**
   * Notes a job of `tookMs` that ends now.
   * @returns what there is too much of, or null
   */
  note(tookMs: number, nowMs: number): Burden | null {
    this.jobsMs += tookMs;
    if (this.jobsMs >= JOBS_WINDOW_MS && this.isWaiting()) return 'disk';
    return nowMs - this.windowMs >= SHARE_WINDOW_MS && this.isBusy(nowMs) ? 'processor' : null;
  }

  private isWaiting(): boolean {
    const cpuMs = this.cpuMs();
    const isWaiting = this.jobsMs > MAX_WAIT_FACTOR * (cpuMs - this.jobsCpuMs);
    this.jobsMs = 0;
    this.jobsCpuMs = cpuMs;
    return isWaiting;
  }

  /** The process gets nearly a whole core, and nobody uses another. */
  private isBusy(nowMs: number): boolean {
    const cpuMs = this.cpuMs();
    // Asked for whatever the process gets, so that the answer is for this window.
    const idleCores = this.idle.count(nowMs);
    const isBusy =
      idleCores >= MIN_IDLE_CORES &&
      cpuMs - this.windowCpuMs > MAX_CORE_SHARE * (nowMs - this.windowMs);
    this.windowMs = nowMs;
    this.windowCpuMs = cpuMs;
    return isBusy;
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
