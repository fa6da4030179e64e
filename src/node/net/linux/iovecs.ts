/**
 * Pieces of memory for one system call: `struct iovec`s, laid out for 64-bit little-endian Linux.
 *
 * Why by hand: koffi would make objects of them for each call. May be deleted with both that use
 * it, `train-sender.ts` and `batch-layout.ts`.
 */

import type { Native } from '../../system/native.js';

const IOVEC_BYTES = 16;
const IOVEC_WORDS = 4;
const WORD = 2 ** 32;

export class Iovecs {
  private readonly native: Native;
  private readonly base: bigint;
  private readonly words: Uint32Array;
  /** Looking an address up costs more than all else here. */
  private readonly addresses = new WeakMap<Buffer, number>();

  /** @param count most pieces */
  constructor(native: Native, count: number) {
    const bytes = Buffer.alloc(count * IOVEC_BYTES);
    this.native = native;
    this.base = native.addressOf(bytes);
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, count * IOVEC_WORDS);
  }

  /** Where the list of pieces begins, from the given one on. */
  addressFrom(piece: number): bigint {
    return this.base + BigInt(piece * IOVEC_BYTES);
  }

  /** A buffer's place in memory. As a number: addresses fit a double, and BigInts are allocated. */
  addressOf(bytes: Buffer): number {
    let address = this.addresses.get(bytes);
    if (address === undefined) {
      address = Number(this.native.addressOf(bytes));
      this.addresses.set(bytes, address);
    }
    return address;
  }

  /** Makes `lengthBytes` at `address` a piece of the list. */
  lay(piece: number, address: number, lengthBytes: number): void {
    const at = piece * IOVEC_WORDS;
    this.words[at] = address % WORD;
    this.words[at + 1] = address / WORD;
    this.words[at + 2] = lengthBytes;
  }
}
