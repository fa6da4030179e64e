/**
 * Reads many datagrams with one system call (`recvmmsg`) into memory that is allocated once.
 * The kernel's structures are laid out by hand, for 64-bit little-endian Linux.
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
const MSG_LEN_OFFSET = 56;
const IOVEC_BYTES = 16;
const NAME_BYTES = 28;

export class BatchReader {
  readonly #native: Native;
  readonly #fd: number;
  readonly #isV6: boolean;
  readonly #data = Buffer.alloc(BATCH * SLOT_BYTES);
  readonly #headers = Buffer.alloc(BATCH * MMSGHDR_BYTES);
  readonly #iovecs = Buffer.alloc(BATCH * IOVEC_BYTES);
  readonly #names = Buffer.alloc(BATCH * NAME_BYTES);
  readonly #headersAddress: bigint;
  /** The sender seen last, since nearly all datagrams come from one. */
  readonly #lastName = Buffer.alloc(16);
  #lastAddress = '';
  #most = BATCH;

  constructor(native: Native, fd: number, isV6: boolean) {
    this.#native = native;
    this.#fd = fd;
    this.#isV6 = isV6;
    const data = native.addressOf(this.#data);
    const iovecs = native.addressOf(this.#iovecs);
    const names = native.addressOf(this.#names);
    this.#headersAddress = native.addressOf(this.#headers);
    for (let i = 0; i < BATCH; i++) {
      this.#iovecs.writeBigUInt64LE(data + BigInt(i * SLOT_BYTES), i * IOVEC_BYTES);
      this.#iovecs.writeBigUInt64LE(BigInt(SLOT_BYTES), i * IOVEC_BYTES + 8);
      const at = i * MMSGHDR_BYTES;
      this.#headers.writeBigUInt64LE(names + BigInt(i * NAME_BYTES), at);
      this.#headers.writeBigUInt64LE(iovecs + BigInt(i * IOVEC_BYTES), at + 16);
      this.#headers.writeBigUInt64LE(1n, at + 24);
    }
  }

  /** Hands over one batch of what is waiting in the socket. @returns whether there may be more */
  read(onPackets: PacketsHandler): { count: number; mayHaveMore: boolean } {
    for (let i = 0; i < this.#most; i++) {
      this.#headers.writeUInt32LE(NAME_BYTES, i * MMSGHDR_BYTES + 8);
    }
    const most = this.#most;
    const count = this.#native.recvmmsg(this.#fd, this.#headersAddress, most, MSG_DONTWAIT);
    for (let i = 0; i < count; i++) {
      const length = this.#headers.readUInt32LE(i * MMSGHDR_BYTES + MSG_LEN_OFFSET);
      const start = i * SLOT_BYTES;
      onPackets(this.#data, start, start + length, this.#addressAt(i * NAME_BYTES));
    }
    if (count > 0) {
      const lastBytes = this.#headers.readUInt32LE((count - 1) * MMSGHDR_BYTES + MSG_LEN_OFFSET);
      this.#most = lastBytes > TRAIN_BYTES ? TRAIN_BATCH : BATCH;
    }
    return { count: Math.max(count, 0), mayHaveMore: count === most };
  }

  #addressAt(offset: number): string {
    const start = offset + (this.#isV6 ? 8 : 4);
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
