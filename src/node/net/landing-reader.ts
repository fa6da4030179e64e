/**
 * Reads one train such that the kernel itself puts each payload where it will most likely belong, and
 * the headers apart: what is so received need not be copied any more.
 */
import type { Landing } from '../../client/landing.js';
import { BLOCK_HEADER_BYTES } from '../../protocol/block.js';
import type { Native } from '../native.js';
import { SLOT_BYTES } from './batch-layout.js';
import { Iovecs } from './iovecs.js';
import { Messages } from './messages.js';

/** Packets that the kernel coalesces at most, and some more: what goes beyond is taken as a whole. */
const MOST_PACKETS = 64;
const MSG_DONTWAIT = 0x40;

export class LandingReader {
  /** Of the packets of the train, one after the other. */
  readonly headers = Buffer.alloc(MOST_PACKETS * BLOCK_HEADER_BYTES);
  readonly #native: Native;
  readonly #fd: number;
  readonly #messages: Messages;
  readonly #iovecs: Iovecs;
  readonly #overflow = Buffer.allocUnsafeSlow(SLOT_BYTES);
  readonly #whole = Buffer.allocUnsafeSlow(SLOT_BYTES);

  constructor(native: Native, fd: number, isV6: boolean) {
    this.#native = native;
    this.#fd = fd;
    this.#messages = new Messages(native, 1, isV6);
    this.#iovecs = new Iovecs(native, 2 * MOST_PACKETS + 1);
    this.#messages.setPlace(0, this.#iovecs.addressFrom(0), 0);
    const headers = this.#iovecs.addressOf(this.headers);
    for (let packet = 0; packet < MOST_PACKETS; packet++) {
      const address = headers + packet * BLOCK_HEADER_BYTES;
      this.#iovecs.lay(2 * packet, address, BLOCK_HEADER_BYTES);
    }
  }

  /** @returns bytes of the datagram that came, 0 when there was none */
  read(landing: Landing): number {
    const { bytes, startOffset, blockSize } = landing;
    const packets = Math.min(landing.blockCount, MOST_PACKETS);
    const address = this.#iovecs.addressOf(bytes);
    for (let packet = 0, start = startOffset; packet < packets; packet++, start += blockSize) {
      this.#layHeader(packet);
      this.#iovecs.lay(2 * packet + 1, address + start, roomAt(start, landing));
    }
    this.#iovecs.lay(2 * packets, this.#iovecs.addressOf(this.#overflow), SLOT_BYTES);
    this.#messages.setPieces(0, 2 * packets + 1);
    const count = this.#native.recvmmsg(this.#fd, this.#messages.address, 1, MSG_DONTWAIT);
    return count === 1 ? Math.min(this.#messages.lengthOf(0), SLOT_BYTES) : 0;
  }

  #layHeader(packet: number): void {
    const address = this.#iovecs.addressOf(this.headers) + packet * BLOCK_HEADER_BYTES;
    this.#iovecs.lay(2 * packet, address, BLOCK_HEADER_BYTES);
  }

  /** The address that the datagram came from. */
  get sender(): string {
    return this.#messages.senderOf(0);
  }

  /** The datagram read last, in one piece: it was not what it was taken for. */
  join(landing: Landing, lengthBytes: number): Buffer {
    const { bytes, startOffset, blockSize } = landing;
    const packets = Math.min(landing.blockCount, MOST_PACKETS);
    const whole = this.#whole;
    let at = 0;
    for (let packet = 0; packet < packets && at < lengthBytes; packet++) {
      const header = packet * BLOCK_HEADER_BYTES;
      at += this.headers.copy(whole, at, header, header + BLOCK_HEADER_BYTES);
      const start = startOffset + packet * blockSize;
      at += bytes.copy(whole, at, start, start + roomAt(start, landing));
    }
    if (at < lengthBytes) this.#overflow.copy(whole, at, 0, lengthBytes - at);
    return whole;
  }
}

/** Bytes for the payload at `start`: less than a block's where the memory ends. */
function roomAt(start: number, { bytes, blockSize }: Landing): number {
  return Math.min(blockSize, bytes.length - start);
}
