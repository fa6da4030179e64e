/**
 * Receives one image: takes the stream's packets apart, hands complete chunks to be stored,
 * proves them by the block map, and asks for what is missing.
 */
import type { Digest } from '../image/block-map.js';
import { Geometry } from '../image/geometry.js';
import {
  BLOCK_HEADER_BYTES,
  blockCountOf,
  blockLengthOf,
  blockOf,
  chunkOf,
  Encoding,
  type EncodingId,
  encodedLengthOf,
  encodingOfKind,
  kindByteOf,
  positionOf,
  Space,
  type SpaceId,
  spaceOfKind,
} from '../protocol/block.js';
import {
  ClientState,
  type ClientStateId,
  encodeReport,
  type Report,
} from '../protocol/from-client.js';
import { decodeStatus, decodeZeroRanges, type ImageDescription } from '../protocol/from-server.js';
import { PacketType, sessionHigh, sessionLow } from '../protocol/packet.js';
import { advancePosition, positionsBetween } from '../protocol/position.js';
import { Asking, type AskingContext } from './asking.js';
import { Assembly } from './assembly.js';
import type { Collector } from './collector.js';
import { Copy } from './copy.js';
import type { ClientEvent, ClientProgress } from './events.js';
import { MapFetch } from './map-fetch.js';
import { Reporting } from './reporting.js';
import type { Target } from './session.js';

export interface ReceiverConfig {
  client: bigint;
  description: ImageDescription;
  digest: Digest;
  random: () => number;
  target: Target;
}

/** Something to put on the target. */
export type StoreOrder =
  | {
      kind: 'chunk';
      chunk: number;
      /** Memory that holds the encoded chunk. */
      slot: number;
      encodedLength: number;
      encoding: EncodingId;
      offsetBytes: number;
      lengthBytes: number;
      /** When known, nothing that has another digest may be written. */
      expected: Buffer | null;
    }
  | { kind: 'zeros'; first: number; count: number; offsetBytes: number; lengthBytes: number };

export type StoreOutcome =
  | { kind: 'stored'; digest: Uint8Array }
  /** It was not what it should be: a broken frame, or not the expected digest. */
  | { kind: 'refused' };

const CHECK_HALVES_MS = 10;
/** Longest run of zeros stored at once, so that progress shows and memory is bounded. */
const MOST_ZERO_BYTES = 64 * 1024 * 1024;

export class Receiver {
  readonly #config: ReceiverConfig;
  readonly #geometry: Geometry;
  readonly #copy: Copy;
  readonly #assembly: Assembly;
  readonly #asking: Asking;
  readonly #mapFetch: MapFetch;
  readonly #reporting: Reporting;
  readonly #stores: StoreOrder[] = [];
  readonly #context: AskingContext;
  #outgoing: Buffer[] = [];
  #events: ClientEvent[] = [];
  #blockSize: number;
  #sessionHigh = 0;
  #sessionLow = 0;
  #requestWindowMs = 0;
  #isServerIdle = false;
  #checkHalvesMs = Number.POSITIVE_INFINITY;
  #packetsReceived = 0;
  #wireBytes = 0;
  #blocksReceived = 0;
  #blocksDuplicate = 0;
  #packetsLost = 0;
  #chunksRefused = 0;
  #requestsSent = 0;

  constructor(config: ReceiverConfig, now: number) {
    const { description } = config;
    this.#config = config;
    this.#geometry = new Geometry(description.imageSize, description.chunkSize);
    this.#copy = new Copy(this.#geometry, config.digest);
    this.#assembly = new Assembly(config.target.slots);
    this.#asking = new Asking(this.#copy, this.#assembly);
    this.#mapFetch = new MapFetch(this.#copy);
    this.#reporting = new Reporting(config.client, now);
    this.#blockSize = description.blockSize;
    this.#context = { session: description.session, client: config.client, position: 0 };
    this.#enter(description);
    this.knowMap(description.mapId, now);
    this.#asking.askAll(now, 0);
  }

  #enter(description: ImageDescription): void {
    this.#blockSize = description.blockSize;
    this.#context.session = description.session;
    this.#context.position = description.position;
    this.#sessionHigh = Number(description.session >> 32n);
    this.#sessionLow = Number(description.session & 0xffffffffn);
    this.#isServerIdle = false;
  }

  get isExhausted(): boolean {
    return this.#assembly.isExhausted;
  }

  get isProven(): boolean {
    return this.#copy.isProven;
  }

  get mapId(): string | null {
    return this.#copy.mapIdHex;
  }

  /** The same image is served in a new session. */
  rejoin(description: ImageDescription, now: number): void {
    this.#assembly.clear();
    this.#mapFetch.clear(now);
    this.#asking.reset();
    this.#enter(description);
    this.knowMap(description.mapId, now);
    this.#asking.askAll(now, 0);
    this.#reporting.hurry(now);
  }

  /** Whether `mapId` may name the image that is being copied. */
  agreesWith(mapId: Buffer | null): boolean {
    const { map } = this.#copy;
    return map === null || mapId === null || map.id.equals(mapId);
  }

  /** Learns the image's id, once the server has prepared the map. */
  knowMap(mapId: Buffer | null, now: number): void {
    if (mapId === null || this.#copy.map !== null) return;
    this.#copy.beginMap(mapId);
    this.#mapFetch.hurry(now + this.#jitter());
    this.#events.push({ type: 'map-known', mapId: mapId.toString('hex') });
  }

  #queueMapRequest(now: number): void {
    for (const packet of this.#mapFetch.turn(now, this.#context)) this.#outgoing.push(packet);
  }

  isOwnSession(bytes: Buffer, offset: number): boolean {
    return (
      sessionLow(bytes, offset) === this.#sessionLow &&
      sessionHigh(bytes, offset) === this.#sessionHigh
    );
  }

  /** Takes one packet of the session. @returns false when it is malformed */
  take(type: number, bytes: Buffer, offset: number, length: number, now: number): boolean {
    if (type === PacketType.block) return this.#takeBlock(bytes, offset, length, now);
    const packet = bytes.subarray(offset, offset + length);
    if (type === PacketType.status) return this.#takeStatus(packet, now);
    if (type === PacketType.zeroRanges) return this.#takeZeroRanges(packet, now);
    return false;
  }

  #takeBlock(bytes: Buffer, offset: number, length: number, now: number): boolean {
    if (length < BLOCK_HEADER_BYTES) return false;
    const kindByte = kindByteOf(bytes, offset);
    const space = spaceOfKind(kindByte);
    const encodedLength = encodedLengthOf(bytes, offset);
    const block = blockOf(bytes, offset);
    const payloadBytes = length - BLOCK_HEADER_BYTES;
    if (
      payloadBytes === 0 ||
      block >= blockCountOf(encodedLength, this.#blockSize) ||
      payloadBytes !== blockLengthOf(encodedLength, this.#blockSize, block)
    ) {
      return false;
    }
    const start = offset + BLOCK_HEADER_BYTES;
    const end = offset + length;
    const chunk = chunkOf(bytes, offset);
    const position = positionOf(bytes, offset);
    if (space === Space.image) {
      if (!this.#isPlausible(chunk, encodedLength, kindByte)) return false;
      this.#seen(position, length, now);
      this.#takeImageBlock(chunk, kindByte, encodedLength, block, position, bytes, start, end, now);
      return true;
    }
    if (space !== Space.mapPage && space !== Space.mapRoot) return false;
    this.#seen(position, length, now);
    this.#takeMapBlock(space, chunk, block, kindByte, encodedLength, bytes, start, end, now);
    return true;
  }

  #isPlausible(chunk: number, encodedLength: number, kindByte: number): boolean {
    if (chunk >= this.#geometry.chunkCount) return false;
    const rawLength = this.#geometry.chunkLength(chunk);
    const encoding = encodingOfKind(kindByte);
    if (encoding === Encoding.raw) return encodedLength === rawLength;
    return encoding === Encoding.zstd && encodedLength < rawLength;
  }

  #takeImageBlock(
    chunk: number,
    kindByte: number,
    encodedLength: number,
    block: number,
    position: number,
    bytes: Buffer,
    start: number,
    end: number,
    now: number,
  ): void {
    if (this.#copy.isSettled(chunk)) {
      this.#blocksDuplicate++;
      return;
    }
    let collector = this.#assembly.find(chunk);
    if (
      collector !== undefined &&
      (collector.kindByte !== kindByte || collector.encodedLength !== encodedLength)
    ) {
      this.#assembly.abandon(collector);
      collector = undefined;
    }
    if (collector === undefined) {
      const opened = this.#assembly.open(
        chunk,
        kindByte,
        encodedLength,
        this.#blockSize,
        this.#givenUp,
      );
      if (opened === null) {
        // Nowhere to put it: to the server this is a packet that did not arrive.
        this.#packetsReceived--;
        return;
      }
      collector = opened;
      if (this.#checkHalvesMs === Number.POSITIVE_INFINITY) {
        this.#checkHalvesMs = now + CHECK_HALVES_MS;
      }
    }
    collector.lastPosition = position;
    collector.lastMs = now;
    if (!collector.add(block, bytes, start, end)) {
      this.#blocksDuplicate++;
      return;
    }
    this.#blocksReceived++;
    if (collector.isComplete) this.#complete(collector);
  }

  /** A half chunk lost its slot. The next pass, or the next idle status, brings it again. */
  readonly #givenUp = (chunk: number): void => {
    this.#asking.giveUp(chunk);
  };

  #complete(collector: Collector): void {
    const { chunk } = collector;
    this.#assembly.close(collector);
    this.#copy.storing(chunk);
    this.#stores.push({
      kind: 'chunk',
      chunk,
      slot: collector.slot,
      encodedLength: collector.encodedLength,
      encoding: encodingOfKind(collector.kindByte) as EncodingId,
      offsetBytes: this.#geometry.chunkOffset(chunk),
      lengthBytes: this.#geometry.chunkLength(chunk),
      expected: this.#copy.expectedOf(chunk),
    });
  }

  #takeMapBlock(
    space: SpaceId,
    chunk: number,
    block: number,
    kindByte: number,
    encodedLength: number,
    bytes: Buffer,
    start: number,
    end: number,
    now: number,
  ): void {
    const fits = this.#mapFetch.take(
      space,
      chunk,
      block,
      kindByte,
      encodedLength,
      this.#blockSize,
      bytes,
      start,
      end,
      now,
    );
    if (!fits) return;
    if (space === Space.mapPage) {
      this.#judge(chunk, now);
    } else {
      const map = this.#copy.map!;
      for (let page = 0; page < this.#geometry.pageCount; page++) {
        if (map.hasPage(page)) this.#judge(page, now);
      }
      if (!map.isComplete) this.#mapFetch.hurry(now + this.#jitter());
    }
  }

  #judge(page: number, now: number): void {
    const { zeros, refuted } = this.#copy.judgePage(page);
    this.#chunksRefused += refuted;
    this.#storeZeros(zeros);
    if (refuted > 0) {
      this.#asking.askAll(now, this.#jitter());
    }
  }

  /** A blank target needs no zeros written, as long as nothing wrong was written to it. */
  get #areZerosFree(): boolean {
    return this.#config.target.isBlank && this.#chunksRefused === 0;
  }

  /** Orders ascending chunk numbers to be stored as zeros, in runs. */
  #storeZeros(chunks: readonly number[]): void {
    const most = Math.max(1, Math.floor(MOST_ZERO_BYTES / this.#geometry.chunkSizeBytes));
    for (let i = 0; i < chunks.length; ) {
      const first = chunks[i]!;
      let count = 1;
      while (i + count < chunks.length && chunks[i + count] === first + count) {
        if (count === most && !this.#areZerosFree) break;
        count++;
      }
      this.#storeZeroRun(first, count);
      i += count;
    }
  }

  #storeZeroRun(first: number, count: number): void {
    for (let chunk = first; chunk < first + count; chunk++) {
      const half = this.#assembly.find(chunk);
      if (half !== undefined) this.#assembly.abandon(half);
      if (!this.#areZerosFree) this.#copy.storing(chunk);
    }
    if (this.#areZerosFree) {
      this.#copy.storedZeros(first, count);
      return;
    }
    const last = first + count - 1;
    const offsetBytes = this.#geometry.chunkOffset(first);
    const endBytes = this.#geometry.chunkOffset(last) + this.#geometry.chunkLength(last);
    this.#stores.push({
      kind: 'zeros',
      first,
      count,
      offsetBytes,
      lengthBytes: endBytes - offsetBytes,
    });
  }

  #takeZeroRanges(packet: Buffer, now: number): boolean {
    const zeros = decodeZeroRanges(packet);
    if (zeros === null) return false;
    const { chunkCount } = this.#geometry;
    for (const { first, count } of zeros.ranges) {
      if (count === 0 || first >= chunkCount || count > chunkCount - first) return false;
    }
    this.#seen(zeros.position, packet.length, now);
    for (const { first, count } of zeros.ranges) {
      this.#storeZeros(this.#copy.missingThatMayBeZero(first, count));
    }
    return true;
  }

  #takeStatus(packet: Buffer, now: number): boolean {
    const status = decodeStatus(packet);
    if (status === null) return false;
    this.#wireBytes += packet.length;
    this.#requestWindowMs = status.requestWindowMs;
    this.#isServerIdle = status.isIdle;
    const isCurrent = this.knowPosition(status.position);
    this.#reporting.follow(status, now, this.#config.random());
    this.knowMap(status.mapId, now);
    if (isCurrent && !this.#copy.isWhole) {
      if (status.isIdle) this.#asking.serverIdle(now, this.#jitter());
      else this.#asking.passMoved(status.cursor, now, this.#jitter());
    }
    return true;
  }

  /** The server will send at `position` next. @returns false when later packets came already */
  knowPosition(position: number): boolean {
    const ahead = positionsBetween(this.#context.position, position);
    if (ahead > 0) {
      this.#packetsLost += ahead;
      this.#context.position = position;
    }
    return ahead >= 0;
  }

  #jitter(): number {
    return this.#config.random() * this.#requestWindowMs;
  }

  /** Counts a packet of the stream. */
  #seen(position: number, length: number, now: number): void {
    this.#packetsReceived++;
    this.#wireBytes += length;
    const ahead = positionsBetween(this.#context.position, position);
    if (ahead >= 0) {
      this.#packetsLost += ahead;
      this.#context.position = advancePosition(position, 1);
    }
    this.#isServerIdle = false;
    this.#reporting.moved(now);
  }

  pollStore(): StoreOrder | null {
    return this.#stores.shift() ?? null;
  }

  handleStored(order: StoreOrder, outcome: StoreOutcome, now: number): void {
    if (order.kind === 'zeros') {
      this.#copy.storedZeros(order.first, order.count);
    } else {
      this.#assembly.release(order.slot);
      const fits = outcome.kind === 'stored' && this.#copy.stored(order.chunk, outcome.digest);
      if (!fits) {
        this.#chunksRefused++;
        this.#copy.notStored(order.chunk);
        // A zero chunk that came as data has its true content from the map.
        if (this.#copy.isKnownZero(order.chunk)) this.#storeZeroRun(order.chunk, 1);
        else this.#asking.lost(order.chunk, now, this.#jitter());
      }
    }
    if (this.#copy.isWhole) this.#reporting.hurry(now);
  }

  /** The channel is quiet: ask for everything again. */
  askAgain(now: number): void {
    this.#asking.askAll(now, 0);
    this.#mapFetch.hurry(now);
  }

  handleTimeout(now: number): void {
    if (now >= this.#checkHalvesMs) {
      this.#asking.checkHalves(now, this.#context.position, this.#isServerIdle, this.#jitter());
      this.#checkHalvesMs =
        this.#assembly.openCount > 0 ? now + CHECK_HALVES_MS : Number.POSITIVE_INFINITY;
    }
    if (now >= this.#asking.dueMs) {
      const packets = this.#asking.turn(now, this.#context, this.#isServerIdle);
      for (const packet of packets) this.#outgoing.push(packet);
    }
    if (now >= this.#mapFetch.dueMs) this.#queueMapRequest(now);
    if (now >= this.#reporting.dueMs) {
      const state = this.#copy.isWhole ? ClientState.proving : ClientState.receiving;
      this.#outgoing.push(encodeReport(this.report(now, state)));
      this.#reporting.reported(now, this.#context.position);
    }
  }

  get dueMs(): number {
    return Math.min(
      this.#checkHalvesMs,
      this.#asking.dueMs,
      this.#mapFetch.dueMs,
      this.#reporting.dueMs,
    );
  }

  pollRequest(): Buffer | null {
    const packet = this.#outgoing.shift();
    if (packet === undefined) return null;
    this.#requestsSent++;
    return packet;
  }

  report(now: number, state: ClientStateId): Report {
    return {
      session: this.#context.session,
      client: this.#config.client,
      position: this.#context.position,
      packetsReceived: this.#packetsReceived >>> 0,
      clockUs: Math.round(now * 1000) >>> 0,
      missingChunks: this.#copy.missingCount,
      provenChunks: this.#copy.provenCount,
      receiveBufferBytes: this.#config.target.receiveBufferBytes,
      state,
    };
  }

  pollEvents(): ClientEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  progress(): ClientProgress {
    return {
      state: this.#copy.isWhole ? 'proving' : 'receiving',
      sizeBytes: this.#geometry.sizeBytes,
      writtenBytes: this.#copy.writtenBytes,
      provenBytes: this.#copy.provenBytes,
      missingChunks: this.#copy.missingCount,
      chunkCount: this.#geometry.chunkCount,
      wireBytes: this.#wireBytes,
      blocksReceived: this.#blocksReceived,
      blocksDuplicate: this.#blocksDuplicate,
      packetsLost: this.#packetsLost,
      packetsBad: this.#chunksRefused,
      blockRequestsSent: this.#requestsSent,
    };
  }
}
