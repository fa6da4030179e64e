/** Which server the client takes its image from, and what that server says of it. */

import { Failure } from '../../failure.js';
import { Geometry } from '../../image/geometry.js';
import type { Address } from '../../protocol/address.js';
import {
  decodeFarewell,
  decodeImageDescription,
  decodeStatus,
  type Farewell,
  type ImageDescription,
} from '../../protocol/from-server.js';
import { decodeLocked } from '../../protocol/locked.js';
import { PacketType, packetType } from '../../protocol/packet.js';
import { decodeStatement } from '../../protocol/statement-packets.js';
import { isSealed } from '../../trust/control-seal.js';
import type { ClientConfig } from '../config.js';
import type { ImageSummary } from '../events.js';
import type { Outbox } from '../outputs.js';
import { ClientSealing } from '../sealing.js';
import type { Spread } from '../timing.js';
import { Hearsay, ServerSearch } from './server-search.js';
import { Vetting } from './vetting.js';

export class ServerChoice {
  private readonly search: ServerSearch;
  private readonly hearsay: Hearsay;
  private readonly vetting: Vetting;
  /** With a key: what all that leaves and comes goes through. */
  readonly sealing: ClientSealing | null;
  private chosen: Address | null = null;
  private described: ImageDescription | null = null;

  constructor(
    private readonly config: ClientConfig,
    private readonly spread: Spread,
    private readonly outbox: Outbox,
    now: number,
  ) {
    const { client, machine, host, identity = {}, wantedName } = config;
    this.vetting = new Vetting(config, outbox);
    this.sealing = config.secrets === undefined ? null : new ClientSealing(config.secrets);
    const { isStrict: areVetted } = this.vetting;
    const machineWords = { client, machine, host, identity };
    this.search = new ServerSearch({ ...machineWords, wantedName, areVetted, spread }, now);
    const { group, port, serverPort = 0, serverHost = null, elsewhere = null } = config;
    const places = { group, port, serverHost, serverPort, elsewhere };
    this.hearsay = new Hearsay({ ...places, wantedName }, now);
  }

  /** How the id of the image that is taken begins, in hex; null when any is taken. */
  get pinnedId(): string | null {
    return this.vetting.pinnedId;
  }

  /** The server chosen, or null. */
  get server(): Address | null {
    return this.chosen;
  }

  get description(): ImageDescription | null {
    return this.described;
  }

  /** Where the stream comes from: a server with several addresses answers from another. */
  get streamAddress(): string | null {
    const stream = this.described?.streamAddress ?? '';
    return stream === '' ? (this.chosen?.address ?? null) : stream;
  }

  /** Whether the stream comes from there. */
  isStreamAddress(address: string): boolean {
    const expected = this.streamAddress;
    if (expected === null) return false;
    if (address === expected) return true;
    // A link-local address of IPv6 may come with or without its scope.
    return address.includes(':') && address.split('%')[0] === expected.split('%')[0];
  }

  /** When there is something to do while no server is chosen. */
  get dueMs(): number {
    return Math.min(this.search.dueMs, this.hearsay.dueMs);
  }

  /** No server is chosen yet: asks, and tells what was heard instead. */
  tick(now: number): void {
    const request = this.search.pollRequest(now);
    if (request !== null) this.outbox.send(request, null);
    // Whoever was passed over has answered.
    if (this.vetting.refusal !== null) this.hearsay.hasAnswered = true;
    this.outbox.notice(this.hearsay.handleTimeout(this.search.heardNames, now));
    this.outbox.notice(this.hearsay.pollStillLooking(this.search.heardNames, now));
    const elsewhere = this.hearsay.pollElsewhere(now);
    if (elsewhere !== null) this.outbox.send(this.search.request(), elsewhere);
  }

  /**
   * Asks whether the chosen server is still what it was.
   * @param to null: whoever serves it
   * @param isOutside as one who has no session yet: with a key, a server that was started again
   *   opens nothing else
   */
  ask(to: Address | null, isOutside = false): void {
    const isMember = this.sealing !== null && to !== null && !isOutside;
    const session = isMember ? (this.described?.session ?? 0n) : 0n;
    this.outbox.send(this.search.request(false, session), to);
  }

  /**
   * A sealed server that cannot open what this client sends, or that this client has no key for.
   */
  hearLocked(bytes: Buffer, from: Address): boolean {
    if (decodeLocked(bytes) === null) return false;
    if (this.chosen === null) this.vetting.hearLocked(from, this.sealing !== null);
    return true;
  }

  /** Who sends to the group, as far as that is told. */
  hearFrom(address: string): void {
    if (this.chosen === null) this.hearsay.sender = address;
  }

  /** The group, before the target is open: a server is there, and so many wait for it. */
  overhear(bytes: Buffer, offset: number, length: number, now: number): void {
    const type = packetType(bytes, offset);
    const packet = type === PacketType.status ? bytes.subarray(offset, offset + length) : null;
    if (packet !== null && this.sealing !== null && !isSealed(packet)) this.vetting.hearOpen();
    const plain = packet === null ? null : this.plainOf(packet, now);
    const status = plain === null ? null : decodeStatus(plain);
    if (status !== null) {
      const isOwn = this.described === null || status.session === this.described.session;
      if (isOwn) this.spread.windowMs = status.requestWindowMs;
      this.spread.tellJoin(status.joinWindowMs, now);
    }
    if (this.chosen !== null) return;
    this.outbox.notice(this.hearsay.hear(type, now));
    this.search.hurry(now);
  }

  private plainOf(packet: Buffer, now: number): Buffer | null {
    return this.sealing === null ? packet : this.sealing.overhear(packet, now);
  }

  /** @returns null for an answer that is not ours, or that nobody can work with */
  readDescription(bytes: Buffer, from: Address): ImageDescription | null {
    const description = decodeImageDescription(bytes);
    if (description === null || description.client !== this.config.client) return null;
    if (isUsable(description)) return description;
    if (this.chosen === null) {
      this.outbox.notice(this.hearsay.hearUnusable(description, from.address));
    }
    return null;
  }

  /** @returns null unless the chosen server takes leave of this client */
  readFarewell(bytes: Buffer, from: Address): Farewell | null {
    const farewell = decodeFarewell(bytes);
    const isOurs = farewell?.client === this.config.client;
    return isOurs && from.address === this.chosen?.address ? farewell : null;
  }

  /** The server's operator wants this client gone. */
  failDropped(): void {
    const text =
      'the operator of the server dropped this machine; start it again to have it served';
    this.outbox.fail(new Failure('noServer', 'DROPPED', text));
  }

  /** A server answers while none is chosen. */
  consider(description: ImageDescription, from: Address, now: number): void {
    if (this.isElsewhere(description)) {
      this.outbox.notice(this.hearsay.hearOther(description, from.address));
    } else if (this.vetting.admits(description, from)) {
      this.search.add({ description, address: from.address, port: from.port }, now);
    }
  }

  /**
   * Takes a server's statement. Once a server is chosen, what was signed is pinned.
   * @returns false for what is none
   */
  takeStatement(bytes: Buffer, from: Address, now: number): boolean {
    const answer = decodeStatement(bytes);
    if (answer === null) return false;
    if (this.chosen !== null) return true;
    const description = this.vetting.takeStatement(answer, from);
    if (description !== null) {
      this.search.add({ description, address: from.address, port: from.port }, now);
    }
    return true;
  }

  /** Whether a server sends to another group, and was not named by the operator. */
  private isElsewhere({ group }: ImageDescription): boolean {
    const { serverHost, group: own } = this.config;
    return serverHost === undefined && group.toLowerCase() !== own.toLowerCase();
  }

  /** Chooses, once it can be told. @returns whether a server is chosen now */
  decide(now: number): boolean {
    try {
      const offer = this.search.decide(now);
      if (offer === null) return false;
      const { description, address, port } = offer;
      checkGroup(description, this.config.group, this.config.port);
      this.vetting.pin(description);
      this.described = description;
      this.chosen = { address, port };
      this.sealing?.begin(description);
      this.spread.windowMs = description.requestWindowMs;
      this.outbox.tell({ type: 'server-found', address, image: summaryOf(description) });
      this.vetting.tellSigner(description, this.chosen);
      return true;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.outbox.fail(error);
      return false;
    }
  }

  /** Whether a description may be of the image chosen, as far as it tells without its id. */
  isAlike(description: ImageDescription): boolean {
    return this.described !== null && areAlike(description, this.described);
  }

  /**
   * Whether a description of the session chosen says what that session said before. One that does
   * not is forged: no session changes its image, its blocks or its group.
   */
  isConsistent(description: ImageDescription): boolean {
    const known = this.described;
    return (
      known !== null &&
      areAlike(description, known) &&
      description.blockSize === known.blockSize &&
      description.sectorSizeBytes === known.sectorSizeBytes &&
      description.group === known.group &&
      description.port === known.port
    );
  }

  /** The same image, from the chosen server or its successor. */
  renew(description: ImageDescription, server: Address): void {
    this.described = description;
    this.chosen = server;
    this.sealing?.begin(description);
  }

  /** The chosen server has another image now: why the copy cannot go on, if that is true. */
  otherImage({ name }: ImageDescription): Failure {
    const text =
      `the server at ${this.chosen?.address} now serves another image (${name}); ` +
      'start again to copy that one';
    return new Failure('otherImage', 'OTHER_IMAGE', text);
  }

  /**
   * There was no progress for too long.
   * @param isSilent the chosen server, if there is one, was not heard of in that time
   */
  failNoServer(isSilent: boolean): void {
    const { refusal } = this.vetting;
    const { kind, code, message } =
      this.chosen === null && refusal !== null
        ? refusal
        : new Failure('noServer', 'NO_SERVER', this.causeOfSilence(isSilent));
    const text = `gave up after ${this.config.giveUpMs / 1000} s: ${message}`;
    this.outbox.fail(new Failure(kind, code, text));
  }

  private causeOfSilence(isSilent: boolean): string {
    if (this.chosen !== null) {
      const { address } = this.chosen;
      if (isSilent) return `the server at ${address} was not heard of any more`;
      return (
        `the server at ${address} answers, but nothing of its image came; look whether its ` +
        'packets to the group get here (switch, firewall, -i)'
      );
    }
    const heard = this.search.heardNames;
    if (this.hearsay.otherGroup !== null) return this.hearsay.otherGroup;
    if (heard.length > 0) return `only other images are served: ${heard.join(', ')}`;
    return (
      'no server answered; check that multiserver runs, and that group, ports and ' +
      'interface (-i) agree'
    );
  }
}

/** Whether the numbers of a description can be worked with. */
function isUsable(description: ImageDescription): boolean {
  const { imageSize, chunkSize, blockSize } = description;
  return (
    Geometry.parse(imageSize, chunkSize) !== null &&
    blockSize >= 16 &&
    Math.ceil(chunkSize / blockSize) <= 65_535
  );
}

/** Whether two descriptions may be of one image, as far as they tell without its id. */
function areAlike(one: ImageDescription, other: ImageDescription): boolean {
  return (
    one.imageSize === other.imageSize &&
    one.chunkSize === other.chunkSize &&
    one.name === other.name
  );
}

/** @throws Failure when the server sends to another group than the one listened to */
function checkGroup(description: ImageDescription, group: string, port: number): void {
  if (description.port === port && description.group.toLowerCase() === group.toLowerCase()) return;
  throw new Failure(
    'network',
    'OTHER_GROUP',
    `the server sends to group ${description.group} port ${description.port}; ` +
      `listen there with -g ${description.group} -p ${description.port}`,
  );
}

export function sessionText(session: bigint): string {
  return session.toString(16).padStart(16, '0');
}

function summaryOf(description: ImageDescription): ImageSummary {
  return {
    session: sessionText(description.session),
    name: description.name,
    sizeBytes: description.imageSize,
    chunkSizeBytes: description.chunkSize,
    chunkCount: Math.ceil(description.imageSize / description.chunkSize),
    blockSizeBytes: description.blockSize,
    mapId: description.mapId?.toString('hex') ?? null,
  };
}
