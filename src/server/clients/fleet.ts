/**
 * All machines that the server knows, for the operator: each with its latest client. Looked at a
 * few times a second at most, as the client table is long.
 */

import { ClientState, isEnd } from '../../protocol/from-client.js';
import type { FleetMember } from '../events.js';
import { troubleOf } from '../trouble.js';
import type { Client } from './client.js';
import type { Clients } from './clients.js';
import type { Copies } from './copies.js';

/** A machine not heard of for this long is not here. */
const PRESENT_MS = 3_000;

export class Fleet {
  private readonly clients: Clients;
  private readonly copies: Copies;

  constructor(clients: Clients, copies: Copies) {
    this.clients = clients;
    this.copies = copies;
  }

  /** The latest client of each machine, in the order in which these joined. */
  private latest(): Client[] {
    const byMachine = new Map<bigint, Client>();
    for (const client of this.clients.all()) byMachine.set(client.machine, client);
    return [...byMachine.values()];
  }

  members(now: number): FleetMember[] {
    return this.latest()
      .filter((client) => !client.isPasserBy(now))
      .map((client) => this.describe(client, now));
  }

  /** Those of them that came for a copy, or to compare one. */
  takers(now: number): FleetMember[] {
    return this.latest()
      .filter((client) => !client.hasOnlyLooked(now))
      .map((client) => this.describe(client, now));
  }

  describe(client: Client, now: number): FleetMember {
    const served = client.describe(now);
    const holdsCopy = this.copies.has(client.machine);
    return {
      ...served,
      identity: client.identity,
      holdsCopy,
      trouble: troubleOf(served, holdsCopy),
      isReleased: client.isReleased,
      elapsedMs: client.lastHeardMs - client.joinedMs,
      totalLossRatio: client.delivery.totalLossRatio,
      reason: client.reason,
      silentMs: Math.max(0, now - client.lastHeardMs),
    };
  }

  /** Machines whose clients have opened their targets, and wait for the image or take it. */
  presentCount(now: number): number {
    const machines = new Set<bigint>();
    for (const client of this.clients.all()) {
      if (client.reportedMs !== null && client.isHungry(now, PRESENT_MS)) {
        machines.add(client.machine);
      }
    }
    return machines.size;
  }

  /**
   * Whether so many machines have come to an end, with a copy or without, and none is under way.
   * @param goneAfterMs who has no copy and is not heard of for so long is waited for no longer
   * @param awakeMs since when this host listens: before, it stood still
   */
  isOver(
    wantedCount: number,
    goneAfterMs: number,
    now: number,
    awakeMs = Number.NEGATIVE_INFINITY,
  ): boolean {
    let settledCount = this.copies.count;
    for (const client of this.latest()) {
      if (this.copies.has(client.machine) || this.isOnlooker(client, now)) continue;
      const silentMs = now - Math.max(client.lastHeardMs, awakeMs);
      const isGone = client.isReleased || silentMs >= goneAfterMs;
      if (!isGone) return false;
      settledCount++;
    }
    return settledCount >= wantedCount;
  }

  /** It only compared, or only asked what there is. */
  private isOnlooker(client: Client, now: number): boolean {
    return client.state === ClientState.compared || client.isPasserBy(now);
  }

  /** The clients of machines that came for a copy, and hold none. */
  private lacking(now: number): Client[] {
    return this.latest().filter((client) => {
      const isServed = this.copies.has(client.machine) || client.state === ClientState.compared;
      return !isServed && !client.hasOnlyLooked(now);
    });
  }

  /** Machines that came for a copy, and hold none. */
  withoutCopy(now: number): FleetMember[] {
    return this.lacking(now).map((client) => this.describe(client, now));
  }

  /** Who would be left in mid-transfer if the server ended now. */
  underWay(now: number): FleetMember[] {
    return this.lacking(now)
      .filter((client) => !isEnd(client.state))
      .map((client) => this.describe(client, now));
  }

  /** How many that would be. */
  underWayCount(now: number): number {
    return this.lacking(now).filter((client) => !isEnd(client.state)).length;
  }
}
