/**
 * Finding a server and an image: map requests, answers collected, one chosen. Never two mixed.
 * Of many clients that start at once, or hear at once that a server has come, some ask at once.
 * The others listen for a moment first: the server tells the group over how long they are to join.
 */
import { Failure } from '../failure.js';
import { encodeMapRequest } from '../protocol/from-client.js';
import type { ImageDescription } from '../protocol/from-server.js';
import type { Spread } from './spread.js';

export interface DiscoveryOptions {
  client: bigint;
  machine: bigint;
  host: string;
  /** Name of the image wanted; undefined takes the only one there is. */
  wantedName: string | undefined;
  spread: Spread;
}

export interface Offer {
  description: ImageDescription;
  /** Server's address and port. */
  address: string;
  port: number;
}

/** Without a word from any server: then twice as long each time, give or take a quarter. */
const REQUEST_INTERVAL_MS = 1000;
const LARGEST_REQUEST_INTERVAL_MS = 4000;
const INTERVAL_VARIATION = 0.5;
/** When a server is heard: then twice as long each time, up to the interval above. */
const HURRY_INTERVAL_MS = 20;
/** Share of clients that ask at once, and how long the others listen first, up to twice that. */
const AT_ONCE_SHARE = 1 / 8;
const LISTEN_MS = 4;
/** When the first answer tells of other sessions, theirs are awaited this long. */
const COLLECT_MS = 400;
const MOST_OFFERS = 256;

export class Discovery {
  readonly #options: DiscoveryOptions;
  /** By address, port and session. */
  readonly #offers = new Map<string, Offer>();
  /** From when on the next request waits: `#waitMs`, and its share of the time for joining. */
  #sinceMs: number;
  #waitMs: number;
  #share: number;
  #isHeard = false;
  #isAtOnce = false;
  #requestedMs = Number.NEGATIVE_INFINITY;
  #intervalMs = REQUEST_INTERVAL_MS;
  #decideDueMs = Number.POSITIVE_INFINITY;

  constructor(options: DiscoveryOptions, now: number) {
    this.#options = options;
    this.#sinceMs = now;
    this.#waitMs = this.#listenMs();
    this.#share = options.spread.share();
  }

  #listenMs(): number {
    const share = this.#options.spread.share();
    this.#isAtOnce = share < AT_ONCE_SHARE;
    return this.#isAtOnce ? 0 : LISTEN_MS * (1 + share);
  }

  get #requestDueMs(): number {
    return this.#sinceMs + Math.max(this.#waitMs, this.#share * this.#options.spread.joinMs);
  }

  get dueMs(): number {
    return Math.min(this.#requestDueMs, this.#decideDueMs);
  }

  /** A server was heard: ask without waiting for the interval to end. */
  hurry(now: number): void {
    if (this.#isHeard) return;
    this.#isHeard = true;
    this.#intervalMs = HURRY_INTERVAL_MS;
    if (this.#requestedMs === Number.NEGATIVE_INFINITY) return;
    this.#sinceMs = now;
    this.#waitMs = Math.max(this.#listenMs(), this.#requestedMs + HURRY_INTERVAL_MS - now);
  }

  /** A map request, when one is due. */
  pollRequest(now: number): Buffer | null {
    if (now < this.#requestDueMs) return null;
    const isAtOnce = this.#isAtOnce;
    this.#isAtOnce = false;
    this.#requestedMs = now;
    this.#sinceMs = now;
    this.#share = this.#options.spread.share();
    this.#waitMs = this.#intervalMs * (1 + INTERVAL_VARIATION * (this.#share - 0.5));
    const most = this.#isHeard ? REQUEST_INTERVAL_MS : LARGEST_REQUEST_INTERVAL_MS;
    this.#intervalMs = Math.min(2 * this.#intervalMs, most);
    return this.request(isAtOnce);
  }

  /** @param isAtOnce most others that start at the same time listen first */
  request(isAtOnce = false): Buffer {
    const { client, machine, host } = this.#options;
    return encodeMapRequest({ client, machine, isServer: false, isAtOnce, host });
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
