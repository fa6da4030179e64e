/** The clients: how far each is, and what it can take. */

import type { Address } from '../../protocol/address.js';
import {
  ClientState,
  type ClientStateId,
  isEndWithoutCopy,
  type Report,
} from '../../protocol/from-client.js';
import { MAX_SENTINELS } from '../../protocol/from-server.js';
import type { ClientIdentity } from '../../protocol/identity.js';
import type { ServedClient } from '../events.js';
import type { ClientAddress } from './client-addresses.js';
import { Delivery } from './delivery.js';
import { RequestBudget } from './request-budget.js';

/** A client not heard of for this long is shown as silent. */
const SILENT_AFTER_MS = 3_000;
/** A client that joins opens its target before it reports. */
const JOINING_MS = 30_000;
const PASSED_BY_MS = 30_000;
/** Who comes, and begins nothing for so long, has looked and goes on, or waits for others. */
const LOOKING_MS = 10_000;
const INCUMBENT_BONUS = 0.02;
/** After so long without a usable report, the next one starts the counts anew. */
const NEW_COUNT_AFTER_MS = 10_000;
/** Requests that one client may make per second, and at once. */
const REQUESTS_PER_SECOND = 400;
const REQUEST_BURST = 400;
const REQUEST_INTERVAL_MS = 1000 / REQUESTS_PER_SECOND;

export class Client {
  state: ClientStateId = ClientState.receiving;
  /** Why it failed, in its own words; '' unless it did. */
  reason = '';
  missingChunks: number;
  provenChunks = 0;
  receiveBufferBytes = 0;
  /** It has opened its target, as far as its reports tell. */
  hasBegun = false;
  /** When the last report came; null before the first. */
  reportedMs: number | null = null;
  /** Since when the client is asked to report often; null while it is not. */
  sentinelSinceMs: number | null = null;
  /** One past the highest position the client has seen, as the server counts. */
  position: number;
  readonly delivery = new Delivery();
  /** The rate waits for this client. */
  followed = true;
  /** The operator waits for it no longer: neither does the rate, nor the end. */
  isReleased = false;
  /** What it tells of itself. */
  identity: ClientIdentity = {};
  /** Since when it takes far less than others, to leave it behind in time. */
  slowSinceMs: number | null = null;
  /** Since when it is unhindered, to follow it again in time. */
  easySinceMs = 0;
  lastHeardMs: number;
  /** How much more the client may make the server send. */
  readonly budget: RequestBudget;
  /** Chunks that its asking made pending, as far as its address still answers for them. */
  private owedChunks = 0;
  /** The address that it comes from; null before it is in the table. */
  clientAddress: ClientAddress | null = null;
  private readonly chunkCount: number;
  /** When the next request is due, if they come as often as they may. */
  private requestDueMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly id: bigint,
    /** Names the machine and its target, in every run of a client there. */
    readonly machine: bigint,
    public host: string,
    public peer: Address,
    chunkCount: number,
    position: number,
    readonly joinedMs: number,
  ) {
    this.missingChunks = chunkCount;
    this.budget = new RequestBudget(chunkCount);
    this.chunkCount = chunkCount;
    this.position = position;
    this.lastHeardMs = joinedMs;
  }

  /** Client ids travel in the open: whoever else names one is not that client. */
  isAt({ address, port }: Address): boolean {
    return address === this.peer.address && port === this.peer.port;
  }

  /** Whether this client still wants packets of the stream. */
  isHungry(now: number, silentAfterMs: number): boolean {
    const isKnown = this.reportedMs !== null || now - this.joinedMs < JOINING_MS;
    const isHeard = now - this.lastHeardMs < silentAfterMs;
    return isKnown && isHeard && this.state <= ClientState.proving;
  }

  /** It asked what there is, and went on: nothing is owed to it. */
  isPasserBy(now: number): boolean {
    return this.reportedMs === null && now - this.lastHeardMs > PASSED_BY_MS;
  }

  /** It holds nothing of the image, nor is it just about to: no run is incomplete without it. */
  hasOnlyLooked(now: number): boolean {
    return this.reportedMs === null && now - this.joinedMs > LOOKING_MS;
  }

  /** It left without having opened its target, as with --dry-run. */
  get hasLeftUnbegun(): boolean {
    return this.state === ClientState.leaving && !this.hasBegun;
  }

  /** The operator wants it gone: it has ended, and nobody waits for it. */
  drop(): void {
    this.state = ClientState.leaving;
    this.reason = 'dropped by the operator';
    this.isReleased = true;
    this.followed = false;
  }

  /** Takes one request from the client's budget. */
  mayAsk(now: number): boolean {
    const dueMs = Math.max(this.requestDueMs, now - (REQUEST_BURST - 1) * REQUEST_INTERVAL_MS);
    if (dueMs > now) return false;
    this.requestDueMs = dueMs + REQUEST_INTERVAL_MS;
    return true;
  }

  /** Its asking made so many chunks pending. */
  spend(chunks: number, now: number): void {
    this.budget.spend(chunks, now);
    this.clientAddress?.budget.spend(chunks, now);
    this.owedChunks += chunks;
  }

  /**
   * It holds a proven copy, whose cost its address gets back: a station that makes one copy after
   * the other would be locked out else. Of what was wasted on the way it answers for all beyond an
   * image.
   */
  settle(): void {
    this.clientAddress?.budget.giveBack(Math.min(this.owedChunks, this.chunkCount));
    this.owedChunks = 0;
  }

  /**
   * Takes in a report.
   * @param position the report's, as the server counts
   */
  report(report: Report, position: number, now: number): void {
    const elapsedMs = this.delivery.elapsedMs(report);
    const isLate = this.reportedMs !== null && elapsedMs <= 0;
    // An old report comes late; a client that suspended, or was forged, starts a new count.
    if (isLate && now - this.reportedMs! < NEW_COUNT_AFTER_MS) return;
    if (this.reportedMs !== null && !isLate && elapsedMs < NEW_COUNT_AFTER_MS) {
      this.delivery.average(report, elapsedMs, this.position);
    }
    this.reportedMs = now;
    this.lastHeardMs = now;
    this.position = position;
    this.delivery.countFrom(report);
    this.state = report.state;
    this.reason = report.reason ?? '';
    this.noteChunks(report);
    const hadChunks = Math.max(0, this.chunkCount - this.missingChunks);
    this.budget.noteHad(hadChunks);
    this.clientAddress?.budget.noteHad(hadChunks);
    this.receiveBufferBytes = report.receiveBufferBytes;
  }

  /** Who ends before the target is open has no numbers to tell: its zeros stand for nothing. */
  private noteChunks(report: Report): void {
    const { state, missingChunks, provenChunks, receiveBufferBytes } = report;
    const isEmpty = missingChunks === 0 && provenChunks === 0 && receiveBufferBytes === 0;
    if (isEndWithoutCopy(state) && isEmpty) return;
    this.hasBegun = true;
    this.missingChunks = missingChunks;
    this.provenChunks = provenChunks;
  }

  /** Packets sent that the client has not yet seen. */
  lag(position: number): number {
    return Math.max(0, position - this.position);
  }

  describe(now: number): ServedClient {
    return {
      id: this.id.toString(16).padStart(16, '0'),
      machine: this.machine.toString(16).padStart(16, '0'),
      host: this.host,
      label: this.identity.label ?? '',
      address: this.peer.address,
      missingChunks: this.missingChunks,
      provenChunks: this.provenChunks,
      state: this.stateName(now),
      lossRatio: this.delivery.lossRatio,
      followed: this.followed,
      receivedPacketsPerSecond: Math.round(this.delivery.packetsPerMs * 1000),
    };
  }

  private stateName(now: number): ServedClient['state'] {
    switch (this.state) {
      case ClientState.done:
        return 'done';
      case ClientState.compared:
        return 'compared';
      case ClientState.syncing:
        return now - this.lastHeardMs >= SILENT_AFTER_MS ? 'silent' : 'syncing';
      case ClientState.failed:
      case ClientState.leaving:
        return 'failed';
      default:
        // Whoever opens its target, or only looks, has nothing to say.
        if (this.reportedMs === null) return 'joined';
        if (now - this.lastHeardMs >= SILENT_AFTER_MS) return 'silent';
        return this.state === ClientState.proving ? 'proving' : 'receiving';
    }
  }
}

/**
 * The clients that report at the shortest interval because the rate follows them: those that
 * take least (PGMCC elects one such "acker"; a few make the choice robust). Marks them.
 */
export function electSentinels(
  hungry: readonly Client[],
  now: number,
  most: number = MAX_SENTINELS,
): Client[] {
  const elected = new Set(hungry.length > most ? worst(hungry, most) : hungry);
  for (const client of hungry) {
    client.sentinelSinceMs = elected.has(client) ? (client.sentinelSinceMs ?? now) : null;
  }
  return [...elected];
}

/** One look at each client, whose number may be large, and no sorting of them all. */
function worst(clients: readonly Client[], most: number): Client[] {
  const chosen: Client[] = [];
  for (const client of clients) {
    // Of one that never reported nothing is known to steer by.
    if (client.reportedMs === null) continue;
    if (chosen.length === most && !isWorse(client, chosen.at(-1)!)) continue;
    const place = chosen.findIndex((other) => isWorse(client, other));
    chosen.splice(place < 0 ? chosen.length : place, 0, client);
    chosen.length = Math.min(chosen.length, most);
  }
  return chosen;
}

/** Those who serve already stay unless others are clearly worse: their figures are the best. */
function isWorse(one: Client, other: Client): boolean {
  if (one.followed !== other.followed) return one.followed;
  return badness(one) > badness(other);
}

function badness({ delivery, sentinelSinceMs }: Client): number {
  return delivery.lossRatio + (sentinelSinceMs === null ? 0 : INCUMBENT_BONUS);
}
