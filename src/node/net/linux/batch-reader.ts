/**
 * Reads many datagrams with one system call (`recvmmsg`) into memory that is allocated once.
 *
 * Single packets are laid back to back as they come, so that they read like a train; so are trains
 * of full length that the kernel left coalesced. What came most tells what to be ready for.
 *
 * Why, and when it may be deleted: see `group-receiver.ts`.
 */

import type { Native } from '../../system/native.js';
import type { PacketsHandler } from '../group-socket.js';
import { maxTrainBytesOf } from '../train-length.js';
import { BatchLayout, SLOT_BYTES } from './batch-layout.js';

/** Datagrams to a call: single packets, and trains, of which a few fill the processor's cache. */
const BATCH = 64;
const TRAIN_BATCH = 8;
const TRAIN_BYTES = 16_384;
const MSG_DONTWAIT = 0x40;
/** Nothing has come. */
const EAGAIN = 11;

export class BatchReader {
  /** Of the last read. */
  private readBytes = 0;
  private isLast = true;
  private readonly memory = {
    data: Buffer.allocUnsafeSlow(BATCH * SLOT_BYTES),
    overflow: Buffer.allocUnsafeSlow(BATCH * SLOT_BYTES),
  };
  private readonly joined = Buffer.allocUnsafeSlow(SLOT_BYTES);
  private forTrains: BatchLayout;
  /** Its distance is a packet's length. While that is not known, it is one that no datagram has. */
  private forSingles: BatchLayout;
  private layout: BatchLayout;
  /** The sender seen last, since nearly all datagrams come from one. */
  private readonly lastSender = Buffer.alloc(16);
  private lastAddress = '';
  private max = TRAIN_BATCH;

  constructor(
    private readonly native: Native,
    private fd: number,
    private readonly isV6: boolean,
  ) {
    this.forTrains = new BatchLayout(native, BATCH, SLOT_BYTES, this.memory);
    this.forSingles = this.forTrains;
    this.layout = this.forTrains;
  }

  /** From now on the stream's packets are `packetBytes` long. */
  expect(packetBytes: number): void {
    const stride = Math.min(packetBytes, SLOT_BYTES);
    this.forSingles = new BatchLayout(this.native, BATCH, stride, this.memory);
    this.forTrains = new BatchLayout(this.native, BATCH, maxTrainBytesOf(stride), this.memory);
    this.layout = this.forTrains;
  }

  /** From now on it reads this socket. */
  turnTo(fd: number): void {
    this.fd = fd;
  }

  /** Bytes that the last read handed over. */
  get bytes(): number {
    return this.readBytes;
  }

  /** Whether there may be more than the last read took. */
  get mayHaveMore(): boolean {
    return !this.isLast;
  }

  /**
   * Hands over one batch of what is waiting in the socket.
   * @returns how many datagrams, 0 when none was there; or the system's error number, negative
   */
  read(onPackets: PacketsHandler): number {
    const max = this.max;
    const count = this.native.recvmmsg(this.fd, this.layout.address, max, MSG_DONTWAIT);
    this.isLast = count < max;
    this.readBytes = count > 0 ? this.handOver(count, onPackets) : 0;
    return count === -EAGAIN ? 0 : count;
  }

  /** Datagrams that lie back to back, from one sender, go together. @returns their bytes */
  private handOver(count: number, onPackets: PacketsHandler): number {
    const layout = this.layout;
    const stride = layout.strideBytes;
    const packetBytes = this.forSingles.strideBytes;
    const { data } = this.memory;
    let first = 0;
    let singles = 0;
    let trains = 0;
    let longest = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const length = layout.lengthOf(i);
      bytes += length;
      if (length > longest) longest = length;
      if (length > packetBytes) trains++;
      else if (length === packetBytes) singles++;
      // The first of those that go together is the sender of all.
      const address = first === i ? this.addressOf(i) : this.lastAddress;
      if (length > stride) {
        if (first < i) onPackets(data, first * stride, i * stride, address);
        onPackets(this.join(i, length), 0, length, this.addressOf(i));
      } else if (length === stride && i + 1 < count && this.isFromLast(i + 1)) {
        continue;
      } else {
        onPackets(data, first * stride, i * stride + length, address);
      }
      first = i + 1;
    }
    // Packets of another length say nothing of how the stream comes.
    if (trains + singles > 0) {
      this.layout = trains > singles ? this.forTrains : this.forSingles;
      this.max = longest > TRAIN_BYTES ? TRAIN_BATCH : BATCH;
    }
    return bytes;
  }

  /** A datagram that was longer than expected. */
  private join(datagram: number, length: number): Buffer {
    const { data, overflow } = this.memory;
    const stride = this.layout.strideBytes;
    data.copy(this.joined, 0, datagram * stride, (datagram + 1) * stride);
    const from = datagram * SLOT_BYTES;
    overflow.copy(this.joined, stride, from, from + length - stride);
    return this.joined;
  }

  private isFromLast(datagram: number): boolean {
    return this.layout.isFrom(datagram, this.lastSender, this.isV6);
  }

  private addressOf(datagram: number): string {
    if (this.lastAddress === '' || !this.isFromLast(datagram)) {
      this.layout.copyAddress(datagram, this.lastSender, this.isV6);
      this.lastAddress = this.isV6
        ? ipv6Text(this.lastSender)
        : this.lastSender.subarray(0, 4).join('.');
    }
    return this.lastAddress;
  }
}

/** The text of an IPv6 address as the system writes it (RFC 5952). */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
