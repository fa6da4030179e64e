/**
 * Tells systemd how a service is doing (sd_notify). Node has no datagram sockets of the local kind,
 * so systemd's own program says it, which is there wherever anybody listens.
 */
import { spawn } from 'node:child_process';

/** A status is not told more often. */
const MIN_INTERVAL_MS = 5000;

export class ServiceNotice {
  private toldMs = Number.NEGATIVE_INFINITY;
  private told = '';

  /** @returns null where no service manager waits for anything */
  static of(environment: NodeJS.ProcessEnv): ServiceNotice | null {
    return environment.NOTIFY_SOCKET === undefined ? null : new ServiceNotice();
  }

  ready(): void {
    this.say('--ready');
  }

  stopping(): void {
    this.say('STOPPING=1');
  }

  /** @param nowMs of a clock that never goes back */
  status(text: string, nowMs: number): void {
    if (text === this.told || nowMs - this.toldMs < MIN_INTERVAL_MS) return;
    this.told = text;
    this.toldMs = nowMs;
    this.say(`--status=${text}`);
  }

  /** A service that cannot tell how it is doing still does it. */
  private say(word: string): void {
    const child = spawn('systemd-notify', [`--pid=${process.pid}`, word], { stdio: 'ignore' });
    child.on('error', () => {});
    child.unref();
  }
}
