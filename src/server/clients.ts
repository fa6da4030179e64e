/** The client table: who listens, how far each is, and what it can take. */
import type { ClientStateId, Report } from '../protocol/from-client.js';
import { ClientState } from '../protocol/from-client.js';
import { MOST_SENTINELS } from '../protocol/from-server.js';
import { positionsBetween } from '../protocol/position.js';
import type { ServedClient } from './events.js';

/** Where a packet came from or goes to. */
export interface Peer {
  address: string;
  port: number;
}

const MOST_CLIENTS = 16_384;
/** A client not heard of for this long is shown as silent. */
const SILENT_AFTER_MS = 3_000;
const FORGOTTEN_AFTER_MS = 600_000;
/** Time constant over which delivery and loss are averaged. */
const AVERAGE_MS = 100;
const BEST_AVERAGE_MS = 3000;
/** Loss is averaged over this many packets at least: of a few, one lost is not yet a share. */
const LEAST_LOSS_PACKETS = 500;
/** Requests that one client may make per second, and at once. */
const REQUESTS_PER_SECOND = 400;
const REQUEST_BURST = 400;

export class Client {
  state: ClientStateId = ClientState.receiving;
  missingChunks: number;
  provenChunks = 0;
  receiveBufferBytes = 0;
  hasReported = false;
  /** One past the highest position the client has seen. */
  position: number;
  /** Packets per ms that reached the client lately. */
  deliveredPerMs = 0;
  /** The most of these, forgotten over some seconds. */
  bestDeliveredPerMs = 0;
  /** Share of packets lost lately. */
  lossRatio = 0;
  /** The rate waits for this client. */
  followed = true;
  /** Since when it is unhindered, to follow it again in time. */
  easySinceMs = 0;
  lastHeardMs: number;
  #packetsReceived = 0;
  #clockUs = 0;
  #tokens = REQUEST_BURST;
  #tokensAtMs: number;

  constructor(
    readonly id: bigint,
    public host: string,
    public peer: Peer,
    chunkCount: number,
    position: number,
    readonly joinedMs: number,
  ) {
    this.missingChunks = chunkCount;
    this.position = position;
    this.lastHeardMs = joinedMs;
    this.#tokensAtMs = joinedMs;
  }

  /** Whether this client still wants packets of the stream. */
  isHungry(now: number, silentAfterMs: number): boolean {
    return this.state <= ClientState.proving && now - this.lastHeardMs < silentAfterMs;
  }

  /** Takes one request from the client's allowance. */
  mayAsk(now: number): boolean {
    this.#tokens = Math.min(
      REQUEST_BURST,
      this.#tokens + ((now - this.#tokensAtMs) * REQUESTS_PER_SECOND) / 1000,
    );
    this.#tokensAtMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Takes in a report. Reports that arrive out of order are ignored. */
  report(report: Report, now: number): void {
    this.lastHeardMs = now;
    if (this.hasReported) {
      const elapsedMs = ((report.clockUs - this.#clockUs) | 0) / 1000;
      if (elapsedMs < 0) return;
      const advanced = positionsBetween(this.position, report.position);
      const received = (report.packetsReceived - this.#packetsReceived) | 0;
      if (advanced >= 0 && received >= 0 && elapsedMs > 0) {
        const weight = 1 - Math.exp(-elapsedMs / AVERAGE_MS);
        this.deliveredPerMs += weight * (received / elapsedMs - this.deliveredPerMs);
        const faded = this.bestDeliveredPerMs * Math.exp(-elapsedMs / BEST_AVERAGE_MS);
        this.bestDeliveredPerMs = Math.max(faded, this.deliveredPerMs);
        if (advanced > 0) {
          const loss = Math.max(0, 1 - received / advanced);
          const packets = Math.max(LEAST_LOSS_PACKETS, this.deliveredPerMs * AVERAGE_MS);
          this.lossRatio += (1 - Math.exp(-advanced / packets)) * (loss - this.lossRatio);
        }
      }
    }
    this.hasReported = true;
    this.position = report.position;
    this.#packetsReceived = report.packetsReceived;
    this.#clockUs = report.clockUs;
    this.state = report.state;
    this.missingChunks = report.missingChunks;
    this.provenChunks = report.provenChunks;
    this.receiveBufferBytes = report.receiveBufferBytes;
  }

  /** Packets sent that the client has not yet seen. */
  lag(position: number): number {
    return Math.max(0, positionsBetween(this.position, position));
  }

  describe(now: number): ServedClient {
    return {
      id: this.id.toString(16).padStart(16, '0'),
      host: this.host,
      address: this.peer.address,
      missingChunks: this.missingChunks,
      provenChunks: this.provenChunks,
      state: this.#stateName(now),
      lossRatio: this.lossRatio,
      followed: this.followed,
    };
  }

  #stateName(now: number): ServedClient['state'] {
    switch (this.state) {
      case ClientState.done:
        return 'done';
      case ClientState.failed:
      case ClientState.leaving:
        return 'failed';
      default:
        if (now - this.lastHeardMs >= SILENT_AFTER_MS) return 'silent';
        if (!this.hasReported) return 'joined';
        return this.state === ClientState.proving ? 'proving' : 'receiving';
    }
  }
}

export class ClientTable {
  readonly #clients = new Map<bigint, Client>();

  get size(): number {
    return this.#clients.size;
  }

  find(id: bigint): Client | undefined {
    return this.#clients.get(id);
  }

  /** Adds a client; null when the table is full of clients heard of lately. */
  add(client: Client, now: number): Client | null {
    if (this.#clients.size >= MOST_CLIENTS) {
      for (const old of this.#clients.values()) {
        if (now - old.lastHeardMs > FORGOTTEN_AFTER_MS) this.#clients.delete(old.id);
      }
      if (this.#clients.size >= MOST_CLIENTS) return null;
    }
    this.#clients.set(client.id, client);
    return client;
  }

  values(): IterableIterator<Client> {
    return this.#clients.values();
  }

  /** Clients that want packets, less those not heard of for `silentAfterMs`. */
  hungry(now: number, silentAfterMs: number): Client[] {
    const hungry: Client[] = [];
    for (const client of this.#clients.values()) {
      if (client.isHungry(now, silentAfterMs)) hungry.push(client);
    }
    return hungry;
  }

  doneCount(): number {
    let done = 0;
    for (const client of this.#clients.values()) if (client.state === ClientState.done) done++;
    return done;
  }
}

/**
 * The clients that report at the shortest interval because the rate follows them: those that
 * take least (PGMCC elects one such "acker"; a few make the choice robust).
 */
export function electSentinels(hungry: readonly Client[]): bigint[] {
  if (hungry.length <= MOST_SENTINELS) return hungry.map((client) => client.id);
  const worst = [...hungry].sort(
    (a, b) => Number(b.followed) - Number(a.followed) || b.lossRatio - a.lossRatio,
  );
  return worst.slice(0, MOST_SENTINELS).map((client) => client.id);
}
