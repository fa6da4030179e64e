/** Where the datagrams of one `recvmmsg` go: one after the other, at a fixed distance. */
import type { Native } from '../native.js';
import { Iovecs } from './iovecs.js';
import { Messages } from './messages.js';

/** A coalesced train, or the largest datagram. */
export const SLOT_BYTES = 65_536;

export interface BatchMemory {
  /** Datagrams, at the layout's distance from each other. */
  data: Buffer;
  /** What of a datagram goes beyond that distance. */
  overflow: Buffer;
}

export class BatchLayout {
  readonly messages: Messages;
  /** The kernel reads it by its address: it must not be collected. */
  readonly iovecs: Iovecs;

  /** @param strideBytes distance of the datagrams in `data`, at most `SLOT_BYTES` */
  constructor(
    native: Native,
    count: number,
    isV6: boolean,
    readonly strideBytes: number,
    memory: BatchMemory,
  ) {
    this.messages = new Messages(native, count, isV6);
    this.iovecs = new Iovecs(native, 2 * count);
    const data = this.iovecs.addressOf(memory.data);
    const overflow = this.iovecs.addressOf(memory.overflow);
    for (let i = 0; i < count; i++) {
      this.iovecs.lay(2 * i, data + i * strideBytes, strideBytes);
      this.iovecs.lay(2 * i + 1, overflow + i * SLOT_BYTES, SLOT_BYTES - strideBytes);
      this.messages.setPlace(i, this.iovecs.addressFrom(2 * i), 2);
    }
  }
}
