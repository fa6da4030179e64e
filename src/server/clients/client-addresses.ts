/**
 * Where clients come from. Client ids cost nothing to invent, addresses do: so what all clients of
 * one address together make the server send is bounded, too.
 */

import { RequestBudget } from './request-budget.js';

/**
 * What an address spent is forgotten little by little: a machine that is imaged again and again is
 * never locked out of a server that runs for weeks, at worst it waits. Nobody honest takes an image
 * a minute for long.
 */
const IMAGE_FORGIVEN_MS = 60_000;
/** Of large images less: it must stay a small part of what a network carries. 64 Mbit/s. */
const MAX_FORGIVEN_BYTES_PER_MS = 8192;
/**
 * Addresses remembered that have no client any more. Those that have one are as many as clients.
 */
const MAX_LEFT = 16_384;

/** One address, without ports, and the budget of whoever comes from there. */
export class ClientAddress {
  /** Clients in the table. */
  clientCount = 0;
  /** When its clients were last counted, and those that had not reported then. */
  roundMs = Number.NEGATIVE_INFINITY;
  newcomers = 0;
  /** The operator knows that nothing is left. */
  isTold = false;

  constructor(
    readonly address: string,
    readonly budget: RequestBudget,
  ) {}
}

export class ClientAddresses {
  private readonly chunkCount: number;
  private readonly forgivenPerMs: number;
  private readonly inUse = new Map<string, ClientAddress>();
  /** Without clients, in the order in which the last one went. */
  private readonly left = new Map<string, ClientAddress>();

  constructor({ chunkCount, chunkSizeBytes }: { chunkCount: number; chunkSizeBytes: number }) {
    this.chunkCount = chunkCount;
    this.forgivenPerMs = Math.min(
      chunkCount / IMAGE_FORGIVEN_MS,
      MAX_FORGIVEN_BYTES_PER_MS / chunkSizeBytes,
    );
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.inUse.size + this.left.size;
  }

  /** A client comes from there. */
  enter(address: string): ClientAddress {
    let clientAddress = this.inUse.get(address) ?? this.left.get(address);
    clientAddress ??= new ClientAddress(
      address,
      new RequestBudget(this.chunkCount, this.forgivenPerMs),
    );
    clientAddress.clientCount++;
    this.left.delete(address);
    this.inUse.set(address, clientAddress);
    return clientAddress;
  }

  /** One of its clients is forgotten, or moved elsewhere. */
  leave(clientAddress: ClientAddress): void {
    if (--clientAddress.clientCount > 0) return;
    this.inUse.delete(clientAddress.address);
    this.left.set(clientAddress.address, clientAddress);
    if (this.left.size <= MAX_LEFT) return;
    for (const address of this.left.keys()) {
      this.left.delete(address);
      return;
    }
  }
}
