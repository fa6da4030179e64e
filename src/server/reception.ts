/**
 * What clients send, and who they are: map requests, block requests and reports, the replies to
 * them, and the events of clients that come and go.
 */
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
import { PacketType, packetLength, packetSession, packetType } from '../protocol/packet.js';
import { countedPosition, positionsBetween, wirePosition } from '../protocol/position.js';
import type { ClientTable } from './client-table.js';
import { Client, type Peer } from './clients.js';
import type { ServerConfig } from './config.js';
import type { Copies } from './copies.js';
import type { ServerEvent } from './events.js';
import { LEAST_SILENT_MS, type Listeners } from './listeners.js';
import type { Neighbours } from './neighbours.js';
import type { StatusClock } from './status-clock.js';
import type { Stream } from './stream.js';

/** The parts of the server that what comes in may change. */
export interface ReceptionParts {
  stream: Stream;
  clients: ClientTable;
  copies: Copies;
  listeners: Listeners;
  neighbours: Neighbours;
  statusClock: StatusClock;
  reply: (bytes: Buffer, to: Peer) => void;
  observe: (event: ServerEvent) => void;
}

export class Reception {
  readonly #config: ServerConfig;
  readonly #parts: ReceptionParts;

  constructor(config: ServerConfig, parts: ReceptionParts) {
    this.#config = config;
    this.#parts = parts;
  }

  /** Takes one datagram. @returns false when it is malformed, not ours, or asks for too much */
  handle(bytes: Buffer, from: Peer, now: number): boolean {
    const length = packetLength(bytes, 0, bytes.length);
    if (length === 0 || length !== bytes.length) return false;
    const type = packetType(bytes, 0);
    if (type === PacketType.mapRequest) return this.#handleMapRequest(bytes, from, now);
    if (type === PacketType.imageDescription) {
      return this.#parts.neighbours.handleDescription(bytes, now);
    }
    if (packetSession(bytes, 0) !== this.#config.session) return false;
    if (type === PacketType.blockRequest) return this.#handleBlockRequest(bytes, from, now);
    if (type === PacketType.report) return this.#handleReport(bytes, from, now);
    return false;
  }

  #handleMapRequest(bytes: Buffer, from: Peer, now: number): boolean {
    const request = decodeMapRequest(bytes);
    if (request === null) return false;
    if (request.isServer) {
      if (!this.#parts.neighbours.hear(request.client, now)) return true;
    } else if (this.#knownClient(request.client, from, now, request.host) === null) {
      const isKnown = this.#parts.clients.find(request.client) !== undefined;
      if (isKnown || !this.#join(request, from, now)) return false;
    }
    this.#parts.reply(this.#description(request.client, now), from);
    return true;
  }

  #description(client: bigint, now: number): Buffer {
    const { session, map, blockSize, group, port, name, sectorSizeBytes } = this.#config;
    const { stream, neighbours, listeners } = this.#parts;
    return encodeImageDescription({
      session,
      client,
      imageSize: map.geometry.sizeBytes,
      chunkSize: map.geometry.chunkSizeBytes,
      blockSize,
      mapId: stream.mapId,
      group,
      port,
      otherSessions: neighbours.count(now),
      position: wirePosition(stream.position),
      sectorSizeBytes: sectorSizeBytes ?? 0,
      streamAddress: this.#config.streamAddress?.() ?? '',
      requestWindowMs: Math.round(listeners.requestWindowMs),
      reportIntervalMs: Math.round(listeners.reportIntervalMs),
      name,
    });
  }

  #handleBlockRequest(bytes: Buffer, from: Peer, now: number): boolean {
    const request = decodeBlockRequest(bytes);
    if (request === null) return false;
    const client = this.#knownClient(request.client, from, now);
    if (client === null || !client.mayAsk(now) || this.#isAhead(request.asOfPosition)) return false;
    if (client.allowance.isSpent(now) || !this.#mayOriginAsk(client, now)) return false;
    if (request.space === Space.image) this.#noteAnew(client, now);
    const chunks = this.#parts.stream.ask(request, client.followed);
    client.spend(chunks, now);
    if (client.allowance.isSpent(now)) this.#tellSpent(client);
    this.#parts.statusClock.noteRequest(now);
    return true;
  }

  /** Whether something is left for the clients of this address; tells when somebody first gets nothing. */
  #mayOriginAsk({ origin }: Client, now: number): boolean {
    if (origin === null || !origin.allowance.isSpent(now)) return true;
    if (!origin.isTold) {
      origin.isTold = true;
      const text = `the clients at ${origin.address} together asked for far more than their progress explains; from now on they are heard only now and then`;
      this.#parts.observe({ type: 'notice', text });
    }
    return false;
  }

  #handleReport(bytes: Buffer, from: Peer, now: number): boolean {
    const report = decodeReport(bytes);
    if (report === null) return false;
    const client = this.#knownClient(report.client, from, now);
    if (client === null || this.#isAhead(report.position)) return false;
    if (!this.#isPossible(report)) return false;
    const before = client.state;
    client.report(report, countedPosition(this.#parts.stream.position, report.position), now);
    if (isEnd(report.state)) {
      const { session } = this.#config;
      this.#parts.reply(encodeFarewell({ session, client: client.id }), from);
      if (before !== report.state) this.#noteEnd(client, now);
    }
    return true;
  }

  /** Nobody can have seen what was not sent. */
  #isAhead(position: number): boolean {
    return positionsBetween(this.#parts.stream.position, position) > 0;
  }

  /** Numbers that no client of this image can have. */
  #isPossible({ state, missingChunks, provenChunks }: Report): boolean {
    const { chunkCount } = this.#config.map.geometry;
    if (missingChunks > chunkCount || provenChunks > chunkCount) return false;
    const saysAllIsProven = state === ClientState.done || state === ClientState.compared;
    return !saysAllIsProven || (missingChunks === 0 && provenChunks === chunkCount);
  }

  /**
   * The client that a packet names, with its address and the time of its last word brought up to
   * date. Null when no map request of it came before, or it is not to be believed.
   * @param host its name, where the packet tells
   */
  #knownClient(id: bigint, from: Peer, now: number, host = ''): Client | null {
    const known = this.#parts.clients.find(id);
    if (known === undefined) return null;
    const isBack = now - known.lastHeardMs > LEAST_SILENT_MS;
    // A client may move to another address, but not while it is heard from the old one.
    if (!known.isAt(from) && !(isBack && host !== '')) return null;
    // Back after a silence: it must learn where the stream is.
    if (isBack) this.#parts.statusClock.noteJoined(now);
    this.#parts.clients.move(known, from);
    known.lastHeardMs = now;
    if (host !== '') known.host = host;
    return known;
  }

  /** @returns whether there is room for the client */
  #join(
    { client: id, machine, host, isAtOnce = false }: MapRequest,
    from: Peer,
    now: number,
  ): boolean {
    const { clients, listeners, statusClock, stream, observe } = this.#parts;
    const { chunkCount } = this.#config.map.geometry;
    const client = new Client(id, machine, host, from, chunkCount, stream.position, now);
    if (clients.add(client, now) === null) return false;
    const isUrgent = listeners.noteJoined(isAtOnce, now);
    statusClock.noteJoined(now, isUrgent);
    observe({ type: 'client-joined', client: client.describe(now) });
    return true;
  }

  /** Who asks for chunks does not hold them. */
  #noteAnew(client: Client, now: number): void {
    const { copies, observe } = this.#parts;
    // A request of a run that has ended comes late: whoever begins anew has another id.
    if (isEnd(client.state)) return;
    if (!copies.remove(client.machine)) return;
    observe({ type: 'client-anew', client: client.describe(now), doneCount: copies.count });
  }

  #noteEnd(client: Client, now: number): void {
    const { copies, listeners, observe } = this.#parts;
    listeners.noteChange();
    if (client.state === ClientState.done) {
      copies.add(client.machine);
      client.settle();
      const doneCount = copies.count;
      observe({ type: 'client-done', client: client.describe(now), doneCount });
    } else if (client.state === ClientState.compared) {
      observe({ type: 'client-compared', client: client.describe(now) });
    } else {
      const reason = client.state === ClientState.failed ? 'failed' : 'left';
      observe({ type: 'client-failed', client: client.describe(now), reason });
    }
  }

  #tellSpent({ host, peer }: Client): void {
    const text = `client ${host} (${peer.address}) asked for far more than its progress explains; it is not listened to any more`;
    this.#parts.observe({ type: 'notice', text });
  }
}
