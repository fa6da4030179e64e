/**
 * Sends trains as single datagrams, through a connected socket of Node's: written as to a file
 * while the kernel has room, and otherwise left to Node, which waits for room.
 *
 * Why: a write costs half of what a send of Node's does. The writing, with `descriptors.ts`, may be
 * deleted once Node's dgram sends at that price, or many datagrams in one call; the sending through
 * Node stays.
 */
import type dgram from 'node:dgram';
import { writeSync } from 'node:fs';

/** The kernel has no room. */
const FULL_CODES = new Set(['EAGAIN', 'ENOBUFS']);

export class DatagramSender {
  private readonly socket: dgram.Socket;
  private fd: number;
  private isWaiting = false;

  /** @param fd the socket's, or -1 where it is not known */
  constructor(socket: dgram.Socket, fd: number) {
    this.socket = socket;
    this.fd = fd;
  }

  /** A train waits for room in the kernel: send nothing else before its `done` is called. */
  get isBusy(): boolean {
    return this.isWaiting;
  }

  /**
   * Sends `bytes[0, length)` in datagrams of `packetBytes`, of which the last may be shorter.
   * @param done called when the bytes may be reused, perhaps before this returns
   */
  send(
    bytes: Buffer,
    length: number,
    packetBytes: number,
    done: (error: Error | null) => void,
  ): void {
    let at = 0;
    try {
      while (at < length && this.fd >= 0 && !this.isWaiting) {
        writeSync(this.fd, bytes, at, Math.min(packetBytes, length - at), null);
        at += packetBytes;
      }
    } catch (error) {
      if (!FULL_CODES.has((error as NodeJS.ErrnoException).code ?? '')) {
        done(error as Error);
        return;
      }
    }
    if (at >= length) done(null);
    else this.sendThroughNode(bytes, at, length, packetBytes, done);
  }

  /** Closes the socket: its descriptor may then be another file's. */
  close(): void {
    this.fd = -1;
    this.socket.close();
  }

  /** Datagrams leave in their order: the last one's end is the end of all. */
  private sendThroughNode(
    bytes: Buffer,
    start: number,
    length: number,
    packetBytes: number,
    done: (error: Error | null) => void,
  ): void {
    // Without the descriptor Node has all trains, and keeps them in order itself.
    this.isWaiting = this.fd >= 0;
    let at = start;
    for (; at + packetBytes < length; at += packetBytes) this.socket.send(bytes, at, packetBytes);
    this.socket.send(bytes, at, length - at, (error) => {
      this.isWaiting = false;
      done(error);
    });
  }
}
