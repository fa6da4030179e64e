/** What an operator can ask of a running server, from a key or from the fleet page. */

import type { ServerSession } from '../../server/session.js';
import { now } from '../system/clock.js';

export class ServerOperator {
  private readonly session: ServerSession;
  private readonly wake: () => void;

  /** @param wake has the session's orders carried out */
  constructor(session: ServerSession, wake: () => void) {
    this.session = session;
    this.wake = wake;
  }

  start(): void {
    this.session.start(now());
    this.wake();
  }

  pause(): void {
    this.session.pause(now());
    this.wake();
  }

  resume(): void {
    this.session.resume(now());
    this.wake();
  }

  /** @param bitsPerSecond of UDP payload; null for no ceiling */
  setRate(bitsPerSecond: number | null): void {
    this.session.setRate(bitsPerSecond === null ? Number.POSITIVE_INFINITY : bitsPerSecond / 8000);
    this.wake();
  }

  /** @param id 16 hex digits. @returns whether there is such a client */
  release(id: string): boolean {
    const isKnown = this.session.release(BigInt(`0x${id}`), now());
    this.wake();
    return isKnown;
  }

  /** @param id 16 hex digits. @returns whether there is such a client */
  drop(id: string): boolean {
    const isKnown = this.session.drop(BigInt(`0x${id}`), now());
    this.wake();
    return isKnown;
  }
}
