/**
 * The client as a machine without sockets, disks or clocks: datagrams, finished stores and time
 * come in as calls; requests, store orders, the next deadline and events come out.
 */
import { Failure } from '../failure.js';
import type { Digest } from '../image/block-map.js';
import { Geometry } from '../image/geometry.js';
import { ClientState, type ClientStateId, encodeReport } from '../protocol/from-client.js';
import {
  decodeFarewell,
  decodeImageDescription,
  decodeNotice,
  type ImageDescription,
  type Notice,
  NoticeCode,
} from '../protocol/from-server.js';
import { PacketType, packetLength, packetType } from '../protocol/packet.js';
import { Discovery } from './discovery.js';
import type { ClientEvent, ClientProgress, ImageSummary } from './events.js';
import { Receiver, type StoreOrder, type StoreOutcome } from './receiver.js';

export interface ClientConfig {
  /** Random id of this run. */
  client: bigint;
  host: string;
  /** Name of the image wanted, or undefined for the only one. */
  wantedName: string | undefined;
  /** Where the operator expects block packets. */
  group: string;
  port: number;
  /** Quiet timeout. */
  timeoutMs: number;
  /** Fail after this long without a word from the server; Infinity to wait for ever. */
  giveUpMs: number;
  digest: Digest;
  /** Numbers in [0, 1). */
  random: () => number;
}

/** What the driver found out about the target, once it is open. */
export interface Target {
  /** Memory for chunks, each at least one chunk long. */
  slots: readonly Buffer[];
  /** The target reads as zeros wherever nothing was written. */
  isBlank: boolean;
  receiveBufferBytes: number;
}

/** A datagram to send. */
export interface ClientTransmit {
  bytes: Buffer;
  /** Null: to wherever servers are looked for. */
  to: { address: string; port: number } | null;
}

type Phase = 'discovering' | 'opening' | 'receiving' | 'proven' | 'parting' | 'finished';

/** Packets of an unknown session cause one map request per this time. */
const FOREIGN_ASK_MS = 200;
const MOST_PARTING_REPORTS = 8;
const PARTING_INTERVAL_MS = 50;

export class ClientSession {
  readonly #config: ClientConfig;
  #discovery: Discovery;
  #phase: Phase = 'discovering';
  #description: ImageDescription | null = null;
  #server: { address: string; port: number } | null = null;
  #receiver: Receiver | null = null;
  #events: ClientEvent[] = [];
  #outgoing: ClientTransmit[] = [];
  #failure: Failure | null = null;
  #lastHeardMs: number;
  #lastAskedMs = Number.NEGATIVE_INFINITY;
  #rediscoverMs = Number.POSITIVE_INFINITY;
  #partingState: ClientStateId = ClientState.done;
  #partingReports = 0;
  #partingDueMs = Number.POSITIVE_INFINITY;
  #packetsBad = 0;

  constructor(config: ClientConfig, now: number) {
    this.#config = config;
    this.#lastHeardMs = now;
    this.#discovery = this.#newDiscovery(now);
  }

  #newDiscovery(now: number): Discovery {
    const { client, host, wantedName } = this.#config;
    return new Discovery({ client, host, wantedName }, now);
  }

  /** Why the client cannot go on, or null. */
  get failure(): Failure | null {
    return this.#failure;
  }

  /** All chunks are proven: the driver syncs the target, then calls `part`. */
  get isProven(): boolean {
    return this.#phase === 'proven';
  }

  /** Nothing more to do. */
  get isFinished(): boolean {
    return this.#phase === 'finished';
  }

  /** The server whose group packets count, once chosen. */
  get serverAddress(): string | null {
    return this.#server?.address ?? null;
  }

  /** The image's id in hex, once it is known. */
  get mapId(): string | null {
    return this.#receiver?.mapId ?? null;
  }

  get description(): ImageDescription | null {
    return this.#description;
  }

  /** No memory is left for group packets until a store is done: leave them in the socket. */
  get isExhausted(): boolean {
    return this.#receiver?.isExhausted ?? false;
  }

  /** Takes a datagram from the unicast socket. */
  handleUnicast(bytes: Buffer, address: string, port: number, now: number): void {
    if (
      packetLength(bytes, 0, bytes.length) !== bytes.length ||
      !this.#handleUnicast(bytes, address, port, now)
    ) {
      this.#packetsBad++;
    }
  }

  #handleUnicast(bytes: Buffer, address: string, port: number, now: number): boolean {
    switch (packetType(bytes, 0)) {
      case PacketType.imageDescription: {
        const description = decodeImageDescription(bytes);
        if (description === null || description.client !== this.#config.client) return false;
        if (!isUsable(description)) return false;
        this.#handleDescription(description, address, port, now);
        return true;
      }
      case PacketType.farewell: {
        const farewell = decodeFarewell(bytes);
        if (farewell === null || farewell.client !== this.#config.client) return false;
        if (address !== this.serverAddress) return false;
        if (this.#phase === 'parting') this.#phase = 'finished';
        return true;
      }
      default:
        return false;
    }
  }

  #handleDescription(
    description: ImageDescription,
    address: string,
    port: number,
    now: number,
  ): void {
    if (this.#phase === 'discovering') {
      this.#discovery.add({ description, address, port }, now);
      this.#decide(now);
    } else if (this.#phase === 'receiving' && address === this.serverAddress) {
      this.#lastHeardMs = now;
      if (description.session !== this.#description?.session) this.#rejoin(description, now);
      else {
        this.#receiver!.knowPosition(description.position);
        this.#receiver!.knowMap(description.mapId, now);
      }
    }
  }

  #decide(now: number): void {
    try {
      const offer = this.#discovery.decide(now);
      if (offer === null) return;
      const { description } = offer;
      this.#checkGroup(description);
      this.#description = description;
      this.#server = { address: offer.address, port: offer.port };
      this.#phase = 'opening';
      this.#lastHeardMs = now;
      this.#events.push({
        type: 'server-found',
        address: offer.address,
        image: summaryOf(description),
      });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#failure = error;
    }
  }

  #checkGroup(description: ImageDescription): void {
    const { group, port } = this.#config;
    if (description.port === port && description.group.toLowerCase() === group.toLowerCase())
      return;
    throw new Failure(
      'network',
      'OTHER_GROUP',
      `the server sends to group ${description.group} port ${description.port}; ` +
        `listen there with -g ${description.group} -p ${description.port}`,
    );
  }

  /** The server was started again: go on if it serves the same image. */
  #rejoin(description: ImageDescription, now: number): void {
    const known = this.#description!;
    const isSame =
      description.imageSize === known.imageSize &&
      description.chunkSize === known.chunkSize &&
      description.name === known.name &&
      this.#receiver!.agreesWith(description.mapId);
    if (!isSame) {
      this.#failure = new Failure(
        'otherImage',
        'OTHER_IMAGE',
        `the server at ${this.serverAddress} now serves another image (${description.name}); ` +
          'start again to copy that one',
      );
      return;
    }
    this.#description = description;
    this.#receiver!.rejoin(description, now);
    const session = description.session.toString(16).padStart(16, '0');
    this.#events.push({ type: 'server-restarted', session });
  }

  /** The target is open: ask for everything. */
  begin(target: Target, now: number): void {
    if (this.#phase !== 'opening') throw new Error('begin out of order');
    this.#phase = 'receiving';
    this.#lastHeardMs = now;
    this.#receiver = new Receiver(
      {
        client: this.#config.client,
        description: this.#description!,
        digest: this.#config.digest,
        random: this.#config.random,
        target,
      },
      now,
    );
    this.#rediscoverMs = now + this.#config.timeoutMs;
  }

  /**
   * Takes the packets in `bytes[start, end)`, one after the other, from the group socket.
   * @param isFromServer whether they came from `serverAddress`
   */
  handleGroup(bytes: Buffer, start: number, end: number, isFromServer: boolean, now: number): void {
    for (let offset = start; offset < end; ) {
      const length = packetLength(bytes, offset, end);
      if (length === 0) {
        this.#packetsBad++;
        return;
      }
      this.#handleGroupPacket(bytes, offset, length, isFromServer, now);
      offset += length;
    }
  }

  #handleGroupPacket(
    bytes: Buffer,
    offset: number,
    length: number,
    isFromServer: boolean,
    now: number,
  ): void {
    const receiver = this.#receiver;
    // Before the target is open, nothing can be done with packets; that is no fault of theirs.
    if (receiver === null) return;
    if (!isFromServer || this.#phase !== 'receiving') {
      if (!isFromServer) this.#packetsBad++;
      return;
    }
    const type = packetType(bytes, offset);
    if (!receiver.isOwnSession(bytes, offset)) {
      this.#packetsBad++;
      // The server may have been started again: find out soon.
      this.#rediscoverMs = Math.min(
        this.#rediscoverMs,
        Math.max(now, this.#lastAskedMs + FOREIGN_ASK_MS),
      );
      return;
    }
    this.#lastHeardMs = now;
    if (type === PacketType.notice) {
      const notice = decodeNotice(bytes.subarray(offset, offset + length));
      if (notice === null) this.#packetsBad++;
      else this.#handleNotice(notice);
    } else if (!receiver.take(type, bytes, offset, length, now)) {
      this.#packetsBad++;
    }
  }

  #handleNotice(notice: Notice): void {
    this.#events.push({ type: 'notice', text: notice.text });
    if (notice.code === NoticeCode.sourceChanged) {
      this.#failure = new Failure(
        'source',
        'SOURCE_CHANGED',
        `the server's image changed while it was served: ${notice.text}`,
      );
    }
  }

  /** Takes what came of a store order. */
  handleStored(order: StoreOrder, outcome: StoreOutcome, now: number): void {
    this.#receiver?.handleStored(order, outcome, now);
  }

  /** Next chunk to write, or null. */
  pollStore(): StoreOrder | null {
    return this.#receiver?.pollStore() ?? null;
  }

  handleTimeout(now: number): void {
    if (this.#failure !== null || this.#phase === 'finished') return;
    if (this.#phase === 'discovering') {
      const request = this.#discovery.pollRequest(now);
      if (request !== null) this.#outgoing.push({ bytes: request, to: null });
      this.#decide(now);
    }
    if (this.#phase === 'receiving') this.#tendReceiving(now);
    if (this.#phase === 'parting') this.#tendParting(now);
    const isWaiting = this.#phase === 'discovering' || this.#phase === 'receiving';
    if (isWaiting && now - this.#lastHeardMs >= this.#config.giveUpMs) this.#giveUp();
  }

  #giveUp(): void {
    const heard = this.#discovery.heardNames;
    const detail =
      this.#server !== null
        ? `the server at ${this.#server.address} was not heard of any more`
        : heard.length > 0
          ? `only other images are served: ${heard.join(', ')}`
          : 'no server answered; check that multiserver runs, and that group, ports and interface (-i) agree';
    const seconds = this.#config.giveUpMs / 1000;
    this.#failure = new Failure('noServer', 'NO_SERVER', `gave up after ${seconds} s: ${detail}`);
  }

  #tendReceiving(now: number): void {
    const receiver = this.#receiver!;
    receiver.handleTimeout(now);
    if (receiver.isProven) {
      this.#phase = 'proven';
      return;
    }
    const quietSinceMs = Math.max(this.#lastHeardMs, this.#lastAskedMs);
    if (now - quietSinceMs >= this.#config.timeoutMs) {
      this.#events.push({ type: 'quiet', missingChunks: receiver.progress().missingChunks });
      receiver.askAgain(now);
      this.#rediscoverMs = now;
    }
    if (now >= this.#rediscoverMs) {
      this.#lastAskedMs = now;
      this.#rediscoverMs = Number.POSITIVE_INFINITY;
      const request = this.#newDiscovery(now).pollRequest(now)!;
      this.#outgoing.push({ bytes: request, to: this.#server });
    }
  }

  /** The copy is proven and safe on the target: tell the server and part. */
  part(now: number): void {
    this.#partingState = ClientState.done;
    this.#phase = 'parting';
    this.#partingDueMs = now;
  }

  /** The client ends without a copy: tell the server once. */
  leave(now: number): void {
    if (this.#receiver === null || this.#server === null || this.#phase === 'finished') return;
    const state = this.#failure === null ? ClientState.leaving : ClientState.failed;
    const bytes = encodeReport(this.#receiver.report(now, state));
    this.#outgoing.push({ bytes, to: this.#server });
  }

  #tendParting(now: number): void {
    if (now < this.#partingDueMs) return;
    if (this.#partingReports++ >= MOST_PARTING_REPORTS) {
      this.#phase = 'finished';
      return;
    }
    this.#partingDueMs = now + PARTING_INTERVAL_MS;
    const bytes = encodeReport(this.#receiver!.report(now, this.#partingState));
    this.#outgoing.push({ bytes, to: this.#server });
  }

  pollTransmit(): ClientTransmit | null {
    const own = this.#outgoing.shift();
    if (own !== undefined) return own;
    const bytes = this.#phase === 'receiving' ? this.#receiver!.pollRequest() : null;
    return bytes === null ? null : { bytes, to: this.#server };
  }

  /** When `handleTimeout` has something to do, in ms on the caller's clock. */
  nextDeadline(): number {
    const giveUpMs = this.#lastHeardMs + this.#config.giveUpMs;
    switch (this.#phase) {
      case 'discovering':
        return Math.min(giveUpMs, this.#discovery.dueMs);
      case 'receiving': {
        const quietMs = Math.max(this.#lastHeardMs, this.#lastAskedMs) + this.#config.timeoutMs;
        return Math.min(giveUpMs, quietMs, this.#rediscoverMs, this.#receiver!.dueMs);
      }
      case 'parting':
        return this.#partingDueMs;
      default:
        return Number.POSITIVE_INFINITY;
    }
  }

  pollEvents(): ClientEvent[] {
    const events =
      this.#receiver === null ? this.#events : [...this.#events, ...this.#receiver.pollEvents()];
    this.#events = [];
    return events;
  }

  progress(): ClientProgress {
    const progress = this.#receiver?.progress() ?? emptyProgress();
    progress.packetsBad += this.#packetsBad;
    if (this.#failure !== null) progress.state = 'failed';
    else if (this.#phase === 'proven') progress.state = 'syncing';
    else if (this.#phase === 'parting' || this.#phase === 'finished') progress.state = 'done';
    return progress;
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

function summaryOf(description: ImageDescription): ImageSummary {
  return {
    session: description.session.toString(16).padStart(16, '0'),
    name: description.name,
    sizeBytes: description.imageSize,
    chunkSizeBytes: description.chunkSize,
    chunkCount: Math.ceil(description.imageSize / description.chunkSize),
    blockSizeBytes: description.blockSize,
    mapId: description.mapId?.toString('hex') ?? null,
  };
}

function emptyProgress(): ClientProgress {
  return {
    state: 'discovering',
    sizeBytes: 0,
    writtenBytes: 0,
    provenBytes: 0,
    missingChunks: 0,
    chunkCount: 0,
    wireBytes: 0,
    blocksReceived: 0,
    blocksDuplicate: 0,
    packetsLost: 0,
    packetsBad: 0,
    blockRequestsSent: 0,
  };
}
