/**
 * Other servers on the network. Each asks for the others now and then, and tells its clients how
 * many it hears, so that a client need not wait for a second answer when there is only one.
 */

import { encodeMapRequest } from '../protocol/from-client.js';
import { decodeImageDescription } from '../protocol/from-server.js';

const ASK_INTERVAL_MS = 5_000;
const FORGOTTEN_AFTER_MS = 12_000;

export class OtherServers {
  private readonly session: bigint;
  private readonly heardMs = new Map<bigint, number>();
  private nextAskMs = Number.NEGATIVE_INFINITY;

  constructor(session: bigint) {
    this.session = session;
  }

  get dueMs(): number {
    return this.nextAskMs;
  }

  /** A request to all servers, when one is due. */
  poll(now: number): Buffer | null {
    if (now < this.nextAskMs) return null;
    this.nextAskMs = now + ASK_INTERVAL_MS;
    return encodeMapRequest({ client: this.session, machine: 0n, isServer: true, host: '' });
  }

  /** Notes another session; false for the own one, which multicast brings back. */
  hear(session: bigint, now: number): boolean {
    if (session === this.session) return false;
    // Forged sessions must not fill the memory: 255 is all that a description can tell anyway.
    if (this.heardMs.size < 255 || this.heardMs.has(session)) this.heardMs.set(session, now);
    return true;
  }

  /** Takes another server's answer. @returns false when it is malformed */
  handleDescription(bytes: Buffer, now: number): boolean {
    const description = decodeImageDescription(bytes);
    if (description === null || description.client !== this.session) return false;
    this.hear(description.session, now);
    return true;
  }

  count(now: number): number {
    for (const [session, heardMs] of this.heardMs) {
      if (now - heardMs > FORGOTTEN_AFTER_MS) this.heardMs.delete(session);
    }
    return this.heardMs.size;
  }
}
