/**
 * The server as a machine without sockets, disks or clocks.
 *
 * In come calls, each with the time: `handleDatagram`, `handleRead`, `beginPreparing`, `setMap`,
 * `notify`. Out comes one union, `pollOutput`. Whoever drives the machine carries out one output
 * after the other until `wait` comes, and begins again when something was handed in, room to send
 * has come, or the time of `wait` is there. The order is: reads, since disks take longest; what
 * the source has shown; events; packets, while there is room to send; `wait` when nothing is left.
 */

import type { BlockMap } from '../image/block-map.js';
import type { Address } from '../protocol/address.js';
import { encodeNotice, NoticeCode, type NoticeCodeId } from '../protocol/from-server.js';
import { chunkCells } from './chunk-cells.js';
import { ClientMessages, NO_STATEMENT, type SignedStatement } from './client-messages.js';
import { ActiveClients, MIN_SILENT_MS } from './clients/active-clients.js';
import { ClientAddresses } from './clients/client-addresses.js';
import { Clients } from './clients/clients.js';
import { Copies } from './clients/copies.js';
import { Fleet } from './clients/fleet.js';
import type { ServerConfig } from './config.js';
import type { ServerEvent, ServerProgress, StartedEvent } from './events.js';
import { OtherServers } from './other-servers.js';
import type { ReadOrder, ReadOutcome, ServerOutput, Transmit } from './outputs.js';
import { Pacer } from './pacer.js';
import { RateController } from './rate.js';
import type { ServerSealing } from './sealing.js';
import { ChunkReads } from './source/chunk-reads.js';
import { Compression } from './source/compression.js';
import { StartGate } from './start-gate.js';
import { StatusClock } from './status-clock.js';
import { ChunkCache } from './stream/chunk-cache.js';
import { SealAdmission } from './stream/seal-admission.js';
import { Stream } from './stream/stream.js';
import type { Payloads } from './stream/train.js';

/** Replies that may wait to be sent; whoever gets none asks again. */
const MAX_REPLIES = 512;

/** Clients listed in progress, the latest to join: a list of thousands helps nobody. */
const MAX_SHOWN = 512;

export class ServerSession {
  private readonly config: ServerConfig;
  private readonly sealing: ServerSealing | null;
  private readonly clients: Clients;
  private readonly copies = new Copies();
  /** All machines that are known, and what became of them. */
  readonly fleet: Fleet;
  private readonly activeClients: ActiveClients;
  private readonly rate: RateController;
  private readonly pacer = new Pacer();
  private readonly stream: Stream;
  private readonly gate: StartGate;
  private readonly statusClock: StatusClock;
  private readonly otherServers: OtherServers;
  private readonly clientMessages: ClientMessages;
  private readonly allServers: Address;
  private readonly replies: { bytes: Buffer; to: Address | null }[] = [];
  private readonly compression: Compression;
  private readonly reads: ChunkReads;
  /** Used again for each output of its kind. */
  private readonly transmit: Transmit = {
    kind: 'transmit',
    length: 0,
    packetBytes: 0,
    to: null,
    payloads: null,
  };
  private readonly wait = { kind: 'wait' as const, untilMs: 0 };
  private readonly events: ServerEvent[] = [];
  private packetsBad = 0;
  private wireBytes = 0;
  private passSeen = 0;

  constructor(config: ServerConfig) {
    const { session, blockSize, map, slots, firstPosition = 1, gathers = false } = config;
    this.config = config;
    this.clients = new Clients(new ClientAddresses(map.geometry));
    this.fleet = new Fleet(this.clients, this.copies);
    this.activeClients = new ActiveClients(this.clients);
    const cache = new ChunkCache(slots, blockSize);
    const { sealing = null } = config;
    this.sealing = sealing;
    this.stream = new Stream({ session, blockSize, firstPosition, map, cache, gathers, sealing });
    const { setting, engine, linkBytesPerMs } = config.compression;
    const { chunkCount } = map.geometry;
    const isSealed = sealing !== null;
    this.compression = new Compression(setting, engine, chunkCount, linkBytesPerMs, isSealed);
    const { readers, idleCores } = config;
    const admission = isSealed ? new SealAdmission(chunkCount, slots) : null;
    const preparation = { map, readers, idleCores };
    this.reads = new ChunkReads(preparation, this.stream, this.compression, admission);
    this.gate = new StartGate(config.start ?? null);
    this.statusClock = new StatusClock(session, this.stream, this.activeClients, this.gate);
    this.otherServers = new OtherServers(session);
    this.allServers = { address: config.group, port: config.serverPort };
    this.rate = new RateController({
      packetBytes: this.stream.packetBytes,
      firstPosition,
      ceilingBytesPerMs: config.ceilingBytesPerMs,
      waitForSlow: config.waitForSlow,
    });
    this.clientMessages = new ClientMessages(config, {
      stream: this.stream,
      clients: this.clients,
      copies: this.copies,
      fleet: this.fleet,
      activeClients: this.activeClients,
      otherServers: this.otherServers,
      statusClock: this.statusClock,
      reply: (bytes, to) => this.reply(bytes, to),
      observe: (event) => this.events.push(event),
    });
  }

  /**
   * The block map is complete: name it to the clients and serve its pages.
   * @param statement of this image
   */
  setMap(map: BlockMap, now: number, statement: SignedStatement = NO_STATEMENT): void {
    this.clientMessages.statement = statement;
    this.stream.setMap(map, this.activeClients.count > 0);
    this.statusClock.hasten(now);
  }

  /** Takes one datagram from a client; bad ones are counted and dropped. */
  handleDatagram(bytes: Buffer, from: Address, now: number): void {
    if (!this.clientMessages.handle(bytes, from, now)) this.packetsBad++;
  }

  /** All that can be known of the image without reading it is in the map: the rest may be read. */
  beginPreparing(): void {
    this.reads.beginPreparing();
  }

  /** Takes what came of a read order. */
  handleRead(order: ReadOrder, outcome: ReadOutcome, now: number): void {
    this.reads.handle(order, outcome, now);
  }

  /** Tells all clients something about the image or the session. */
  notify(code: NoticeCodeId, first: number, count: number, text: string): void {
    const session = this.config.session;
    this.reply(encodeNotice({ session, code, first, count, text }), null);
  }

  /** The operator waits no longer. */
  start(now: number): void {
    if (this.gate.start()) this.tellStarted('operator', now);
    this.statusClock.hasten(now);
  }

  /** Nothing of the image is sent until `resume`. */
  pause(now: number): void {
    if (this.gate.pause()) this.events.push({ type: 'paused' });
    this.statusClock.hasten(now);
  }

  resume(now: number): void {
    if (this.gate.resume()) this.events.push({ type: 'resumed' });
    this.statusClock.hasten(now);
  }

  /** @param ceilingBytesPerMs of UDP payload; Infinity for no ceiling */
  setRate(ceilingBytesPerMs: number): void {
    this.rate.setCeiling(ceilingBytesPerMs);
    const isBounded = Number.isFinite(ceilingBytesPerMs);
    const ceilingBitsPerSecond = isBounded ? Math.round(ceilingBytesPerMs * 8000) : null;
    this.events.push({ type: 'rate-set', ceilingBitsPerSecond });
  }

  /**
   * Neither the rate nor the end waits for this client any more.
   * @param id as in `ServedClient`
   * @returns whether there is such a client
   */
  release(id: bigint, now: number): boolean {
    const client = this.clients.find(id);
    if (client === undefined) return false;
    client.isReleased = true;
    client.followed = false;
    this.events.push({ type: 'client-released', client: this.fleet.describe(client, now) });
    return true;
  }

  /** The client is told to end, and gets nothing more. @returns whether there is such a client */
  drop(id: bigint, now: number): boolean {
    const client = this.clients.find(id);
    if (client === undefined) return false;
    this.events.push({ type: 'client-dropped', client: this.fleet.describe(client, now) });
    this.clientMessages.drop(client);
    return true;
  }

  private lookForStart(now: number): void {
    if (this.gate.hold !== 'waiting') return;
    const reason = this.gate.update(now, this.fleet.presentCount(now));
    if (reason === null) return;
    this.tellStarted(reason, now);
    this.statusClock.hasten(now);
  }

  private tellStarted(reason: StartedEvent['reason'], now: number): void {
    const clientCount = this.fleet.presentCount(now);
    this.events.push({ type: 'started', reason, clientCount });
  }

  /** What to send to the group last, when clients still wait; null when none does. */
  goodbye(now: number): Buffer | null {
    if (this.clients.hungry(now, MIN_SILENT_MS).length === 0) return null;
    const { session } = this.config;
    const text = 'the server was stopped';
    const code = NoticeCode.leaving;
    const notice = encodeNotice({ session, code, first: 0, count: 0, text });
    return this.sealing?.seal(notice, true) ?? notice;
  }

  private reply(bytes: Buffer, to: Address | null): void {
    if (this.replies.length < MAX_REPLIES) this.replies.push({ bytes, to });
  }

  /**
   * The next thing to do.
   * @param out where a datagram or train is put; null while there is no room to send
   */
  pollOutput(now: number, out: Buffer | null): ServerOutput {
    const read = this.reads.poll(now);
    if (read !== null) return read;
    const what = this.reads.takeChange();
    if (what !== null) return { kind: 'source-changed', what };
    if (this.reads.takeComplete()) return { kind: 'map-complete' };
    this.tellUnreadable(now);
    // Before the answers to them: what is kept of a client's end is kept before it may go.
    const event = this.events.shift() ?? this.compression.pollEvent();
    if (event !== null) return { kind: 'event', event };
    const transmit = out === null ? null : this.pollTransmit(now, out);
    if (transmit !== null) return transmit;
    this.wait.untilMs = this.nextDeadline(now, out !== null);
    return this.wait;
  }

  private tellUnreadable(now: number): void {
    if (now < this.reads.dueMs) return;
    for (const { first, count, text, isNew } of this.reads.pollNotices(now)) {
      this.notify(NoticeCode.unreadable, first, count, text);
      if (isNew) this.events.push({ type: 'notice', text });
    }
  }

  private pollTransmit(now: number, out: Buffer): Transmit | null {
    if (this.activeClients.update(now)) {
      this.rate.update(now, this.activeClients.sentinels, this.stream.position);
      if (this.activeClients.count === 0 && !this.stream.isIdle) this.stream.forget();
      this.lookForStart(now);
    }
    // First what all hear: from it they learn not to ask all at once.
    const status = this.statusClock.poll(now);
    if (status !== null) return this.single(status, null, out);
    const reply = this.replies.shift();
    if (reply !== undefined) return this.single(reply.bytes, reply.to, out);
    const search = this.otherServers.poll(now);
    if (search !== null) return this.single(search, this.allServers, out);
    return this.mayStream(now) ? this.train(now, out) : null;
  }

  private train(now: number, out: Buffer): Transmit | null {
    const { delayMs } = this.config;
    const length = this.stream.fill(out, delayMs > 0 ? 1 : this.mostTrainBytes);
    if (length === 0) {
      this.pacer.rest(now);
      return null;
    }
    this.rate.sent(length);
    this.pacer.sent(now, length, delayMs > 0 ? length / delayMs : this.rate.bytesPerMs);
    this.notePass();
    this.statusClock.noteSent(now);
    return this.order(length, this.stream.trainPacketBytes(length), null, this.stream.payloads);
  }

  /**
   * At most what half a millisecond carries, as far as that was tried, and one packet at least: a
   * switch or a shaper with a small bucket lets that pass whole, where of longer trains it would
   * have to make single packets.
   */
  private get mostTrainBytes(): number {
    return Math.min(this.config.mostTrainBytes, Math.floor(this.rate.triedBytesPerMs / 2));
  }

  private single(plain: Buffer, to: Address | null, out: Buffer): Transmit {
    const bytes = this.sealing?.seal(plain, to === null) ?? plain;
    bytes.copy(out);
    return this.order(bytes.length, bytes.length, to, null);
  }

  private order(
    length: number,
    packetBytes: number,
    to: Address | null,
    payloads: Payloads | null,
  ): Transmit {
    this.transmit.length = length;
    this.transmit.packetBytes = packetBytes;
    this.transmit.to = to;
    this.transmit.payloads = payloads;
    if (to === null) this.wireBytes += length;
    return this.transmit;
  }

  private mayStream(now: number): boolean {
    if (now < this.pacer.nextMs) return false;
    if (this.gate.isHeld) {
      this.pacer.rest(now);
      return false;
    }
    const { sentinels } = this.activeClients;
    const isHeld = this.rate.isHeldBack(sentinels, this.stream.position, now);
    if (isHeld || !this.activeClients.isHeard(now)) {
      this.pacer.rest(now);
      return false;
    }
    return true;
  }

  private notePass(): void {
    const { pass, pendingChunks, isIdle } = this.stream;
    if (pass !== this.passSeen) {
      this.passSeen = pass;
      this.events.push({ type: 'pass-begun', pass, pendingChunks });
    }
    if (isIdle) this.events.push({ type: 'pass-ended', pass });
  }

  /**
   * When there may be something to do that there was not before.
   * @param canSend without room to send, only reads and what must be told of them have their time
   */
  private nextDeadline(now: number, canSend: boolean): number {
    const { dueMs } = this.reads;
    if (!canSend) return Math.max(dueMs, now);
    if (this.replies.length > 0) return now;
    const { gate } = this;
    let deadline = Math.min(dueMs, this.statusClock.dueMs, this.otherServers.dueMs, gate.dueMs);
    if (this.stream.hasBlocks && !gate.isHeld) {
      const next = this.pacer.nextMs;
      // Held by the window: a report wakes us, or the judging of clients at the next round.
      deadline = Math.min(deadline, next > now ? next : this.activeClients.nextRoundMs);
    }
    return Math.max(deadline, now);
  }

  /** Machines that hold a proven copy. */
  get doneCount(): number {
    return this.copies.count;
  }

  /** Counts a machine that holds a copy from before this server was started. */
  knowCopy(machine: bigint, address: string): void {
    const isItself = this.sealing !== null || this.config.isOwnAddress?.(address);
    this.copies.add(machine, isItself ? null : address);
  }

  /** The image as a strip of cells for the eye: see `Cell`. */
  chunkCells(mostCells: number): string {
    const { map } = this.config;
    const { chunkCount } = map.geometry;
    return chunkCells(
      {
        chunkCount,
        isUnreadable: (chunk) => this.reads.isUnreadable(chunk),
        isPending: (chunk) => this.stream.isPending(chunk),
        wasSent: (chunk) => this.stream.wasSent(chunk),
        isZero: (chunk) => map.isZero(chunk),
      },
      mostCells,
    );
  }

  progress(now: number): ServerProgress {
    const { map } = this.config;
    return {
      state: this.gate.hold ?? (this.stream.isIdle ? 'idle' : 'sending'),
      awaitedClients: this.gate.awaitedClients,
      presentCount: this.fleet.presentCount(now),
      underWayCount: this.fleet.underWayCount(now),
      preparedRatio: map.knownCount / map.geometry.chunkCount,
      chunkCount: map.geometry.chunkCount,
      pendingChunks: this.stream.pendingChunks,
      cursorChunk: this.stream.cursor,
      pass: this.stream.pass,
      blocksSent: this.stream.blocksSent,
      wireBytes: this.wireBytes,
      rateBitsPerSecond: Math.round(this.rate.bytesPerMs * 8000),
      clients: this.clients.latest(MAX_SHOWN, now).map((client) => client.describe(now)),
      packetsBad: this.packetsBad,
    };
  }
}
