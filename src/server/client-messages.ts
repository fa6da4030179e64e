/**
 * What clients send, and who they are: map requests, block requests and reports, the replies to
 * them, and the events of clients that come and go.
 */

import type { Address } from '../protocol/address.js';
import { Space } from '../protocol/block.js';
import {
  ClientState,
  decodeBlockRequest,
  decodeMapRequest,
  decodeReport,
  isEnd,
  type MapRequest,
  type Report,
} from '../protocol/from-client.js';
import { encodeFarewell, encodeImageDescription } from '../protocol/from-server.js';
import { encodeLocked } from '../protocol/locked.js';
import { PacketType, packetLength, packetSession, packetType } from '../protocol/packet.js';
import { countedPosition, positionsBetween, wirePosition } from '../protocol/position.js';
import {
  decodeStatementRequest,
  encodeStatement,
  type StatementAnswer,
} from '../protocol/statement-packets.js';
import { isSealed } from '../trust/control-seal.js';
import { type ActiveClients, MIN_SILENT_MS } from './clients/active-clients.js';
import { Client } from './clients/client.js';
import type { Clients } from './clients/clients.js';
import type { Copies } from './clients/copies.js';
import type { Fleet } from './clients/fleet.js';
import type { ServerConfig } from './config.js';
import type { ServerEvent } from './events.js';
import type { OtherServers } from './other-servers.js';
import type { ServerSealing } from './sealing.js';
import type { StatusClock } from './status-clock.js';
import type { Stream } from './stream/stream.js';

/** More than an operator drops by hand. */
const MAX_DROPPED = 65_536;

/** The parts of the server that what comes in may change. */
interface ServerParts {
  stream: Stream;
  clients: Clients;
  copies: Copies;
  fleet: Fleet;
  activeClients: ActiveClients;
  otherServers: OtherServers;
  statusClock: StatusClock;
  reply: (bytes: Buffer, to: Address) => void;
  observe: (event: ServerEvent) => void;
}

/** Whoever cannot be heard is told so, 20 times a second in all. */
const LOCKED_INTERVAL_MS = 50;
const LOCKED_BURST_MS = 1000;
/** As short a packet cannot be a map request. */
const LOCKED_FOR_BYTES = 400;
/** Strangers must not fill the screen. */
const MAX_TOLD = 16;

/** A statement and its signature, each as it is in its file. */
export type SignedStatement = Pick<StatementAnswer, 'statement' | 'signature'>;

/** Nobody says whose image it is. */
export const NO_STATEMENT: SignedStatement = {
  statement: Buffer.alloc(0),
  signature: Buffer.alloc(0),
};

export class ClientMessages {
  private readonly config: ServerConfig;
  private readonly parts: ServerParts;
  /** Clients that the operator wants gone. */
  private readonly dropped = new Set<bigint>();
  private readonly sealing: ServerSealing | null;
  private lockedDueMs = Number.NEGATIVE_INFINITY;
  /** Whose image it is, once that can be told; both empty where nobody says so. */
  statement: SignedStatement | null = null;
  /** Addresses of which machines do not count that hold a copy, as far as that was told. */
  private readonly uncounted = new Set<string>();

  constructor(config: ServerConfig, parts: ServerParts) {
    this.config = config;
    this.parts = parts;
    this.sealing = config.sealing ?? null;
  }

  /** Takes one datagram. @returns false when it is malformed, not ours, or asks for too much */
  handle(bytes: Buffer, from: Address, now: number): boolean {
    const length = packetLength(bytes, 0, bytes.length);
    if (length === 0 || length !== bytes.length) return false;
    const { sealing } = this;
    if (sealing === null) return !isSealed(bytes) && this.take(bytes, from, now);
    const plain = sealing.open(bytes);
    if (plain !== null) return this.take(plain, from, now);
    // Whoever has no key, or another one, would wait for ever otherwise.
    if (packetType(bytes, 0) === PacketType.mapRequest) this.sayLocked(bytes, from, now);
    return false;
  }

  private sayLocked({ length }: Buffer, from: Address, now: number): void {
    if (now < this.lockedDueMs || length < LOCKED_FOR_BYTES) return;
    this.lockedDueMs = Math.max(this.lockedDueMs, now - LOCKED_BURST_MS) + LOCKED_INTERVAL_MS;
    this.parts.reply(encodeLocked({ session: this.config.session }), from);
  }

  /** Takes one plain packet. */
  private take(bytes: Buffer, from: Address, now: number): boolean {
    const type = packetType(bytes, 0);
    if (type === PacketType.mapRequest) return this.handleMapRequest(bytes, from, now);
    if (type === PacketType.imageDescription) {
      return this.parts.otherServers.handleDescription(bytes, now);
    }
    if (packetSession(bytes, 0) !== this.config.session) return false;
    if (type === PacketType.statementRequest) return this.handleStatementRequest(bytes, from);
    if (type === PacketType.blockRequest) return this.handleBlockRequest(bytes, from, now);
    if (type === PacketType.report) return this.handleReport(bytes, from, now);
    return false;
  }

  private handleMapRequest(bytes: Buffer, from: Address, now: number): boolean {
    const request = decodeMapRequest(bytes);
    if (request === null) return false;
    if (request.isServer) {
      if (!this.parts.otherServers.hear(request.client, now)) return true;
    } else if (this.isAtDoor(bytes)) {
      // It may be a recorded one: nothing is done but to answer.
    } else if (this.isDropped(request.client)) {
      this.sayFarewell(request.client, from);
      return true;
    } else if (this.knownClient(request.client, from, now, request.host) === null) {
      const isKnown = this.parts.clients.find(request.client) !== undefined;
      if (isKnown || !this.join(request, from, now)) return false;
    }
    this.parts.reply(this.description(request.client, now), from);
    return true;
  }

  /**
   * Nobody joins by it. Before the map is made, nothing says that the statement is of this image.
   */
  private handleStatementRequest(bytes: Buffer, from: Address): boolean {
    const request = decodeStatementRequest(bytes);
    if (request === null) return false;
    const { statement } = this;
    if (statement === null) return true;
    const { session, client } = request;
    this.parts.reply(encodeStatement({ session, client, ...statement }), from);
    return true;
  }

  /** With a key, nobody joins who has not opened a description of this session. */
  private isAtDoor(bytes: Buffer): boolean {
    return this.sealing !== null && packetSession(bytes, 0) !== this.config.session;
  }

  private description(client: bigint, now: number): Buffer {
    const { session, map, blockSize, group, port, name, sectorSizeBytes } = this.config;
    const { stream, otherServers, activeClients } = this.parts;
    return encodeImageDescription({
      session,
      client,
      imageSize: map.geometry.sizeBytes,
      chunkSize: map.geometry.chunkSizeBytes,
      blockSize,
      mapId: stream.mapId,
      group,
      port,
      otherSessions: otherServers.count(now),
      position: wirePosition(stream.position),
      sectorSizeBytes: sectorSizeBytes ?? 0,
      streamAddress: this.config.streamAddress?.() ?? '',
      requestWindowMs: Math.round(activeClients.requestWindowMs),
      reportIntervalMs: Math.round(activeClients.reportIntervalMs),
      name,
      isJoined: this.parts.clients.find(client) !== undefined && !this.isDropped(client),
      seal: this.sealing,
    });
  }

  private handleBlockRequest(bytes: Buffer, from: Address, now: number): boolean {
    const request = decodeBlockRequest(bytes);
    if (request === null) return false;
    const client = this.knownClient(request.client, from, now);
    if (client === null || !client.mayAsk(now) || this.isAhead(request.asOfPosition)) return false;
    if (client.budget.isSpent(now) || !this.mayAddressAsk(client, now)) return false;
    if (request.space === Space.image) this.noteAnew(client, now);
    const chunks = this.parts.stream.ask(request, client.followed);
    client.spend(chunks, now);
    if (client.budget.isSpent(now)) this.tellSpent(client);
    this.parts.statusClock.noteRequest(now);
    return true;
  }

  /**
   * Whether something is left for the clients of this address; tells when somebody first gets
   * nothing.
   */
  private mayAddressAsk({ clientAddress }: Client, now: number): boolean {
    if (clientAddress === null || !clientAddress.budget.isSpent(now)) return true;
    if (!clientAddress.isTold) {
      clientAddress.isTold = true;
      const text =
        `the clients at ${clientAddress.address} together asked for far more than ` +
        `their progress explains; from now on they are heard only now and then`;
      this.parts.observe({ type: 'notice', text });
    }
    return false;
  }

  /** The client has ended, or is to. */
  private sayFarewell(client: bigint, to: Address): void {
    const isDropped = this.isDropped(client);
    this.parts.reply(encodeFarewell({ session: this.config.session, client, isDropped }), to);
  }

  private isDropped(client: bigint): boolean {
    return this.dropped.has(client);
  }

  /** Whatever this client sends is answered with a farewell from now on. */
  drop(client: Client): void {
    if (this.dropped.size >= MAX_DROPPED) this.dropped.clear();
    this.dropped.add(client.id);
    client.drop();
    this.parts.activeClients.noteChange();
    this.sayFarewell(client.id, client.peer);
  }

  private handleReport(bytes: Buffer, from: Address, now: number): boolean {
    const report = decodeReport(bytes);
    if (report === null) return false;
    if (this.isDropped(report.client)) {
      this.sayFarewell(report.client, from);
      return true;
    }
    const client = this.knownClient(report.client, from, now);
    if (client === null || !this.isPossible(report)) return false;
    const { position } = this.parts.stream;
    // Forged blocks can lead a client ahead of the stream: its last word is heard all the same.
    const isAhead = this.isAhead(report.position);
    if (isAhead && !isEnd(report.state)) return false;
    const before = client.state;
    client.report(report, isAhead ? position : countedPosition(position, report.position), now);
    if (isEnd(report.state)) {
      this.sayFarewell(client.id, from);
      if (before !== report.state) this.noteEnd(client, now);
    }
    return true;
  }

  /** Nobody can have seen what was not sent. */
  private isAhead(position: number): boolean {
    return positionsBetween(this.parts.stream.position, position) > 0;
  }

  /** Numbers that no client of this image can have. */
  private isPossible({ state, missingChunks, provenChunks }: Report): boolean {
    const { chunkCount } = this.config.map.geometry;
    if (missingChunks > chunkCount || provenChunks > chunkCount) return false;
    const saysAllIsProven = state === ClientState.done || state === ClientState.compared;
    return !saysAllIsProven || (missingChunks === 0 && provenChunks === chunkCount);
  }

  /**
   * The client that a packet names, with its address and the time of its last word brought up to
   * date. Null when no map request of it came before, or it is not to be believed.
   * @param host its name, where the packet tells
   */
  private knownClient(id: bigint, from: Address, now: number, host = ''): Client | null {
    const known = this.parts.clients.find(id);
    if (known === undefined || this.isDropped(id)) return null;
    const isBack = now - known.lastHeardMs > MIN_SILENT_MS;
    // A client may move to another address, but not while it is heard from the old one.
    if (!known.isAt(from) && !(isBack && host !== '')) return null;
    // Back after a silence: it must learn where the stream is.
    if (isBack) this.parts.statusClock.noteJoined(now);
    this.parts.clients.move(known, from);
    known.lastHeardMs = now;
    if (host !== '') known.host = host;
    return known;
  }

  /** @returns whether there is room for the client */
  private join(
    { client: id, machine, host, isAtOnce = false, identity = {} }: MapRequest,
    from: Address,
    now: number,
  ): boolean {
    const { clients, activeClients, statusClock, stream, observe } = this.parts;
    const { chunkCount } = this.config.map.geometry;
    const client = new Client(id, machine, host, from, chunkCount, stream.position, now);
    client.identity = identity;
    if (clients.add(client, now) === null) return false;
    const isUrgent = activeClients.noteJoined(isAtOnce, now);
    statusClock.noteJoined(now, isUrgent);
    observe({ type: 'client-joined', client: this.parts.fleet.describe(client, now) });
    return true;
  }

  /** Who asks for chunks does not hold them. */
  private noteAnew(client: Client, now: number): void {
    const { copies, fleet, observe } = this.parts;
    // A request of a run that has ended comes late: whoever begins anew has another id.
    if (isEnd(client.state)) return;
    if (!copies.remove(client.machine)) return;
    observe({ type: 'client-anew', client: fleet.describe(client, now), doneCount: copies.count });
  }

  private noteEnd(client: Client, now: number): void {
    const { copies, activeClients, fleet, observe } = this.parts;
    activeClients.noteChange();
    if (client.hasLeftUnbegun) {
      observe({ type: 'client-looked', client: fleet.describe(client, now) });
      this.parts.clients.delete(client);
    } else if (client.state === ClientState.done) {
      if (!copies.add(client.machine, this.answering(client))) this.tellUncounted(client);
      client.settle();
      const doneCount = copies.count;
      observe({ type: 'client-done', client: fleet.describe(client, now), doneCount });
    } else if (client.state === ClientState.compared) {
      observe({ type: 'client-compared', client: fleet.describe(client, now) });
    } else {
      const reason = client.state === ClientState.failed ? 'failed' : 'left';
      observe({ type: 'client-failed', client: fleet.describe(client, now), reason });
    }
  }

  /** The address that answers for a copy: forged reports of it count once. */
  private answering({ peer: { address } }: Client): string | null {
    const isItself = this.sealing !== null || this.config.isOwnAddress?.(address);
    return isItself ? null : address;
  }

  private tellUncounted({ peer: { address } }: Client): void {
    if (this.uncounted.has(address) || this.uncounted.size >= MAX_TOLD) return;
    this.uncounted.add(address);
    const text = `more than one machine at ${address} holds a copy: without a key, one counts`;
    this.parts.observe({ type: 'notice', text });
  }

  private tellSpent({ host, peer }: Client): void {
    const text =
      `client ${host} (${peer.address}) asked for far more than its progress ` +
      `explains; it is not listened to any more`;
    this.parts.observe({ type: 'notice', text });
  }
}
