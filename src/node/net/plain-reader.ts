/** Reads what waits in a socket as from a file: a system call a datagram, but no event of Node's. */
import { readSync } from 'node:fs';
import type { PacketsHandler } from './group-receiver.js';

const LONGEST_DATAGRAM_BYTES = 65_536;
const MEMORY_BYTES = 8 * LONGEST_DATAGRAM_BYTES;

export class PlainReader {
  readonly #fd: number;
  readonly #memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  #isEmpty = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The last read left nothing. */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  /**
   * Hands over what is waiting, up to about `mostBytes`, datagrams of one length together.
   * @param address of whoever sent them
   * @returns whether there were blocks of the stream among them
   */
  read(onPackets: PacketsHandler, address: string, mostBytes: number): boolean {
    let isStream = false;
    this.#isEmpty = false;
    for (let bytes = 0; bytes < mostBytes && !this.#isEmpty; ) {
      const filled = this.#fill();
      bytes += filled;
      if (filled > 0 && onPackets(this.#memory, 0, filled, address)) isStream = true;
    }
    return isStream;
  }

  /** @returns bytes of datagrams that lie back to back: of one length, but for the last */
  #fill(): number {
    const { stackTraceLimit } = Error;
    // An empty socket is an error to Node: noting where it happened would cost more than ten datagrams.
    Error.stackTraceLimit = 0;
    let first = 0;
    let end = 0;
    try {
      while (end + LONGEST_DATAGRAM_BYTES <= MEMORY_BYTES) {
        const length = readSync(this.#fd, this.#memory, end, LONGEST_DATAGRAM_BYTES, null);
        end += length;
        if (first === 0) first = length;
        if (length !== first) break;
      }
    } catch {
      this.#isEmpty = true;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
    return end;
  }
}
