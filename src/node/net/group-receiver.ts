/**
 * Receives from the multicast group, in one of two ways: through the C library, many datagrams
 * to a call and coalesced by the kernel where it can; or through Node, one event a datagram.
 * What comes is the same: packets back to back in a buffer.
 */
import { loadNative, type Native } from '../native.js';
import { BatchReader } from './batch-reader.js';
import { isIPv6Address } from './family.js';
import type { GroupOptions } from './group-sender.js';
import type { ChosenInterface } from './network-interface.js';
import { joinAgain } from './renewal.js';
import {
  createUdpSocket,
  growNativeReceiveBuffer,
  joinGroup,
  openNativeSocket,
  SOL_UDP,
  socketAddress,
  tryGrowReceiveBuffer,
  UDP_GRO,
} from './socket-options.js';
import { bindSocket, networkFailure } from './udp-binding.js';

const WANTED_RECEIVE_BUFFER_BYTES = 64 * 1024 * 1024;
/**
 * While many packets come, the socket is looked at so seldom that each look brings about so much: the look, and
 * handing on what it brought, cost more than the packets. A small buffer could overflow in that time.
 */
const BYTES_PER_LOOK = 1024 * 1024;
const LEAST_BUSY_POLL_MS = 5;
const MOST_BUSY_POLL_MS = 20;
const SMALL_BUFFER_BYTES = 8 * 1024 * 1024;
/** Few packets are answers that something waits for. */
const FEW_POLL_MS = 2;
const MANY_DATAGRAMS = 16;
const IDLE_POLL_MS = 8;
/** Packets that Node takes in one turn of its event loop when there are enough. */
const PACKETS_PER_TURN = 32;
/** How long a thread lets packets gather, unless the buffer could be full before: at this speed. */
const MOST_REST_MS = 2;
const PLAIN_BYTES_PER_MS = 100_000;
/** Batches before the event loop gets its turn for what else happens. */
const MOST_BATCHES = 16;

export interface GroupReceiver {
  readonly transport: string;
  /** What the kernel granted. */
  readonly receiveBufferBytes: number;
  /** From now on the stream's packets are `packetBytes` long. */
  expect(packetBytes: number): void;
  /** Joins the group on an interface that was made anew. @returns whether it had to */
  rejoin(chosen: ChosenInterface): boolean;
  close(): void;
}

/** Packets back to back in `bytes[start, end)`, from `address`. The bytes are only lent. */
export type PacketsHandler = (bytes: Buffer, start: number, end: number, address: string) => void;

export interface GroupHandler {
  onPackets: PacketsHandler;
  /** What was there to read has been handed over. */
  onBatch: () => void;
  /** False leaves packets in the socket, where it can be done. */
  canTake: () => boolean;
}

export async function openGroupReceiver(
  options: GroupOptions,
  handler: GroupHandler,
): Promise<GroupReceiver> {
  const native = options.offload ? loadNative() : null;
  return native === null
    ? openThroughNode(options, handler)
    : openThroughLibrary(options, handler, native);
}

async function openThroughNode(
  { group, port, chosen }: GroupOptions,
  { onPackets, onBatch }: GroupHandler,
): Promise<GroupReceiver> {
  const socket = createUdpSocket(group, { reuse: true });
  // Bound to the group's own address, the socket hears no other group of this port.
  await bindSocket(socket, group, port);
  try {
    socket.addMembership(group, chosen.multicastAddress);
  } catch (error) {
    socket.close();
    throw networkFailure(error, group, chosen);
  }
  const receiveBufferBytes = tryGrowReceiveBuffer(socket, WANTED_RECEIVE_BUFFER_BYTES);
  socket.on('error', () => {});
  const rest = new Rest(onBatch, receiveBufferBytes);
  socket.on('message', (message, { address }) => {
    onPackets(message, 0, message.length, address);
    rest.note();
  });
  return {
    transport: 'plain datagrams',
    receiveBufferBytes,
    expect() {},
    rejoin: (now) => joinAgain(socket, group, now),
    close: () => socket.close(),
  };
}

/**
 * Lets packets gather: after a turn of the event loop that emptied the socket, the thread sleeps for
 * a moment. Being woken for every single packet costs both this machine and, where they share
 * cores, the sender more than all the rest of receiving it.
 */
class Rest {
  readonly #onBatch: () => void;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  readonly #restMs: number;
  #count = 0;

  constructor(onBatch: () => void, receiveBufferBytes: number) {
    this.#onBatch = onBatch;
    this.#restMs = Math.min(MOST_REST_MS, receiveBufferBytes / 2 / PLAIN_BYTES_PER_MS);
  }

  /** A packet was taken. */
  note(): void {
    if (this.#count++ === 0) setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    const isEmpty = this.#count < PACKETS_PER_TURN;
    this.#count = 0;
    this.#onBatch();
    if (isEmpty) Atomics.wait(this.#cell, 0, 0, this.#restMs);
  };
}

function openThroughLibrary(
  { group, port, chosen }: GroupOptions,
  handler: GroupHandler,
  native: Native,
): GroupReceiver {
  // Bound to the group's own address, the socket hears no other group of this port.
  const fd = openNativeSocket(native, socketAddress(group, port, chosen.label));
  if (!joinGroup(native, fd, group, chosen)) {
    native.close(fd);
    throw networkFailure(new Error('the group cannot be joined'), group, chosen);
  }
  const receiveBufferBytes = growNativeReceiveBuffer(native, fd, WANTED_RECEIVE_BUFFER_BYTES);
  const canCoalesce = native.setOption(fd, SOL_UDP, UDP_GRO, 1);
  const reader = new BatchReader(native, fd, isIPv6Address(group));
  const isSmall = receiveBufferBytes < SMALL_BUFFER_BYTES;
  const poller = new Poller(reader, handler, isSmall);
  return {
    transport: canCoalesce ? 'batches and coalescing' : 'batches',
    receiveBufferBytes,
    expect: (packetBytes) => reader.expect(packetBytes),
    rejoin: (now) => joinGroup(native, fd, group, now),
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
    let count = 0;
    let bytes = 0;
    let mayHaveMore = true;
    for (let batch = 0; batch < MOST_BATCHES && mayHaveMore; batch++) {
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
    if (mayHaveMore) {
      this.#immediate = setImmediate(this.#poll);
    } else {
      this.#waitMs = this.#pauseAfter(count, bytes);
      this.#timer = setTimeout(this.#poll, this.#waitMs);
    }
    if (count > 0) this.#handler.onBatch();
  };

  #pauseAfter(datagrams: number, bytes: number): number {
    if (datagrams === 0) return Math.min(this.#waitMs * 2, IDLE_POLL_MS);
    if (datagrams < MANY_DATAGRAMS || this.#isSmall) return FEW_POLL_MS;
    const fittingMs = (this.#busyPollMs * BYTES_PER_LOOK) / bytes;
    this.#busyPollMs = Math.min(MOST_BUSY_POLL_MS, Math.max(LEAST_BUSY_POLL_MS, fittingMs));
    return this.#busyPollMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }
}
