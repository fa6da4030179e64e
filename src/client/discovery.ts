/**
 * Finding a server and an image: a map request at once and then every second, answers
 * collected, one chosen. Never two mixed.
 */
import { Failure } from '../failure.js';
import { encodeMapRequest } from '../protocol/from-client.js';
import type { ImageDescription } from '../protocol/from-server.js';

export interface DiscoveryOptions {
  client: bigint;
  machine: bigint;
  host: string;
  /** Name of the image wanted; undefined takes the only one there is. */
  wantedName: string | undefined;
}

export interface Offer {
  description: ImageDescription;
  /** Server's address and port. */
  address: string;
  port: number;
}

const REQUEST_INTERVAL_MS = 1000;
const HURRY_INTERVAL_MS = 20;
/** When the first answer tells of other sessions, theirs are awaited this long. */
const COLLECT_MS = 400;
const MOST_OFFERS = 256;

export class Discovery {
  readonly #options: DiscoveryOptions;
  /** By address, port and session. */
  readonly #offers = new Map<string, Offer>();
  #requestDueMs: number;
  #requestedMs = Number.NEGATIVE_INFINITY;
  #decideDueMs = Number.POSITIVE_INFINITY;

  constructor(options: DiscoveryOptions, now: number) {
    this.#options = options;
    this.#requestDueMs = now;
  }

  get dueMs(): number {
    return Math.min(this.#requestDueMs, this.#decideDueMs);
  }

  /** A server was heard: ask without waiting for the interval to end. */
  hurry(now: number): void {
    const dueMs = Math.max(now, this.#requestedMs + HURRY_INTERVAL_MS);
    if (dueMs < this.#requestDueMs) this.#requestDueMs = dueMs;
  }

  /** A map request, when one is due. */
  pollRequest(now: number): Buffer | null {
    if (now < this.#requestDueMs) return null;
    this.#requestedMs = now;
    this.#requestDueMs = now + REQUEST_INTERVAL_MS;
    const { client, machine, host } = this.#options;
    return encodeMapRequest({ client, machine, isServer: false, host });
  }

  add(offer: Offer, now: number): void {
    const { session, otherSessions } = offer.description;
    if (this.#offers.size >= MOST_OFFERS) this.#offers.clear();
    this.#offers.set(`${offer.address} ${offer.port} ${session}`, offer);
    const dueMs = otherSessions > 0 ? now + COLLECT_MS : now;
    if (dueMs < this.#decideDueMs) this.#decideDueMs = dueMs;
  }

  /**
   * The offer to take, once it can be told.
   * @throws Failure when several images are served and none was named
   */
  decide(now: number): Offer | null {
    if (now < this.#decideDueMs) return null;
    this.#decideDueMs = Number.POSITIVE_INFINITY;
    const offers = [...this.#offers.values()];
    const wanted = this.#options.wantedName;
    const matching =
      wanted === undefined ? offers : offers.filter((offer) => offer.description.name === wanted);
    const first = matching[0];
    if (first === undefined) {
      // The wanted one may answer the next request.
      return null;
    }
    if (matching.length > 1) throw ambiguous(matching, wanted);
    return first;
  }

  /** What was heard, for the message when nothing fitted. */
  get heardNames(): string[] {
    return [...new Set([...this.#offers.values()].map((offer) => offer.description.name))];
  }
}

function ambiguous(offers: readonly Offer[], wanted: string | undefined): Failure {
  const list = offers
    .map((offer) => `  ${offer.description.name} (${offer.address})`)
    .sort()
    .join('\n');
  const advice =
    wanted === undefined
      ? 'Choose one with --image NAME or a server with -s HOST:'
      : 'Several servers serve an image of that name; choose a server with -s HOST:';
  return new Failure(
    'otherImage',
    'SEVERAL_IMAGES',
    `several images are served. ${advice}\n${list}`,
  );
}
