/**
 * Reads what waits in a socket as from a file: a system call a datagram, but no event of Node's.
 *
 * Why: an event for a datagram costs several times what taking it from the kernel does. May be
 * deleted, with `descriptors.ts` and `error-traces.ts`, once Node's dgram takes many datagrams at a
 * time.
 */
import { readSync } from 'node:fs';
import type { PacketsHandler } from '../group-socket.js';
import { dropTraces, restoreTraces } from './error-traces.js';

const MAX_DATAGRAM_BYTES = 65_536;
const MEMORY_BYTES = 8 * MAX_DATAGRAM_BYTES;
/** A call counts for so much, whatever it brought: empty datagrams must not hold the thread up. */
const MIN_BYTES_COUNTED = 4096;

export class SocketReader {
  private readonly memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  private hasEmptied = false;
  private code: string | null = null;

  constructor(private readonly fd: number) {}

  /** The last read left nothing. */
  get isEmpty(): boolean {
    return this.hasEmptied;
  }

  /**
   * The system's name for what is wrong with the descriptor: read no more of it. Null for nothing.
   */
  get failure(): string | null {
    return this.code;
  }

  /**
   * Hands over what is waiting, up to about `maxBytes`, datagrams of one length together.
   * @param address of whoever sent them
   * @returns whether there were blocks of the stream among them
   */
  read(onPackets: PacketsHandler, address: string, maxBytes: number): boolean {
    let isStream = false;
    this.hasEmptied = false;
    for (let bytes = 0; bytes < maxBytes && !this.hasEmptied && this.code === null; ) {
      const filled = this.fill();
      bytes += Math.max(filled, MIN_BYTES_COUNTED);
      if (filled > 0 && onPackets(this.memory, 0, filled, address)) isStream = true;
    }
    return isStream;
  }

  /** @returns bytes of datagrams that lie back to back: of one length, but for the last */
  private fill(): number {
    const traces = dropTraces();
    let first = 0;
    let end = 0;
    try {
      while (end + MAX_DATAGRAM_BYTES <= MEMORY_BYTES) {
        const length = readSync(this.fd, this.memory, end, MAX_DATAGRAM_BYTES, null);
        end += length;
        if (first === 0) first = length;
        if (length === 0 || length !== first) break;
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') this.hasEmptied = true;
      else this.code = code ?? 'UNKNOWN';
    } finally {
      restoreTraces(traces);
    }
    return end;
  }
}
