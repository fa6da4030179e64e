/**
 * Reads many datagrams with one system call (`recvmmsg`) into memory that is allocated once.
 *
 * Single packets are laid back to back as they come, so that they read like a train. Trains that the
 * kernel left coalesced get room of their own, or land where their payloads belong. What came
 * last tells what to be ready for.
 */

import type { Native } from '../native.js';
import { BatchLayout, SLOT_BYTES } from './batch-layout.js';
import type { GroupHandler, PacketsHandler } from './group-receiver.js';
import { LandingReader } from './landing-reader.js';

/** Datagrams to a call: single packets, and trains, of which a few fill the processor's cache. */
const BATCH = 64;
const TRAIN_BATCH = 8;
const TRAIN_BYTES = 16_384;
const MSG_DONTWAIT = 0x40;

export class BatchReader {
  readonly #native: Native;
  readonly #fd: number;
  readonly #isV6: boolean;
  readonly #memory = {
    data: Buffer.allocUnsafeSlow(BATCH * SLOT_BYTES),
    overflow: Buffer.allocUnsafeSlow(BATCH * SLOT_BYTES),
  };
  readonly #joined = Buffer.allocUnsafeSlow(SLOT_BYTES);
  readonly #forTrains: BatchLayout;
  /** Null while the length of packets is not known. */
  #forSingles: BatchLayout | null = null;
  #layout: BatchLayout;
  readonly #landings: LandingReader;
  #isTrain = false;

  constructor(native: Native, fd: number, isV6: boolean) {
    this.#native = native;
    this.#fd = fd;
    this.#isV6 = isV6;
    this.#forTrains = new BatchLayout(native, BATCH, isV6, SLOT_BYTES, this.#memory);
    this.#layout = this.#forTrains;
    this.#landings = new LandingReader(native, fd, isV6);
  }

  /** From now on the stream's packets are `packetBytes` long. */
  expect(packetBytes: number): void {
    const stride = Math.min(packetBytes, SLOT_BYTES);
    this.#forSingles = new BatchLayout(this.#native, BATCH, this.#isV6, stride, this.#memory);
    this.#layout = this.#forSingles;
  }

  /** Hands over some of what is waiting in the socket. */
  read(handler: GroupHandler): { count: number; mayHaveMore: boolean } {
    return (
      (this.#isTrain ? this.#readLanding(handler) : null) ?? this.#readBatch(handler.onPackets)
    );
  }

  /** A train came last, so another will. @returns null when nothing is known of where it belongs */
  #readLanding({ landing, onLanded, onPackets }: GroupHandler) {
    let count = 0;
    for (; count < TRAIN_BATCH && this.#isTrain; count++) {
      const place = landing();
      if (place === null) return count === 0 ? null : { count, mayHaveMore: true };
      const reader = this.#landings;
      const length = reader.read(place);
      if (length === 0) return { count, mayHaveMore: false };
      if (!onLanded(reader.headers, length, reader.sender)) {
        onPackets(reader.join(place, length), 0, length, reader.sender);
        // Singles come here one by one: back to batches of them.
        this.#isTrain = length > (this.#forSingles?.strideBytes ?? 0);
      }
    }
    return { count, mayHaveMore: true };
  }

  #readBatch(onPackets: PacketsHandler): { count: number; mayHaveMore: boolean } {
    const most = this.#layout === this.#forTrains && this.#isTrain ? TRAIN_BATCH : BATCH;
    const { address } = this.#layout.messages;
    const count = this.#native.recvmmsg(this.#fd, address, most, MSG_DONTWAIT);
    if (count <= 0) return { count: 0, mayHaveMore: false };
    this.#handOver(count, onPackets);
    return { count, mayHaveMore: count === most };
  }

  /** Datagrams that lie back to back, from one sender, go together. */
  #handOver(count: number, onPackets: PacketsHandler): void {
    const { messages, strideBytes: stride } = this.#layout;
    const { data } = this.#memory;
    const singleBytes = this.#forSingles?.strideBytes ?? 0;
    let first = 0;
    let long = 0;
    let length = 0;
    for (let i = 0; i < count; i++) {
      length = messages.lengthOf(i);
      if (length > singleBytes) long++;
      if (length > stride) {
        if (first < i) onPackets(data, first * stride, i * stride, messages.senderOf(first));
        onPackets(this.#join(i, length), 0, length, messages.senderOf(i));
      } else if (length === stride && i + 1 < count && messages.haveOneSender(first, i + 1)) {
        continue;
      } else {
        onPackets(data, first * stride, i * stride + length, messages.senderOf(first));
      }
      first = i + 1;
    }
    this.#isTrain = length > TRAIN_BYTES;
    if (this.#forSingles !== null) {
      this.#layout = long > count / 2 ? this.#forTrains : this.#forSingles;
    }
  }

  /** A datagram that was longer than expected, in one piece. */
  #join(datagram: number, length: number): Buffer {
    const { data, overflow } = this.#memory;
    const stride = this.#layout.strideBytes;
    data.copy(this.#joined, 0, datagram * stride, (datagram + 1) * stride);
    const from = datagram * SLOT_BYTES;
    overflow.copy(this.#joined, stride, from, from + length - stride);
    return this.#joined;
  }
}
