/**
 * The server as a machine without sockets, disks or clocks.
 *
 * In come calls, each with the time: `handleDatagram`, `handleRead`, `beginPreparing`, `setMap`,
 * `notify`. Out comes one union, `pollOutput`. Whoever drives the machine carries out one output
 * after the other until `wait` comes, and begins again when something was handed in, room to send
 * has come, or the time of `wait` is there. The order is: reads, since disks take longest; what
 * the source has shown; packets, while there is room to send; events; `wait` when nothing is left.
 */
import type { BlockMap } from '../image/block-map.js';
import { encodeNotice, NoticeCode, type NoticeCodeId } from '../protocol/from-server.js';
import { ChunkCache } from './chunk-cache.js';
import { ChunkReads } from './chunk-reads.js';
import { ClientTable } from './client-table.js';
import type { Client, Peer } from './clients.js';
import { Compression } from './compression.js';
import type { ServerConfig } from './config.js';
import { Copies } from './copies.js';
import type { ServedClient, ServerEvent, ServerProgress } from './events.js';
import { LEAST_SILENT_MS, Listeners } from './listeners.js';
import { Neighbours } from './neighbours.js';
import { Origins } from './origins.js';
import type { ReadOrder, ReadOutcome, ServerOutput, Transmit } from './outputs.js';
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
  readonly #compression: Compression;
  readonly #reads: ChunkReads;
  /** Used again for each output of its kind. */
  readonly #transmit: Transmit = {
    kind: 'transmit',
    length: 0,
    packetBytes: 0,
    to: null,
    payloads: null,
  };
  readonly #wait = { kind: 'wait' as const, untilMs: 0 };
  readonly #events: ServerEvent[] = [];
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
    const { setting, engine, linkBytesPerMs } = config.compression;
    const { chunkCount } = map.geometry;
    this.#compression = new Compression(setting, engine, chunkCount, linkBytesPerMs);
    const { readers, idleCores } = config;
    this.#reads = new ChunkReads({ map, readers, idleCores }, this.#stream, this.#compression);
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

  /** All that can be known of the image without reading it is in the map: the rest may be read. */
  beginPreparing(): void {
    this.#reads.beginPreparing();
  }

  /** Takes what came of a read order. */
  handleRead(order: ReadOrder, outcome: ReadOutcome, now: number): void {
    this.#reads.handle(order, outcome, now);
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
   * The next thing to do.
   * @param out where a datagram or train is put; null while there is no room to send
   */
  pollOutput(now: number, out: Buffer | null): ServerOutput {
    const read = this.#reads.poll(now);
    if (read !== null) return read;
    const what = this.#reads.takeChange();
    if (what !== null) return { kind: 'source-changed', what };
    if (this.#reads.takeComplete()) return { kind: 'map-complete' };
    this.#tellUnreadable(now);
    const transmit = out === null ? null : this.#pollTransmit(now, out);
    if (transmit !== null) return transmit;
    const event = this.#compression.pollEvent() ?? this.#events.shift();
    if (event !== undefined) return { kind: 'event', event };
    this.#wait.untilMs = this.#nextDeadline(now, out !== null);
    return this.#wait;
  }

  #tellUnreadable(now: number): void {
    if (now < this.#reads.dueMs) return;
    for (const { first, count, text, isNew } of this.#reads.pollNotices(now)) {
      this.notify(NoticeCode.unreadable, first, count, text);
      if (isNew) this.#events.push({ type: 'notice', text });
    }
  }

  #pollTransmit(now: number, out: Buffer): Transmit | null {
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

  /**
   * When there may be something to do that there was not before.
   * @param canSend without room to send, only reads and what must be told of them have their time
   */
  #nextDeadline(now: number, canSend: boolean): number {
    const { dueMs } = this.#reads;
    if (!canSend) return Math.max(dueMs, now);
    if (this.#replies.length > 0) return now;
    let deadline = Math.min(dueMs, this.#statusClock.dueMs, this.#neighbours.dueMs);
    if (this.#stream.hasBlocks) {
      const next = this.#pacer.nextMs;
      // Held by the window: a report wakes us, or the judging of clients at the next round.
      deadline = Math.min(deadline, next > now ? next : this.#listeners.nextRoundMs);
    }
    return Math.max(deadline, now);
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
