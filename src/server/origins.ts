/**
 * Where clients come from. Client ids cost nothing to invent, addresses do: so what all clients of one
 * address together make the server send is bounded, too.
 */
import { Allowance } from './allowance.js';

/**
 * What an address spent is forgotten little by little: a machine that is imaged again and again is
 * never locked out of a server that runs for weeks, at worst it waits. Nobody honest takes an image
 * a minute for long.
 */
const IMAGE_FORGIVEN_MS = 60_000;
/** Of large images less: it must stay a small part of what a network carries. 64 Mbit/s. */
const MOST_FORGIVEN_BYTES_PER_MS = 8192;
/** Addresses remembered that have no client any more. Those that have one are as many as clients. */
const MOST_LEFT = 16_384;

/** One address, without ports, and the allowance of whoever comes from there. */
export class Origin {
  /** Clients in the table. */
  clientCount = 0;
  /** When its clients were last counted, and those that had not reported then. */
  roundMs = Number.NEGATIVE_INFINITY;
  newcomers = 0;
  /** The operator knows that nothing is left. */
  isTold = false;

  constructor(
    readonly address: string,
    readonly allowance: Allowance,
  ) {}
}

export class Origins {
  readonly #chunkCount: number;
  readonly #forgivenPerMs: number;
  readonly #inUse = new Map<string, Origin>();
  /** Without clients, in the order in which the last one went. */
  readonly #left = new Map<string, Origin>();

  constructor({ chunkCount, chunkSizeBytes }: { chunkCount: number; chunkSizeBytes: number }) {
    this.#chunkCount = chunkCount;
    this.#forgivenPerMs = Math.min(
      chunkCount / IMAGE_FORGIVEN_MS,
      MOST_FORGIVEN_BYTES_PER_MS / chunkSizeBytes,
    );
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#inUse.size + this.#left.size;
  }

  /** A client comes from there. */
  enter(address: string): Origin {
    let origin = this.#inUse.get(address) ?? this.#left.get(address);
    origin ??= new Origin(address, new Allowance(this.#chunkCount, this.#forgivenPerMs));
    origin.clientCount++;
    this.#left.delete(address);
    this.#inUse.set(address, origin);
    return origin;
  }

  /** One of its clients is forgotten, or moved elsewhere. */
  leave(origin: Origin): void {
    if (--origin.clientCount > 0) return;
    this.#inUse.delete(origin.address);
    this.#left.set(origin.address, origin);
    if (this.#left.size <= MOST_LEFT) return;
    for (const address of this.#left.keys()) {
      this.#left.delete(address);
      return;
    }
  }
}
