/** The client table: who is known, and who has to make room when it is full. */

import type { Address } from '../../protocol/address.js';
import type { Client } from './client.js';
import type { ClientAddresses } from './client-addresses.js';

const MAX_CLIENTS = 16_384;
const FORGOTTEN_AFTER_MS = 600_000;
/** As many clients as an honest host may have in a full table. */
const MAX_PARTY = 64;

export class Clients {
  private readonly clients = new Map<bigint, Client>();
  /** Clients that had not reported when last looked at, in the order in which they joined. */
  private readonly strangers = new Set<Client>();
  private readonly addresses: ClientAddresses;

  constructor(addresses: ClientAddresses) {
    this.addresses = addresses;
  }

  get size(): number {
    return this.clients.size;
  }

  find(id: bigint): Client | undefined {
    return this.clients.get(id);
  }

  /**
   * Adds a client; null when the table is full of clients heard of lately. Who only asked what
   * there is makes room for the next: a flood of invented clients locks nobody out.
   */
  add(client: Client, now: number): Client | null {
    if (this.clients.size >= MAX_CLIENTS && !this.dropStranger()) {
      for (const old of this.clients.values()) {
        if (now - old.lastHeardMs > FORGOTTEN_AFTER_MS) this.delete(old);
      }
      if (this.clients.size >= MAX_CLIENTS && !this.dropOfCrowd(client)) return null;
    }
    this.clients.set(client.id, client);
    this.strangers.add(client);
    client.clientAddress = this.addresses.enter(client.peer.address);
    return client;
  }

  /** The client speaks from elsewhere now. */
  move(client: Client, peer: Address): void {
    const { clientAddress } = client;
    client.peer = peer;
    if (clientAddress === null || clientAddress.address === peer.address) return;
    client.clientAddress = this.addresses.enter(peer.address);
    this.addresses.leave(clientAddress);
  }

  /**
   * Drops the client that joined first of those that never reported. @returns whether there is one
   */
  private dropStranger(): boolean {
    for (const client of this.strangers) {
      this.strangers.delete(client);
      if (client.reportedMs !== null) continue;
      this.delete(client);
      return true;
    }
    return false;
  }

  /**
   * Drops the client that joined first of those from the address with the most: one host that
   * fills the table locks out nobody but itself. @returns whether there is room now
   */
  private dropOfCrowd(newcomer: Client): boolean {
    let crowded: Client | null = null;
    let most = MAX_PARTY;
    for (const client of this.clients.values()) {
      const count = client.clientAddress?.clientCount ?? 0;
      if (count <= most) continue;
      crowded = client;
      most = count;
    }
    if (crowded === null || crowded.clientAddress?.address === newcomer.peer.address) return false;
    this.delete(crowded);
    return true;
  }

  delete(client: Client): void {
    this.clients.delete(client.id);
    this.strangers.delete(client);
    if (client.clientAddress !== null) this.addresses.leave(client.clientAddress);
    client.clientAddress = null;
  }

  /** In the order in which they joined. */
  all(): IterableIterator<Client> {
    return this.clients.values();
  }

  /** The clients that joined last, in the order in which they joined. */
  latest(most: number, now: number): Client[] {
    const all = [...this.clients.values()];
    return all.filter((client) => !client.isPasserBy(now)).slice(-most);
  }

  /** Clients that want packets, less those not heard of for `silentAfterMs`. */
  hungry(now: number, silentAfterMs: number): Client[] {
    const hungry: Client[] = [];
    for (const client of this.clients.values()) {
      if (client.isHungry(now, silentAfterMs)) hungry.push(client);
      else if (client.isPasserBy(now)) this.delete(client);
    }
    return hungry;
  }
}
