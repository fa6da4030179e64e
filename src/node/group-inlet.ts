/** From the group's socket to the client's machine: packets, or copies of them that wait for room there. */
import type { ClientSession } from '../client/session.js';
import { now } from './clock.js';
import { isIPv6Address } from './net/family.js';
import { PacketStash } from './net/stash.js';

export class GroupInlet {
  readonly #session: ClientSession;
  readonly #stash = new PacketStash();

  constructor(session: ClientSession) {
    this.#session = session;
  }

  /** False while packets had better stay in the socket. */
  get isOpen(): boolean {
    return this.#stash.isEmpty && !this.#session.isCrowded;
  }

  /**
   * Takes the packets in `bytes[start, end)`, which are only lent, from `address`.
   * @returns whether there were blocks of the stream among them
   */
  take(bytes: Buffer, start: number, end: number, address: string): boolean {
    const isFromServer = isSameAddress(address, this.#session.streamAddress);
    if (this.#stash.isEmpty && !this.#session.isExhausted) {
      return this.#session.handleGroup(bytes, start, end, isFromServer, now());
    }
    this.#stash.keep(bytes, start, end, isFromServer);
    return isFromServer;
  }

  /** Memory came free: hands on what had to wait. */
  empty(): void {
    while (!this.#stash.isEmpty && !this.#session.isExhausted) {
      const { bytes, isFromServer } = this.#stash.take();
      this.#session.handleGroup(bytes, 0, bytes.length, isFromServer, now());
    }
  }
}

/** Compares addresses; a link-local one may come with or without its scope. */
function isSameAddress(address: string, expected: string | null): boolean {
  if (expected === null) return false;
  if (address === expected) return true;
  return isIPv6Address(address) && address.split('%')[0] === expected.split('%')[0];
}
