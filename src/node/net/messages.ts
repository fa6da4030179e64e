/**
 * What `recvmmsg` is told and tells of some datagrams: `struct mmsghdr`s and sender addresses, laid
 * out for 64-bit little-endian Linux.
 */
import type { Native } from '../native.js';

const MMSGHDR_BYTES = 64;
const NAME_LENGTH_OFFSET = 8;
const IOVECS_OFFSET = 16;
const IOVEC_COUNT_OFFSET = 24;
const LENGTH_OFFSET = 56;
const NAME_BYTES = 28;
/** Where the address begins in a `sockaddr_in` and a `sockaddr_in6`. */
const IPV4_OFFSET = 4;
const IPV6_OFFSET = 8;

export class Messages {
  /** For `recvmmsg`. */
  readonly address: bigint;
  readonly #headers: Buffer;
  readonly #names: Buffer;
  readonly #addressOffset: number;
  readonly #addressBytes: number;
  /** The sender seen last, since nearly all datagrams come from one. */
  readonly #lastSender: Buffer;
  #lastText = '';

  constructor(native: Native, count: number, isV6: boolean) {
    this.#headers = Buffer.alloc(count * MMSGHDR_BYTES);
    this.#names = Buffer.alloc(count * NAME_BYTES);
    this.#addressOffset = isV6 ? IPV6_OFFSET : IPV4_OFFSET;
    this.#addressBytes = isV6 ? 16 : 4;
    this.#lastSender = Buffer.alloc(this.#addressBytes);
    this.address = native.addressOf(this.#headers);
    const names = native.addressOf(this.#names);
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR_BYTES;
      this.#headers.writeBigUInt64LE(names + BigInt(i * NAME_BYTES), header);
      // The kernel writes back how long the name is; it is always the same.
      this.#headers.writeUInt32LE(NAME_BYTES, header + NAME_LENGTH_OFFSET);
    }
  }

  /** Says where a datagram goes: to a list of pieces at `iovecs`. */
  setPlace(datagram: number, iovecs: bigint, iovecCount: number): void {
    const header = datagram * MMSGHDR_BYTES;
    this.#headers.writeBigUInt64LE(iovecs, header + IOVECS_OFFSET);
    this.setPieces(datagram, iovecCount);
  }

  setPieces(datagram: number, iovecCount: number): void {
    this.#headers.writeUInt32LE(iovecCount, datagram * MMSGHDR_BYTES + IOVEC_COUNT_OFFSET);
  }

  /** Bytes of a datagram that was received. */
  lengthOf(datagram: number): number {
    return this.#headers.readUInt32LE(datagram * MMSGHDR_BYTES + LENGTH_OFFSET);
  }

  /** Whether two datagrams came from one address. */
  haveOneSender(one: number, other: number): boolean {
    return this.#isAt(one, this.#names, this.#startOf(other));
  }

  /** The address that a datagram came from, as text. */
  senderOf(datagram: number): string {
    if (this.#lastText === '' || !this.#isAt(datagram, this.#lastSender, 0)) {
      const start = this.#startOf(datagram);
      this.#names.copy(this.#lastSender, 0, start, start + this.#addressBytes);
      this.#lastText = addressText(this.#lastSender);
    }
    return this.#lastText;
  }

  #startOf(datagram: number): number {
    return datagram * NAME_BYTES + this.#addressOffset;
  }

  #isAt(datagram: number, addresses: Buffer, offset: number): boolean {
    const start = this.#startOf(datagram);
    for (let i = 0; i < this.#addressBytes; i++) {
      if (this.#names[start + i] !== addresses[offset + i]) return false;
    }
    return true;
  }
}

/** The text of an address as the system writes it (for IPv6, RFC 5952). */
function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
