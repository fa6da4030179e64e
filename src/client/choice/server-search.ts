/**
 * Finding a server and an image: map requests, answers collected, one chosen. Never two mixed.
 * Of many clients that start at once, or hear at once that a server has come, some ask at once.
 * The others listen for a moment first: the server tells the group over how long they are to join.
 */

import { Failure } from '../../failure.js';
import type { Address } from '../../protocol/address.js';
import { encodeMapRequest } from '../../protocol/from-client.js';
import type { ImageDescription } from '../../protocol/from-server.js';
import type { ClientIdentity } from '../../protocol/identity.js';
import { PacketType } from '../../protocol/packet.js';
import type { Spread } from '../timing.js';

interface ServerSearchOptions {
  client: bigint;
  machine: bigint;
  host: string;
  /** What else the machine tells of itself. */
  identity: ClientIdentity;
  /** Name of the image wanted; undefined takes the only one there is. */
  wantedName: string | undefined;
  /** Offers were vetted: of one image, whichever server comes first will do. */
  areVetted?: boolean;
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
const MAX_REQUEST_INTERVAL_MS = 4000;
const INTERVAL_VARIATION = 0.5;
/** When a server is heard: then twice as long each time, up to the interval above. */
const HURRY_INTERVAL_MS = 20;
/** Share of clients that ask at once, and how long the others listen first, up to twice that. */
const AT_ONCE_SHARE = 1 / 8;
const LISTEN_MS = 4;
/** When the first answer tells of other sessions, theirs are awaited this long. */
const COLLECT_MS = 400;
const MAX_OFFERS = 256;

export class ServerSearch {
  /** By address, port and session. */
  private readonly offers = new Map<string, Offer>();
  /** From when on the next request waits: `waitMs`, and its share of the time for joining. */
  private sinceMs: number;
  private waitMs: number;
  private share: number;
  private isHeard = false;
  private isAtOnce = false;
  private requestedMs = Number.NEGATIVE_INFINITY;
  private intervalMs = REQUEST_INTERVAL_MS;
  private decideDueMs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly options: ServerSearchOptions,
    now: number,
  ) {
    this.sinceMs = now;
    this.waitMs = this.listenMs();
    this.share = options.spread.share();
  }

  private listenMs(): number {
    const share = this.options.spread.share();
    this.isAtOnce = share < AT_ONCE_SHARE;
    return this.isAtOnce ? 0 : LISTEN_MS * (1 + share);
  }

  private get requestDueMs(): number {
    return this.sinceMs + Math.max(this.waitMs, this.share * this.options.spread.joinMs);
  }

  get dueMs(): number {
    return Math.min(this.requestDueMs, this.decideDueMs);
  }

  /** A server was heard: ask without waiting for the interval to end. */
  hurry(now: number): void {
    if (this.isHeard) return;
    this.isHeard = true;
    this.intervalMs = HURRY_INTERVAL_MS;
    if (this.requestedMs === Number.NEGATIVE_INFINITY) return;
    this.sinceMs = now;
    this.waitMs = Math.max(this.listenMs(), this.requestedMs + HURRY_INTERVAL_MS - now);
  }

  /** A map request, when one is due. */
  pollRequest(now: number): Buffer | null {
    if (now < this.requestDueMs) return null;
    const isAtOnce = this.isAtOnce;
    this.isAtOnce = false;
    this.requestedMs = now;
    this.sinceMs = now;
    this.share = this.options.spread.share();
    this.waitMs = this.intervalMs * (1 + INTERVAL_VARIATION * (this.share - 0.5));
    const maxMs = this.isHeard ? REQUEST_INTERVAL_MS : MAX_REQUEST_INTERVAL_MS;
    this.intervalMs = Math.min(2 * this.intervalMs, maxMs);
    return this.request(isAtOnce);
  }

  /**
   * @param isAtOnce most others that start at the same time listen first
   * @param session with a key: which is joined; 0 while a server is looked for
   */
  request(isAtOnce = false, session = 0n): Buffer {
    const { client, machine, host, identity } = this.options;
    const words = { client, machine, isServer: false, isAtOnce, host, identity };
    return encodeMapRequest({ ...words, session });
  }

  add(offer: Offer, now: number): void {
    const { session, otherSessions } = offer.description;
    if (this.offers.size >= MAX_OFFERS) this.offers.clear();
    this.offers.set(`${offer.address} ${offer.port} ${session}`, offer);
    const dueMs = otherSessions > 0 ? now + COLLECT_MS : now;
    if (dueMs < this.decideDueMs) this.decideDueMs = dueMs;
  }

  /**
   * The offer to take, once it can be told.
   * @throws Failure when several images are served and none was named
   */
  decide(now: number): Offer | null {
    if (now < this.decideDueMs) return null;
    this.decideDueMs = Number.POSITIVE_INFINITY;
    const offers = [...this.offers.values()];
    const wanted = this.options.wantedName;
    const matching =
      wanted === undefined ? offers : offers.filter((offer) => offer.description.name === wanted);
    const first = matching[0];
    if (first === undefined) {
      // The wanted one may answer the next request.
      return null;
    }
    const isOneImage = this.options.areVetted && areOneImage(matching);
    if (matching.length > 1 && !isOneImage) throw ambiguous(matching);
    return first;
  }

  /** What was heard, for the message when nothing fitted. */
  get heardNames(): string[] {
    return [...new Set([...this.offers.values()].map((offer) => offer.description.name))];
  }
}

/** By the ids that their servers name; who names none may have any image. */
function areOneImage(offers: readonly Offer[]): boolean {
  const [first] = offers;
  const id = first?.description.mapId ?? null;
  return id !== null && offers.every(({ description }) => description.mapId?.equals(id));
}

function ambiguous(offers: readonly Offer[]): Failure {
  const nameCount = new Set(offers.map(({ description }) => description.name)).size;
  const list = offers
    .map((offer) => `  ${offer.description.name} (${offer.address}, port ${offer.port})`)
    .sort()
    .join('\n');
  const advice =
    nameCount > 1
      ? 'Choose one with --image NAME or a server with -s HOST:'
      : 'Their name is the same; choose a server with -s HOST or -s HOST:PORT:';
  return new Failure(
    'otherImage',
    'SEVERAL_IMAGES',
    `several images are served. ${advice}\n${list}`,
  );
}

/** A server that is heard sending answers map requests long before that. */
const UNANSWERED_MS = 3000;
/** With nobody heard for so long, servers are looked for where they are by default. */
const ELSEWHERE_AFTER_MS = 3000;
const ELSEWHERE_INTERVAL_MS = 5000;
/** After so long without a server it is said what was asked, and again when more is heard. */
const STILL_LOOKING_AFTER_MS = 10_000;
/** Strangers must not fill the screen. */
const MAX_TOLD = 8;

interface HearsayOptions {
  group: string;
  port: number;
  /** Where servers are asked; a host of null stands for the group. */
  serverHost?: string | null;
  serverPort: number;
  /** Name of the image wanted; undefined takes the only one there is. */
  wantedName: string | undefined;
  /** Where servers are by default, when this client was told to look elsewhere. */
  elsewhere: Address | null;
}

/**
 * What is heard while no server is chosen, and says that options of server and client do not agree.
 * Each thing is told once.
 */
export class Hearsay {
  /** A server sends to another group: the cause, as long as no other is found. */
  otherGroup: string | null = null;
  /** A server has answered, and was passed over: that none answers is not so. */
  hasAnswered = false;
  /** The address that sent to the group last; empty where nobody tells. */
  sender = '';
  private readonly told = new Set<string>();
  private streamSinceMs = Number.POSITIVE_INFINITY;
  private elsewhereDueMs: number;
  private stillLookingDueMs: number;

  constructor(
    private readonly options: HearsayOptions,
    now: number,
  ) {
    this.stillLookingDueMs = now + STILL_LOOKING_AFTER_MS;
    const isDue = options.elsewhere !== null;
    this.elsewhereDueMs = isDue ? now + ELSEWHERE_AFTER_MS : Number.POSITIVE_INFINITY;
  }

  get dueMs(): number {
    const { elsewhereDueMs, stillLookingDueMs } = this;
    return Math.min(this.streamSinceMs + UNANSWERED_MS, elsewhereDueMs, stillLookingDueMs);
  }

  /** A packet came to where blocks are expected. @returns what to tell, or null */
  hear(type: number, now: number): string | null {
    const { port } = this.options;
    if (type === PacketType.mapRequest) {
      return this.once(
        `port ${port} is where servers are asked for images, not where they send them: start ` +
          `again with -s ${port}, and with the port of the group as -p (16000 unless multiserver ` +
          'has another)',
      );
    }
    this.streamSinceMs = Math.min(this.streamSinceMs, now);
    return null;
  }

  /** A server that sends to another group is no choice. @returns what to tell, or null */
  hearOther({ name, group, port }: ImageDescription, address: string): string | null {
    this.otherGroup =
      `the server at ${address} sends '${name}' to another group than this client listens to; ` +
      `to take that image, start again with -g ${group} -p ${port}`;
    return this.once(this.otherGroup);
  }

  /** A server describes what no image can be. @returns what to tell, or null */
  hearUnusable(
    { imageSize, chunkSize, blockSize }: ImageDescription,
    address: string,
  ): string | null {
    return this.once(
      `the server at ${address} describes an image that cannot be worked with (${imageSize} ` +
        `bytes in chunks of ${chunkSize}, blocks of ${blockSize}): it is passed over; use the ` +
        'same version on all machines',
    );
  }

  /** @returns what to tell, or null */
  handleTimeout(heardNames: readonly string[], now: number): string | null {
    if (now < this.streamSinceMs + UNANSWERED_MS) return null;
    this.streamSinceMs = Number.POSITIVE_INFINITY;
    if (heardNames.length > 0) return this.onlyOthers(heardNames);
    if (this.hasAnswered) return null;
    if (this.isNamedInVain) return this.once(this.namedText);
    return this.once(
      'a server sends to this group, but none answers: give its port for requests with -s ' +
        '(multiserver prints it), and look whether a firewall drops what clients send or get',
    );
  }

  /**
   * What was asked in vain, and which images there are instead.
   * @returns what to tell, or null
   */
  pollStillLooking(heardNames: readonly string[], now: number): string | null {
    if (now < this.stillLookingDueMs) return null;
    this.stillLookingDueMs = now + STILL_LOOKING_AFTER_MS;
    const { group, port, serverHost, serverPort } = this.options;
    if (heardNames.length > 0) return this.onlyOthers(heardNames);
    if (this.hasAnswered) return null;
    if (this.isNamedInVain) return this.once(this.namedText);
    if (serverHost != null) {
      return this.once(
        `no server answers: ${serverHost} is asked, port ${serverPort}; look whether multiserver ` +
          'runs there, and takes requests at that port, or leave -s out to ask the group',
      );
    }
    return this.once(
      `no server answers: group ${group} is asked, port ${serverPort} for requests and ${port} ` +
        'for blocks; look whether multiserver runs with the same, and on this network',
    );
  }

  /** The host that was named is silent, and another one sends. */
  private get isNamedInVain(): boolean {
    const { serverHost } = this.options;
    const isHeard = this.sender !== '' && this.sender !== serverHost;
    return serverHost != null && isHeard;
  }

  private get namedText(): string {
    const { serverHost, serverPort } = this.options;
    return (
      `${serverHost} is asked, port ${serverPort}, and does not answer, but a server at ` +
      `${this.sender} sends to this group: start again with -s ${this.sender}, or without -s`
    );
  }

  /** Only images of other names than the one that is wanted are served. */
  private onlyOthers(heardNames: readonly string[]): string | null {
    const names = heardNames.slice(0, MAX_TOLD).join(', ');
    const { wantedName } = this.options;
    return this.once(`'${wantedName}' is not served; --image can name one of these: ${names}`);
  }

  /** Where else to ask now, or null. */
  pollElsewhere(now: number): Address | null {
    if (now < this.elsewhereDueMs) return null;
    this.elsewhereDueMs = now + ELSEWHERE_INTERVAL_MS;
    return this.options.elsewhere;
  }

  private once(text: string): string | null {
    if (this.told.has(text) || this.told.size >= MAX_TOLD) return null;
    this.told.add(text);
    return text;
  }
}
