/**
 * The server as a machine without sockets, disks or clocks: packets, chunks read and time come
 * in as calls; trains of packets, read orders, the next deadline and events come out.
 */
import type { BlockMap } from '../image/block-map.js';
import { encodeNotice, NoticeCode, type NoticeCodeId } from '../protocol/from-server.js';
import { ChunkCache } from './chunk-cache.js';
import { ClientTable } from './client-table.js';
import type { Client, Peer } from './clients.js';
import type { ServerConfig } from './config.js';
import { Copies } from './copies.js';
import type { ServedClient, ServerEvent, ServerProgress } from './events.js';
import { LEAST_SILENT_MS, Listeners } from './listeners.js';
import { Neighbours } from './neighbours.js';
import type { ReadOrder, ReadOutcome, Transmit } from './orders.js';
import { Origins } from './origins.js';
import { Pacer } from './pacer.js';
import { RateController } from './rate.js';
import { Reception } from './reception.js';
import { StatusClock } from './status-clock.js';
import { Stream } from './stream.js';
import type { Payloads } from './train.js';

/** Replies that may wait to be sent; whoever gets none asks again. */
const MOST_REPLIES = 512;

/** Clients listed in progress, the latest to join: a list of thousands helps nobody. */
const MOST_SHOWN = 512;

export class ServerSession {
  readonly #config: ServerConfig;
  readonly #clients: ClientTable;
  readonly #copies = new Copies();
  readonly #listeners: Listeners;
  readonly #rate: RateController;
  readonly #pacer = new Pacer();
  readonly #stream: Stream;
  readonly #statusClock: StatusClock;
  readonly #neighbours: Neighbours;
  readonly #reception: Reception;
  readonly #allServers: Peer;
  readonly #replies: { bytes: Buffer; to: Peer | null }[] = [];
  readonly #transmit: Transmit = { length: 0, packetBytes: 0, to: null, payloads: null };
  #events: ServerEvent[] = [];
  #packetsBad = 0;
  #wireBytes = 0;
  #passSeen = 0;

  constructor(config: ServerConfig) {
    const { session, blockSize, map, slots, firstPosition = 1, gathers = false } = config;
    this.#config = config;
    this.#clients = new ClientTable(new Origins(map.geometry));
    this.#listeners = new Listeners(this.#clients);
    const cache = new ChunkCache(slots, blockSize);
    this.#stream = new Stream({ session, blockSize, firstPosition, map, cache, gathers });
    this.#statusClock = new StatusClock(session, this.#stream, this.#listeners);
    this.#neighbours = new Neighbours(session);
    this.#allServers = { address: config.group, port: config.serverPort };
    this.#rate = new RateController({
      packetBytes: this.#stream.packetBytes,
      firstPosition,
      ceilingBytesPerMs: config.ceilingBytesPerMs,
      waitForSlow: config.waitForSlow,
    });
    this.#reception = new Reception(config, {
      stream: this.#stream,
      clients: this.#clients,
      copies: this.#copies,
      listeners: this.#listeners,
      neighbours: this.#neighbours,
      statusClock: this.#statusClock,
      reply: (bytes, to) => this.#reply(bytes, to),
      observe: (event) => this.#events.push(event),
    });
  }

  /** The block map is complete: name it to the clients and serve its pages. */
  setMap(map: BlockMap, now: number): void {
    this.#stream.setMap(map, this.#listeners.count > 0);
    this.#statusClock.hasten(now);
  }

  /** Takes one datagram from a client; bad ones are counted and dropped. */
  handleDatagram(bytes: Buffer, from: Peer, now: number): void {
    if (!this.#reception.handle(bytes, from, now)) this.#packetsBad++;
  }

  /** Takes what came of a read order. */
  handleRead(slot: number, outcome: ReadOutcome): void {
    this.#stream.handleRead(slot, outcome);
  }

  /** Next chunk to read, or null for now. */
  pollRead(): ReadOrder | null {
    return this.#stream.pollRead();
  }

  /** Tells all clients something about the image or the session. */
  notify(code: NoticeCodeId, first: number, count: number, text: string): void {
    const session = this.#config.session;
    this.#reply(encodeNotice({ session, code, first, count, text }), null);
  }

  /** What to send to the group last, when clients still wait; null when none does. */
  goodbye(now: number): Buffer | null {
    if (this.#clients.hungry(now, LEAST_SILENT_MS).length === 0) return null;
    const { session } = this.#config;
    const text = 'the server was stopped';
    return encodeNotice({ session, code: NoticeCode.leaving, first: 0, count: 0, text });
  }

  #reply(bytes: Buffer, to: Peer | null): void {
    if (this.#replies.length < MOST_REPLIES) this.#replies.push({ bytes, to });
  }

  /**
   * Fills `out` with the next datagram or train that may go at `now`.
   * @returns null when nothing may go before `nextDeadline`, or before something is handled
   */
  pollTransmit(now: number, out: Buffer): Transmit | null {
    if (this.#listeners.update(now)) {
      this.#rate.update(now, this.#listeners.sentinels, this.#stream.position);
      if (this.#listeners.count === 0 && !this.#stream.isIdle) this.#stream.forget();
    }
    // First what all hear: from it they learn not to ask all at once.
    const status = this.#statusClock.poll(now);
    if (status !== null) return this.#single(status, null, out);
    const reply = this.#replies.shift();
    if (reply !== undefined) return this.#single(reply.bytes, reply.to, out);
    const search = this.#neighbours.poll(now);
    if (search !== null) return this.#single(search, this.#allServers, out);
    return this.#mayStream(now) ? this.#train(now, out) : null;
  }

  #train(now: number, out: Buffer): Transmit | null {
    const { delayMs } = this.#config;
    const length = this.#stream.fill(out, delayMs > 0 ? 1 : this.#mostTrainBytes);
    if (length === 0) {
      this.#pacer.rest(now);
      return null;
    }
    this.#rate.sent(length);
    this.#pacer.sent(now, length, delayMs > 0 ? length / delayMs : this.#rate.bytesPerMs);
    this.#notePass();
    this.#statusClock.noteSent(now);
    return this.#order(length, this.#stream.packetBytes, null, this.#stream.payloads);
  }

  /**
   * At most what half a millisecond carries, as far as that was tried, and one packet at least: a switch or a
   * shaper with a small bucket lets that pass whole, where of longer trains it would have to make single packets.
   */
  get #mostTrainBytes(): number {
    return Math.min(this.#config.mostTrainBytes, Math.floor(this.#rate.triedBytesPerMs / 2));
  }

  #single(bytes: Buffer, to: Peer | null, out: Buffer): Transmit {
    bytes.copy(out);
    return this.#order(bytes.length, bytes.length, to, null);
  }

  #order(
    length: number,
    packetBytes: number,
    to: Peer | null,
    payloads: Payloads | null,
  ): Transmit {
    this.#transmit.length = length;
    this.#transmit.packetBytes = packetBytes;
    this.#transmit.to = to;
    this.#transmit.payloads = payloads;
    if (to === null) this.#wireBytes += length;
    return this.#transmit;
  }

  #mayStream(now: number): boolean {
    if (now < this.#pacer.nextMs) return false;
    const { sentinels } = this.#listeners;
    const isHeld = this.#rate.isHeldBack(sentinels, this.#stream.position, now);
    if (isHeld || !this.#listeners.isHeard(now)) {
      this.#pacer.rest(now);
      return false;
    }
    return true;
  }

  #notePass(): void {
    const { pass, pendingChunks, isIdle } = this.#stream;
    if (pass !== this.#passSeen) {
      this.#passSeen = pass;
      this.#events.push({ type: 'pass-begun', pass, pendingChunks });
    }
    if (isIdle) this.#events.push({ type: 'pass-ended', pass });
  }

  /** When `pollTransmit` may have something that it had not before; in ms on the caller's clock. */
  nextDeadline(now: number): number {
    if (this.#replies.length > 0) return now;
    let deadline = Math.min(this.#statusClock.dueMs, this.#neighbours.dueMs);
    if (this.#stream.hasBlocks) {
      const next = this.#pacer.nextMs;
      // Held by the window: a report wakes us, or the judging of clients at the next round.
      deadline = Math.min(deadline, next > now ? next : this.#listeners.nextRoundMs);
    }
    return Math.max(deadline, now);
  }

  pollEvents(): ServerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Machines that hold a proven copy. */
  get doneCount(): number {
    return this.#copies.count;
  }

  /** Counts a machine that holds a copy from before this server was started. */
  knowCopy(machine: bigint): void {
    this.#copies.add(machine);
  }

  /** Who would be left without a copy if the server ended now. */
  unfinished(now: number): ServedClient[] {
    const left = new Map<bigint, Client>();
    for (const client of this.#clients.underWay(now)) {
      if (!this.#copies.has(client.machine)) left.set(client.machine, client);
    }
    return [...left.values()].map((client) => client.describe(now));
  }

  progress(now: number): ServerProgress {
    const { map } = this.#config;
    return {
      state: this.#stream.isIdle ? 'idle' : 'sending',
      preparedRatio: map.knownCount / map.geometry.chunkCount,
      chunkCount: map.geometry.chunkCount,
      pendingChunks: this.#stream.pendingChunks,
      cursorChunk: this.#stream.cursor,
      pass: this.#stream.pass,
      blocksSent: this.#stream.blocksSent,
      wireBytes: this.#wireBytes,
      rateBitsPerSecond: Math.round(this.#rate.bytesPerMs * 8000),
      clients: this.#clients.latest(MOST_SHOWN).map((client) => client.describe(now)),
      packetsBad: this.#packetsBad,
    };
  }
}
