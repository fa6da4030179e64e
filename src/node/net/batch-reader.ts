/**
 * Reads many datagrams with one system call (`recvmmsg`) into memory that is allocated once.
 * The kernel's structures are laid out by hand, for 64-bit little-endian Linux.
 *
 * Single packets are laid back to back as they come, so that they read like a train; trains that the
 * kernel left coalesced get room of their own. What came last tells what to be ready for.
 */

import type { Native } from '../native.js';
import type { PacketsHandler } from './group-receiver.js';

/** Datagrams to a call: single packets, and trains, of which a few fill the processor's cache. */
const BATCH = 64;
const TRAIN_BATCH = 8;
const TRAIN_BYTES = 16_384;
/** A coalesced train, or the largest datagram. */
const SLOT_BYTES = 65_536;
const MSG_DONTWAIT = 0x40;
const MMSGHDR_BYTES = 64;
const MSG_IOVLEN_OFFSET = 24;
const MSG_LEN_OFFSET = 56;
const IOVEC_BYTES = 16;
/** Of each datagram: where a single packet fits, and what of a longer one does not. */
const IOVECS = 2;
const NAME_BYTES = 28;

export class BatchReader {
  readonly #native: Native;
  readonly #fd: number;
  readonly #isV6: boolean;
  readonly #data = Buffer.allocUnsafeSlow(BATCH * SLOT_BYTES);
  /** What of a datagram does not fit where a single packet was expected. */
  readonly #overflow = Buffer.allocUnsafeSlow(BATCH * SLOT_BYTES);
  readonly #whole = Buffer.allocUnsafeSlow(SLOT_BYTES);
  readonly #headers = Buffer.alloc(BATCH * MMSGHDR_BYTES);
  readonly #iovecs = Buffer.alloc(BATCH * IOVECS * IOVEC_BYTES);
  readonly #names = Buffer.alloc(BATCH * NAME_BYTES);
  readonly #headersAddress: bigint;
  /** The sender seen last, since nearly all datagrams come from one. */
  readonly #lastName = Buffer.alloc(16);
  #lastAddress = '';
  #most = BATCH;
  /** Length of a single packet, 0 while it is not known. */
  #packetBytes = 0;
  /** Distance of datagrams in `#data`. */
  #strideBytes = SLOT_BYTES;

  constructor(native: Native, fd: number, isV6: boolean) {
    this.#native = native;
    this.#fd = fd;
    this.#isV6 = isV6;
    const iovecs = native.addressOf(this.#iovecs);
    const names = native.addressOf(this.#names);
    this.#headersAddress = native.addressOf(this.#headers);
    for (let i = 0; i < BATCH; i++) {
      const at = i * MMSGHDR_BYTES;
      this.#headers.writeBigUInt64LE(names + BigInt(i * NAME_BYTES), at);
      // The kernel writes back how long the name is; it is always the same.
      this.#headers.writeUInt32LE(NAME_BYTES, at + 8);
      this.#headers.writeBigUInt64LE(iovecs + BigInt(i * IOVECS * IOVEC_BYTES), at + 16);
    }
    this.#lay(SLOT_BYTES);
  }

  /** From now on the stream's packets are `packetBytes` long. */
  expect(packetBytes: number): void {
    this.#packetBytes = Math.min(packetBytes, SLOT_BYTES);
    this.#lay(this.#packetBytes);
  }

  /** Makes room for datagrams at a distance of `strideBytes`. */
  #lay(strideBytes: number): void {
    this.#strideBytes = strideBytes;
    const data = this.#native.addressOf(this.#data);
    const overflow = this.#native.addressOf(this.#overflow);
    for (let i = 0; i < BATCH; i++) {
      const at = i * IOVECS * IOVEC_BYTES;
      this.#iovecs.writeBigUInt64LE(data + BigInt(i * strideBytes), at);
      this.#iovecs.writeBigUInt64LE(BigInt(strideBytes), at + 8);
      this.#iovecs.writeBigUInt64LE(overflow + BigInt(i * SLOT_BYTES), at + IOVEC_BYTES);
      this.#iovecs.writeBigUInt64LE(BigInt(SLOT_BYTES - strideBytes), at + IOVEC_BYTES + 8);
      const iovecs = strideBytes < SLOT_BYTES ? 2n : 1n;
      this.#headers.writeBigUInt64LE(iovecs, i * MMSGHDR_BYTES + MSG_IOVLEN_OFFSET);
    }
  }

  /** Hands over one batch of what is waiting in the socket. @returns whether there may be more */
  read(onPackets: PacketsHandler): { count: number; mayHaveMore: boolean } {
    const most = this.#most;
    const count = this.#native.recvmmsg(this.#fd, this.#headersAddress, most, MSG_DONTWAIT);
    if (count <= 0) return { count: 0, mayHaveMore: false };
    this.#handOver(count, onPackets);
    this.#prepare(count);
    return { count, mayHaveMore: count === most };
  }

  /** Datagrams that lie back to back, from one sender, go together. */
  #handOver(count: number, onPackets: PacketsHandler): void {
    const stride = this.#strideBytes;
    let first = 0;
    for (let i = 0; i < count; i++) {
      const length = this.#lengthOf(i);
      if (length > stride) {
        if (first < i) onPackets(this.#data, first * stride, i * stride, this.#addressOf(first));
        onPackets(this.#join(i, length), 0, length, this.#addressOf(i));
      } else if (length === stride && i + 1 < count && this.#isSameSender(i, i + 1)) {
        continue;
      } else {
        onPackets(this.#data, first * stride, i * stride + length, this.#addressOf(first));
      }
      first = i + 1;
    }
  }

  #lengthOf(i: number): number {
    return this.#headers.readUInt32LE(i * MMSGHDR_BYTES + MSG_LEN_OFFSET);
  }

  /** A datagram that was longer than expected. */
  #join(i: number, length: number): Buffer {
    const stride = this.#strideBytes;
    this.#data.copy(this.#whole, 0, i * stride, (i + 1) * stride);
    const from = i * SLOT_BYTES;
    this.#overflow.copy(this.#whole, stride, from, from + length - stride);
    return this.#whole;
  }

  /** Makes ready for more of what came. */
  #prepare(count: number): void {
    const lastBytes = this.#lengthOf(count - 1);
    this.#most = lastBytes > TRAIN_BYTES ? TRAIN_BATCH : BATCH;
    if (this.#packetBytes === 0) return;
    const isTrains = this.#strideBytes === SLOT_BYTES;
    let longest = 0;
    for (let i = 0; i < count; i++) longest = Math.max(longest, this.#lengthOf(i));
    if (!isTrains && longest > this.#packetBytes) this.#lay(SLOT_BYTES);
    else if (isTrains && count >= TRAIN_BATCH && longest <= this.#packetBytes) {
      this.#lay(this.#packetBytes);
    }
  }

  #isSameSender(one: number, other: number): boolean {
    const [a, b] = [one * NAME_BYTES, other * NAME_BYTES];
    if (this.#isV6) return this.#names.compare(this.#names, a + 8, a + 24, b + 8, b + 24) === 0;
    return this.#names.readInt32LE(a + 4) === this.#names.readInt32LE(b + 4);
  }

  #addressOf(i: number): string {
    const start = i * NAME_BYTES + (this.#isV6 ? 8 : 4);
    const length = this.#isV6 ? 16 : 4;
    if (this.#names.compare(this.#lastName, 0, length, start, start + length) !== 0) {
      this.#names.copy(this.#lastName, 0, start, start + length);
      this.#lastAddress = this.#isV6
        ? ipv6Text(this.#lastName)
        : this.#lastName.subarray(0, 4).join('.');
    }
    return this.#lastAddress;
  }
}

/** The text of an IPv6 address as the system writes it (RFC 5952). */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
