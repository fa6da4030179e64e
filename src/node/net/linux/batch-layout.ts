/**
 * Where the datagrams of one `recvmmsg` go: the kernel's structures, laid out by hand for 64-bit
 * little-endian Linux.
 *
 * Why by hand: koffi would make objects of them for each call. May be deleted with
 * `batch-reader.ts`.
 */

import type { Native } from '../../system/native.js';
import { Iovecs } from './iovecs.js';

/** A coalesced train, or the largest datagram. */
export const SLOT_BYTES = 65_536;
const MMSGHDR_BYTES = 64;
const NAME_LENGTH_OFFSET = 8;
const IOVECS_OFFSET = 16;
const IOVEC_COUNT_OFFSET = 24;
const LENGTH_OFFSET = 56;
/** Of each datagram: where the expected length fits, and where the rest of a longer one goes. */
const IOVECS = 2;
const NAME_BYTES = 28;
/** Where addresses begin in a `sockaddr_in` and a `sockaddr_in6`. */
const IPV4_OFFSET = 4;
const IPV6_OFFSET = 8;

interface BatchMemory {
  /** Datagrams, at the layout's distance from each other. */
  data: Buffer;
  /** What of a datagram goes beyond that distance. */
  overflow: Buffer;
}

export class BatchLayout {
  /** For `recvmmsg`. */
  readonly address: bigint;
  /** In words. The kernel reads it by its address: it must not be collected. */
  private readonly headers: Uint32Array;
  /** As the headers: not to be collected. */
  readonly iovecs: Iovecs;
  private readonly names: Buffer;

  /** @param strideBytes distance of the datagrams in `data`, at most `SLOT_BYTES` */
  constructor(
    native: Native,
    count: number,
    readonly strideBytes: number,
    memory: BatchMemory,
  ) {
    const headers = Buffer.alloc(count * MMSGHDR_BYTES);
    this.headers = new Uint32Array(headers.buffer, headers.byteOffset, headers.length / 4);
    this.iovecs = new Iovecs(native, count * IOVECS);
    this.names = Buffer.alloc(count * NAME_BYTES);
    this.address = native.addressOf(headers);
    const data = this.iovecs.addressOf(memory.data);
    const overflow = this.iovecs.addressOf(memory.overflow);
    const names = native.addressOf(this.names);
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR_BYTES;
      headers.writeBigUInt64LE(names + BigInt(i * NAME_BYTES), header);
      // The kernel writes back how long the name is; it is always the same.
      headers.writeUInt32LE(NAME_BYTES, header + NAME_LENGTH_OFFSET);
      const piece = i * IOVECS;
      headers.writeBigUInt64LE(this.iovecs.addressFrom(piece), header + IOVECS_OFFSET);
      headers.writeUInt32LE(IOVECS, header + IOVEC_COUNT_OFFSET);
      this.iovecs.lay(piece, data + i * strideBytes, strideBytes);
      this.iovecs.lay(piece + 1, overflow + i * SLOT_BYTES, SLOT_BYTES - strideBytes);
    }
  }

  /** Bytes of a datagram that was received. */
  lengthOf(datagram: number): number {
    return this.headers[(datagram * MMSGHDR_BYTES + LENGTH_OFFSET) / 4]!;
  }

  /** The address of a datagram's sender. */
  copyAddress(datagram: number, to: Buffer, isV6: boolean): void {
    const start = datagram * NAME_BYTES + (isV6 ? IPV6_OFFSET : IPV4_OFFSET);
    this.names.copy(to, 0, start, start + (isV6 ? 16 : 4));
  }

  /** Whether `address` is that of a datagram's sender. */
  isFrom(datagram: number, address: Buffer, isV6: boolean): boolean {
    const start = datagram * NAME_BYTES + (isV6 ? IPV6_OFFSET : IPV4_OFFSET);
    const end = start + (isV6 ? 16 : 4);
    for (let at = start; at < end; at++) {
      if (this.names[at] !== address[at - start]) return false;
    }
    return true;
  }
}
