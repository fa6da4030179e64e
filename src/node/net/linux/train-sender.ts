/**
 * Hands whole trains to the kernel with one system call each (`sendmsg`), which gathers headers and
 * payloads from where they lie. `struct msghdr` is laid out for 64-bit little-endian Linux.
 *
 * Why: it is over when it returns, and costs less than dgram's bookkeeping; see `group-sender.ts`
 * for when it may be deleted.
 */

import type { Payloads } from '../../../server/stream/train.js';
import type { Native } from '../../system/native.js';
import { MAX_SEGMENTS } from '../train-length.js';
import { Iovecs } from './iovecs.js';

/** A header and a payload for each packet. */
const MAX_PIECES = 2 * MAX_SEGMENTS;
const MSGHDR_BYTES = 56;
const MSGHDR_IOVECS_OFFSET = 16;
const MSGHDR_COUNT_OFFSET = 24;
const MSG_DONTWAIT = 0x40;
/** Results of a send that may be tried again: the queue is full. */
const EAGAIN = 11;
const ENOBUFS = 105;
/** A full queue is looked at again after this: it drains at the network's pace. */
const RETRY_MS = 1;
/** What a send comes to when the train has to wait. */
export const WAITS = -1;

export class TrainSender {
  private readonly native: Native;
  private readonly fd: number;
  private readonly iovecs: Iovecs;
  private readonly message = Buffer.alloc(MSGHDR_BYTES);
  private readonly messageAddress: bigint;
  /** A train that the kernel had no room for, in one piece: what it came from may change. */
  private readonly waiting: Buffer;
  private waitingBytes = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param mostBytes of a train */
  constructor(native: Native, fd: number, mostBytes: number) {
    this.native = native;
    this.fd = fd;
    this.waiting = Buffer.allocUnsafeSlow(mostBytes);
    this.iovecs = new Iovecs(native, MAX_PIECES);
    this.message.writeBigUInt64LE(this.iovecs.addressFrom(0), MSGHDR_IOVECS_OFFSET);
    this.messageAddress = native.addressOf(this.message);
  }

  /** A train waits for room in the kernel: send nothing else before `onDrained` is called. */
  get isBusy(): boolean {
    return this.waitingBytes > 0;
  }

  /**
   * @param bytes the headers one after the other, or, without payloads, all of the train
   * @param onDrained called when a train that had to wait is out, with 0, or is lost, with the
   *   system's error number
   * @returns 0, `WAITS`, or the system's error number: the train is lost
   */
  send(
    bytes: Buffer,
    lengthBytes: number,
    packetBytes: number,
    payloads: Payloads | null,
    onDrained: (error: number) => void,
  ): number {
    if (this.isBusy) return EAGAIN;
    const pieces =
      payloads === null
        ? this.layWhole(bytes, lengthBytes)
        : this.layPieces(bytes, lengthBytes, packetBytes, payloads);
    const error = this.try(pieces);
    if (error !== EAGAIN && error !== ENOBUFS) return error;
    if (payloads === null) bytes.copy(this.waiting, 0, 0, lengthBytes);
    else copyTrain(this.waiting, bytes, lengthBytes, packetBytes, payloads);
    this.waitingBytes = lengthBytes;
    this.retryLater(onDrained);
    return WAITS;
  }

  private retryLater(onDrained: (error: number) => void): void {
    this.timer = setTimeout(() => {
      const error = this.try(this.layWhole(this.waiting, this.waitingBytes));
      if (error === EAGAIN || error === ENOBUFS) {
        this.retryLater(onDrained);
        return;
      }
      this.waitingBytes = 0;
      onDrained(error);
    }, RETRY_MS);
  }

  /** @returns 0, or the system's error number */
  private try(pieces: number): number {
    this.message.writeUInt32LE(pieces, MSGHDR_COUNT_OFFSET);
    return this.native.sendmsg(this.fd, this.messageAddress, MSG_DONTWAIT);
  }

  private layWhole(bytes: Buffer, lengthBytes: number): number {
    this.iovecs.lay(0, this.iovecs.addressOf(bytes), lengthBytes);
    return 1;
  }

  private layPieces(
    headers: Buffer,
    lengthBytes: number,
    packetBytes: number,
    { bytes, starts, headerBytes }: Payloads,
  ): number {
    const iovecs = this.iovecs;
    const headersAddress = iovecs.addressOf(headers);
    let source: Buffer | null = null;
    let sourceAddress = 0;
    let packet = 0;
    for (let left = lengthBytes; left > 0; left -= packetBytes) {
      if (bytes[packet] !== source) {
        source = bytes[packet]!;
        sourceAddress = iovecs.addressOf(source);
      }
      const payloadBytes = Math.min(packetBytes, left) - headerBytes;
      iovecs.lay(2 * packet, headersAddress + packet * headerBytes, headerBytes);
      iovecs.lay(2 * packet + 1, sourceAddress + starts[packet]!, payloadBytes);
      packet++;
    }
    return 2 * packet;
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

/** Puts a gathered train into one piece. */
export function copyTrain(
  out: Buffer,
  headers: Buffer,
  lengthBytes: number,
  packetBytes: number,
  { bytes, starts, headerBytes }: Payloads,
): void {
  for (let packet = 0, at = 0; at < lengthBytes; packet++, at += packetBytes) {
    headers.copy(out, at, packet * headerBytes, (packet + 1) * headerBytes);
    const payloadBytes = Math.min(packetBytes, lengthBytes - at) - headerBytes;
    const start = starts[packet]!;
    bytes[packet]!.copy(out, at + headerBytes, start, start + payloadBytes);
  }
}
