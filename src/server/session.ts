/**
 * The server as a machine without sockets, disks or clocks: packets, chunks read and time come
 * in as calls; trains of packets, read orders, the next deadline and events come out.
 */
import type { BlockMap, BlockMapBuilder } from '../image/block-map.js';
import {
  ClientState,
  decodeBlockRequest,
  decodeMapRequest,
  decodeReport,
} from '../protocol/from-client.js';
import {
  encodeFarewell,
  encodeImageDescription,
  encodeNotice,
  encodeStatus,
  NoticeCode,
  type NoticeCodeId,
} from '../protocol/from-server.js';
import { PacketType, packetLength, packetSession, packetType } from '../protocol/packet.js';
import { positionsBetween } from '../protocol/position.js';
import { ChunkCache } from './chunk-cache.js';
import { Client, ClientTable, electSentinels, type Peer } from './clients.js';
import type { ServerEvent, ServerProgress } from './events.js';
import { Neighbours } from './neighbours.js';
import { Pacer } from './pacer.js';
import { RateController, ROUND_MS } from './rate.js';
import { Stream } from './stream.js';

export interface ServerConfig {
  session: bigint;
  name: string;
  group: string;
  port: number;
  /** Port of requests, on which other servers are looked for. */
  serverPort: number;
  blockSize: number;
  /** What is known of the block map; the driver fills it while the session runs. */
  map: BlockMapBuilder;
  /** Memory for chunks, each at least one chunk long. */
  slots: readonly Buffer[];
  /** Longest train in bytes; one packet when smaller than that. */
  mostTrainBytes: number;
  /** Bytes of UDP payload per millisecond; Infinity for no ceiling. */
  ceilingBytesPerMs: number;
  /** Pause after every packet, for debugging. */
  delayMs: number;
  waitForSlow: boolean;
}

/** One datagram, or train of them, to send. */
export interface Transmit {
  length: number;
  /** Length of each packet of a train but the last. */
  packetBytes: number;
  /** Null for the group. */
  to: Peer | null;
}

export interface ReadOrder {
  chunk: number;
  slot: number;
  /** For repairs: it must come encoded as clients already hold parts of it. */
  mends: boolean;
}

/** What came of a read order. */
export type ReadOutcome =
  | { kind: 'data'; encodedLength: number; encoding: 0 | 1; variant: number }
  | { kind: 'zero' }
  | { kind: 'failed'; reason: string };

const STATUS_INTERVAL_MS = 50;
/** After the last pending chunk: soon and often, then less and less. */
const FIRST_IDLE_STATUS_MS = 2;
const LAST_IDLE_STATUS_MS = 1000;
const MOST_REPLIES = 512;
/** A client not heard of for this long, and for three of its intervals, wants nothing. */
const LEAST_SILENT_MS = 3000;
/** Reports per second from all clients together, sentinels aside. */
const REPORTS_PER_SECOND = 200;
const LEAST_REPORT_INTERVAL_MS = 20;
/** Clients' block requests per second that the request window allows for. */
const REQUESTS_PER_MS = 2;
const LARGEST_REQUEST_WINDOW_MS = 2000;

export class ServerSession {
  readonly #config: ServerConfig;
  readonly #clients = new ClientTable();
  readonly #rate: RateController;
  readonly #pacer = new Pacer();
  readonly #stream: Stream;
  readonly #neighbours: Neighbours;
  readonly #allServers: Peer;
  readonly #replies: { bytes: Buffer; to: Peer | null }[] = [];
  readonly #transmit: Transmit = { length: 0, packetBytes: 0, to: null };
  readonly #packetBytes: number;
  #events: ServerEvent[] = [];
  #hungry: Client[] = [];
  /** Those of the hungry whose reports the rate follows. */
  #sentinels: Client[] = [];
  #hungryAtMs = Number.NEGATIVE_INFINITY;
  /** The first status goes out at once: clients that wait already hear that we are here. */
  #statusDueMs = Number.NEGATIVE_INFINITY;
  #idleStatusMs = FIRST_IDLE_STATUS_MS;
  #wasIdle = true;
  #packetsBad = 0;
  #wireBytes = 0;
  #passSeen = 0;

  constructor(config: ServerConfig) {
    this.#config = config;
    this.#stream = new Stream({
      session: config.session,
      blockSize: config.blockSize,
      map: config.map,
      cache: new ChunkCache(config.slots, config.blockSize),
    });
    this.#neighbours = new Neighbours(config.session);
    this.#allServers = { address: config.group, port: config.serverPort };
    this.#packetBytes = this.#stream.packetBytes;
    this.#rate = new RateController({
      packetBytes: this.#packetBytes,
      ceilingBytesPerMs: config.ceilingBytesPerMs,
      waitForSlow: config.waitForSlow,
    });
  }

  /** The block map is complete: name it to the clients and serve its pages. */
  setMap(map: BlockMap, now: number): void {
    this.#stream.setMap(map);
    this.#statusDueMs = now;
  }

  /** Takes one datagram from a client; bad ones are counted and dropped. */
  handleDatagram(bytes: Buffer, from: Peer, now: number): void {
    const length = packetLength(bytes, 0, bytes.length);
    const isWhole = length > 0 && length === bytes.length;
    if (!isWhole || !this.#handle(bytes, from, now)) this.#packetsBad++;
  }

  #handle(bytes: Buffer, from: Peer, now: number): boolean {
    const type = packetType(bytes, 0);
    if (type === PacketType.mapRequest) return this.#handleMapRequest(bytes, from, now);
    if (type === PacketType.imageDescription) return this.#neighbours.handleDescription(bytes, now);
    if (packetSession(bytes, 0) !== this.#config.session) return false;
    if (type === PacketType.blockRequest) return this.#handleBlockRequest(bytes, from, now);
    if (type === PacketType.report) return this.#handleReport(bytes, from, now);
    return false;
  }

  #handleMapRequest(bytes: Buffer, from: Peer, now: number): boolean {
    const request = decodeMapRequest(bytes);
    if (request === null) return false;
    if (request.isServer) {
      if (!this.#neighbours.hear(request.client, now)) return true;
    } else if (this.#clientOf(request.client, from, now, request.host) === null) {
      return false;
    }
    const { map, ...config } = this.#config;
    this.#reply(
      encodeImageDescription({
        session: config.session,
        client: request.client,
        imageSize: map.geometry.sizeBytes,
        chunkSize: map.geometry.chunkSizeBytes,
        blockSize: config.blockSize,
        mapId: this.#stream.mapId,
        group: config.group,
        port: config.port,
        otherSessions: this.#neighbours.count(now),
        position: this.#stream.position,
        name: config.name,
      }),
      from,
    );
    return true;
  }

  #handleBlockRequest(bytes: Buffer, from: Peer, now: number): boolean {
    const request = decodeBlockRequest(bytes);
    if (request === null) return false;
    const client = this.#clientOf(request.client, from, now, '');
    if (client === null || !client.mayAsk(now) || this.#isAhead(request.asOfPosition)) return false;
    if (client.allowance.isSpent) return false;
    client.allowance.spend(this.#stream.ask(request, client.followed));
    if (client.allowance.isSpent) this.#tellSpent(client);
    // What was asked for may be held to be underway: only our position tells that it is not.
    if (this.#stream.isIdle)
      this.#statusDueMs = Math.min(this.#statusDueMs, now + FIRST_IDLE_STATUS_MS);
    return true;
  }

  #handleReport(bytes: Buffer, from: Peer, now: number): boolean {
    const report = decodeReport(bytes);
    if (report === null) return false;
    const client = this.#clientOf(report.client, from, now, '');
    if (client === null || this.#isAhead(report.position)) return false;
    const before = client.state;
    client.report(report, this.#stream.position, now);
    if (report.state === ClientState.done || report.state >= ClientState.failed) {
      this.#reply(encodeFarewell({ session: this.#config.session, client: client.id }), from);
      if (before !== report.state) this.#announceEnd(client, now);
    }
    return true;
  }

  /** Nobody can have seen what was not sent. */
  #isAhead(position: number): boolean {
    return positionsBetween(this.#stream.position, position) > 0;
  }

  #tellSpent({ host, peer }: Client): void {
    const text = `client ${host} (${peer.address}) asked for far more than its progress explains; it is not listened to any more`;
    this.#events.push({ type: 'notice', text });
  }

  #announceEnd(client: Client, now: number): void {
    this.#hungryAtMs = Number.NEGATIVE_INFINITY;
    if (client.state === ClientState.done) {
      const doneCount = this.#clients.doneCount();
      this.#events.push({ type: 'client-done', client: client.describe(now), doneCount });
    } else {
      const reason = client.state === ClientState.failed ? 'failed' : 'left';
      this.#events.push({ type: 'client-failed', client: client.describe(now), reason });
    }
  }

  #clientOf(id: bigint, from: Peer, now: number, host: string): Client | null {
    const known = this.#clients.find(id);
    if (known !== undefined) {
      // A client may move to another address, but not while it is heard from the old one.
      const mayMove = host !== '' && now - known.lastHeardMs > LEAST_SILENT_MS;
      if (!known.isAt(from) && !mayMove) return null;
      // Back after a silence: it must learn where the stream is.
      if (now - known.lastHeardMs > LEAST_SILENT_MS) this.#statusDueMs = now;
      known.peer = from;
      known.lastHeardMs = now;
      if (host !== '') known.host = host;
      return known;
    }
    const { chunkCount } = this.#config.map.geometry;
    const client = new Client(id, host, from, chunkCount, this.#stream.position, now);
    if (this.#clients.add(client, now) === null) return null;
    this.#hungryAtMs = Number.NEGATIVE_INFINITY;
    this.#statusDueMs = Math.min(this.#statusDueMs, now);
    this.#events.push({ type: 'client-joined', client: client.describe(now) });
    return client;
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
    this.#refresh(now);
    const reply = this.#replies.shift();
    if (reply !== undefined) return this.#single(reply.bytes, reply.to, out);
    const search = this.#neighbours.poll(now);
    if (search !== null) return this.#single(search, this.#allServers, out);
    if (now >= this.#statusDueMs) return this.#single(this.#status(now), null, out);
    if (!this.#mayStream(now)) return null;
    const mostBytes = this.#config.delayMs > 0 ? 1 : this.#mostTrainBytes();
    const length = this.#stream.fill(out, mostBytes);
    if (length === 0) {
      this.#pacer.rest(now);
      return null;
    }
    this.#rate.sent(length);
    const bytesPerMs =
      this.#config.delayMs > 0 ? length / this.#config.delayMs : this.#rate.bytesPerMs;
    this.#pacer.sent(now, length, bytesPerMs);
    this.#wireBytes += length;
    this.#noteProgress(now);
    this.#transmit.length = length;
    this.#transmit.packetBytes = this.#packetBytes;
    this.#transmit.to = null;
    return this.#transmit;
  }

  /** A burst is at most what a millisecond carries, and one packet at least. */
  #mostTrainBytes(): number {
    return Math.min(this.#config.mostTrainBytes, this.#rate.bytesPerMs);
  }

  #single(bytes: Buffer, to: Peer | null, out: Buffer): Transmit {
    bytes.copy(out);
    this.#transmit.length = bytes.length;
    this.#transmit.packetBytes = bytes.length;
    this.#transmit.to = to;
    if (to === null) this.#wireBytes += bytes.length;
    return this.#transmit;
  }

  #mayStream(now: number): boolean {
    if (now < this.#pacer.nextMs) return false;
    if (this.#isHeldByWindow(now)) {
      this.#pacer.rest(now);
      return false;
    }
    return true;
  }

  #isHeldByWindow(now: number): boolean {
    for (const client of this.#sentinels) {
      if (!this.#rate.holdsWindow(client, now)) continue;
      if (client.lag(this.#stream.position) > this.#rate.windowPackets) return true;
    }
    return false;
  }

  #refresh(now: number): void {
    if (now - this.#hungryAtMs < ROUND_MS) return;
    this.#hungryAtMs = now;
    const silentAfterMs = Math.max(LEAST_SILENT_MS, 3 * this.#reportIntervalMs());
    this.#hungry = this.#clients.hungry(now, silentAfterMs);
    this.#sentinels = electSentinels(this.#hungry, now);
    this.#rate.update(now, this.#sentinels, this.#stream.position);
  }

  #reportIntervalMs(): number {
    return Math.min(
      65_535,
      Math.max(LEAST_REPORT_INTERVAL_MS, (this.#hungry.length * 1000) / REPORTS_PER_SECOND),
    );
  }

  #status(now: number): Buffer {
    const isIdle = this.#stream.isIdle;
    if (isIdle) {
      this.#idleStatusMs = this.#wasIdle
        ? Math.min(this.#idleStatusMs * 2, LAST_IDLE_STATUS_MS)
        : FIRST_IDLE_STATUS_MS;
      this.#statusDueMs = this.#hungry.length > 0 ? now + this.#idleStatusMs : Infinity;
    } else {
      this.#statusDueMs = now + STATUS_INTERVAL_MS;
    }
    this.#wasIdle = isIdle;
    return encodeStatus({
      session: this.#config.session,
      position: this.#stream.position,
      cursor: this.#stream.cursor,
      pendingChunks: this.#stream.pendingChunks,
      isIdle,
      mapId: this.#stream.mapId,
      reportIntervalMs: Math.round(this.#reportIntervalMs()),
      requestWindowMs: Math.round(
        Math.min(LARGEST_REQUEST_WINDOW_MS, this.#hungry.length / REQUESTS_PER_MS),
      ),
      sentinels: this.#sentinels.map((client) => client.id),
    });
  }

  #noteProgress(now: number): void {
    if (this.#stream.pass !== this.#passSeen) {
      this.#passSeen = this.#stream.pass;
      const pendingChunks = this.#stream.pendingChunks;
      this.#events.push({ type: 'pass-begun', pass: this.#passSeen, pendingChunks });
    }
    if (this.#stream.isIdle) {
      this.#events.push({ type: 'pass-ended', pass: this.#passSeen });
      this.#statusDueMs = now;
    } else if (this.#wasIdle) {
      this.#wasIdle = false;
      this.#statusDueMs = Math.min(this.#statusDueMs, now + STATUS_INTERVAL_MS);
    }
  }

  /** When `pollTransmit` may have something that it had not before; in ms on the caller's clock. */
  nextDeadline(now: number): number {
    if (this.#replies.length > 0) return now;
    let deadline = Math.min(this.#statusDueMs, this.#neighbours.dueMs);
    if (this.#stream.hasBlocks) {
      const next = this.#pacer.nextMs;
      // Held by the window: a report wakes us, or the judging of clients at the next round.
      deadline = Math.min(deadline, next > now ? next : this.#hungryAtMs + ROUND_MS);
    }
    return Math.max(deadline, now);
  }

  pollEvents(): ServerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  get doneCount(): number {
    return this.#clients.doneCount();
  }

  /** Datagrams that were not ours, malformed, or beyond a client's allowance. */
  countBad(): void {
    this.#packetsBad++;
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
      clients: [...this.#clients.values()].map((client) => client.describe(now)),
      packetsBad: this.#packetsBad,
    };
  }
}
