/**
 * Receives from the group through the C library: many datagrams to a call, coalesced by the kernel
 * where it can.
 */
import { now } from '../clock.js';
import type { Native } from '../native.js';
import { BatchReader } from './batch-reader.js';
import { isIPv6Address } from './family.js';
import type { GroupHandler, GroupReceiver } from './group-receiver.js';
import type { GroupOptions } from './group-sender.js';
import { Membership } from './membership.js';
import {
  growNativeReceiveBuffer,
  joinGroup,
  openNativeSocket,
  SOL_UDP,
  socketAddress,
  UDP_GRO,
} from './socket-options.js';
import { networkFailure } from './udp-binding.js';

/**
 * While many packets come, the socket is looked at so seldom that each look brings about so much: the look, and
 * handing on what it brought, cost more than the packets. A small buffer could overflow in that time.
 */
const BYTES_PER_LOOK = 1024 * 1024;
const LEAST_BUSY_POLL_MS = 5;
const MOST_BUSY_POLL_MS = 20;
const SMALL_BUFFER_BYTES = 8 * 1024 * 1024;
/** A few packets are answers that something waits for. */
const FEW_BYTES = 24 * 1024;
const FEW_POLL_MS = 2;
const IDLE_POLL_MS = 8;
/** A timer does not go off sooner. */
const LEAST_PAUSE_MS = 1;
/** So much is taken before the event loop gets its turn, and the server hears how far the client is. */
const MOST_BYTES_PER_TURN = 2 * 1024 * 1024;

export function openPolledReceiver(
  { group, port, chosen }: GroupOptions,
  handler: GroupHandler,
  native: Native,
): GroupReceiver {
  // Bound to the group's own address, the socket hears no other group of this port.
  const fd = openNativeSocket(native, socketAddress(group, port, chosen.label));
  const membership = new Membership(group, (now) => joinGroup(native, fd, group, now));
  if (!membership.join(chosen)) {
    native.close(fd);
    throw networkFailure(new Error('the group cannot be joined'), group, chosen);
  }
  const receiveBufferBytes = growNativeReceiveBuffer(native, fd);
  const canCoalesce = native.setOption(fd, SOL_UDP, UDP_GRO, 1);
  const reader = new BatchReader(native, fd, isIPv6Address(group));
  const isSmall = receiveBufferBytes < SMALL_BUFFER_BYTES;
  const poller = new Poller(reader, handler, isSmall);
  return {
    transport: canCoalesce ? 'batches and coalescing' : 'batches',
    receiveBufferBytes,
    expect: (packetBytes) => reader.expect(packetBytes),
    tendMembership: (now, isDoubted) => membership.tend(now, isDoubted),
    close: () => {
      poller.stop();
      native.close(fd);
    },
  };
}

/**
 * Looks at the socket by the clock. An event for every few packets would cost more than all the
 * rest of receiving them; the socket's buffer holds what comes in between.
 */
class Poller {
  readonly #reader: BatchReader;
  readonly #handler: GroupHandler;
  readonly #isSmall: boolean;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #waitMs = IDLE_POLL_MS;
  #busyPollMs = LEAST_BUSY_POLL_MS;

  /** @param isSmall the socket's buffer is */
  constructor(reader: BatchReader, handler: GroupHandler, isSmall: boolean) {
    this.#reader = reader;
    this.#handler = handler;
    this.#isSmall = isSmall;
    this.#timer = setTimeout(this.#poll, 0);
  }

  readonly #poll = (): void => {
    const beginMs = now();
    let count = 0;
    let bytes = 0;
    let mayHaveMore = true;
    while (mayHaveMore && bytes < MOST_BYTES_PER_TURN) {
      if (!this.#handler.canTake()) {
        mayHaveMore = false;
        count++;
        break;
      }
      const read = this.#reader.read(this.#handler.onPackets);
      count += read.count;
      bytes += read.bytes;
      mayHaveMore = read.mayHaveMore;
    }
    if (count > 0) this.#handler.onBatch();
    if (!mayHaveMore) this.#waitMs = this.#pauseAfter(count, bytes);
    // What came takes its time, too: packets gather meanwhile.
    const leftMs = mayHaveMore ? 0 : this.#waitMs - (now() - beginMs);
    if (leftMs < LEAST_PAUSE_MS) this.#immediate = setImmediate(this.#poll);
    else this.#timer = setTimeout(this.#poll, leftMs);
  };

  #pauseAfter(datagrams: number, bytes: number): number {
    if (datagrams === 0) return Math.min(this.#waitMs * 2, IDLE_POLL_MS);
    if (bytes < FEW_BYTES || this.#isSmall) return FEW_POLL_MS;
    const fittingMs = (this.#busyPollMs * BYTES_PER_LOOK) / bytes;
    this.#busyPollMs = Math.min(MOST_BUSY_POLL_MS, Math.max(LEAST_BUSY_POLL_MS, fittingMs));
    return this.#busyPollMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }
}
