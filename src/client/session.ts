/**
 * The client as a machine without sockets, disks or clocks: datagrams, finished stores and time
 * come in as calls; requests, store orders, the next deadline and events come out.
 */
import { Failure } from '../failure.js';
import {
  ClientState,
  type ClientStateId,
  encodeReport,
  type Report,
} from '../protocol/from-client.js';
import {
  decodeFarewell,
  decodeImageDescription,
  decodeStatus,
  type ImageDescription,
} from '../protocol/from-server.js';
import { PacketType, packetLength, packetType } from '../protocol/packet.js';
import type { ClientConfig, ClientTransmit, Target } from './config.js';
import { emptyProgress, isUsable, summaryOf } from './description.js';
import type { ClientEvent, ClientProgress } from './events.js';
import { Hearsay } from './hearsay.js';
import { Parting } from './parting.js';
import { Patience } from './patience.js';
import {
  type CheckOrder,
  type CheckOutcome,
  Receiver,
  type StoreOrder,
  type StoreOutcome,
} from './receiver.js';
import { Reception } from './reception.js';
import { ServerChoice } from './server-choice.js';
import { Spread } from './spread.js';

export type { ClientConfig, ClientTransmit, Target } from './config.js';

/** Most copies are on the disk before that. */
const FIRST_SYNCING_MS = 200;
const SYNCING_INTERVAL_MS = 1000;

type Phase = 'discovering' | 'opening' | 'receiving' | 'proven' | 'parting' | 'finished';

export class ClientSession {
  readonly #config: ClientConfig;
  readonly #spread: Spread;
  readonly #choice: ServerChoice;
  #phase: Phase = 'discovering';
  #receiver: Receiver | null = null;
  #reception: Reception | null = null;
  #events: ClientEvent[] = [];
  #outgoing: ClientTransmit[] = [];
  #failure: Failure | null = null;
  readonly #patience: Patience;
  #parting: Parting | null = null;
  #packetsBad = 0;
  readonly #hearsay: Hearsay;
  #syncingDueMs = Number.POSITIVE_INFINITY;

  constructor(config: ClientConfig, now: number) {
    this.#config = config;
    this.#spread = new Spread(config.random);
    this.#patience = new Patience(config.timeoutMs, config.giveUpMs, this.#spread, now);
    this.#choice = new ServerChoice(config, this.#spread, now);
    const { port, elsewhere = null } = config;
    this.#hearsay = new Hearsay({ port, elsewhere }, now);
  }

  /** Why the client cannot go on, or null. */
  get failure(): Failure | null {
    return this.#failure ?? this.#reception?.failure ?? this.#receiver?.failure ?? null;
  }

  /** All chunks are proven: the driver syncs the target, then calls `verify` or `part`. */
  get isProven(): boolean {
    return this.#phase === 'proven';
  }

  /** Of a target that is only checked: all of it has been compared with the image. */
  get isCompared(): boolean {
    return this.#receiver?.isCompared ?? false;
  }

  /** Nothing more to do. */
  get isFinished(): boolean {
    return this.#phase === 'finished';
  }

  /** The address whose group packets count, once a server is chosen. */
  get streamAddress(): string | null {
    return this.#choice.streamAddress;
  }

  /** The server that was chosen. */
  get serverAddress(): string | null {
    return this.#choice.server?.address ?? null;
  }

  /** The image's id in hex, once it is known. */
  get mapId(): string | null {
    return this.#receiver?.mapId ?? null;
  }

  get description(): ImageDescription | null {
    return this.#choice.description;
  }

  /** No memory is left for group packets until a store is done: leave them in the socket. */
  get isCrowded(): boolean {
    return this.#receiver?.isCrowded ?? false;
  }

  /** Anything of the session has come by the group. */
  get hasHeardGroup(): boolean {
    return this.#receiver?.hasHeard ?? false;
  }

  get isExhausted(): boolean {
    return this.#receiver?.isExhausted ?? false;
  }

  /** Takes a datagram from the unicast socket. */
  handleUnicast(bytes: Buffer, address: string, port: number, now: number): void {
    const length = packetLength(bytes, 0, bytes.length);
    const isWhole = length > 0 && length === bytes.length;
    if (!isWhole || !this.#handleUnicast(bytes, address, port, now)) this.#packetsBad++;
  }

  #handleUnicast(bytes: Buffer, address: string, port: number, now: number): boolean {
    switch (packetType(bytes, 0)) {
      case PacketType.imageDescription: {
        const description = decodeImageDescription(bytes);
        if (description === null || description.client !== this.#config.client) return false;
        if (!isUsable(description)) {
          if (this.#phase === 'discovering') {
            this.#tell(this.#hearsay.hearUnusable(description, address));
          }
          return false;
        }
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
      if (this.#isElsewhere(description)) {
        this.#tell(this.#hearsay.hearOther(description, address));
        return;
      }
      this.#choice.add(description, address, port, now);
      this.#decide(now);
    } else if (this.#phase === 'receiving') {
      this.#reception!.handleDescription(description, { address, port }, now);
    } else if (this.#phase === 'parting') {
      this.#reception!.handleLateDescription(description, { address, port }, now);
    }
  }

  /** Whether a server sends to another group, and was not named by the operator. */
  #isElsewhere({ group }: ImageDescription): boolean {
    const { isServerNamed = false, group: own } = this.#config;
    return !isServerNamed && group.toLowerCase() !== own.toLowerCase();
  }

  #tell(text: string | null): void {
    if (text !== null) this.#events.push({ type: 'notice', text });
  }

  #decide(now: number): void {
    try {
      if (!this.#choice.decide(now)) return;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#failure = error;
      return;
    }
    this.#phase = 'opening';
    this.#spread.windowMs = this.description!.requestWindowMs;
    this.#patience.heard(now);
    const image = summaryOf(this.description!);
    this.#events.push({ type: 'server-found', address: this.serverAddress!, image });
  }

  /** The target is open: ask for everything. */
  begin(target: Target, now: number): void {
    if (this.#phase !== 'opening') throw new Error('begin out of order');
    this.#phase = 'receiving';
    this.#receiver = new Receiver(
      {
        client: this.#config.client,
        description: this.description!,
        digest: this.#config.digest,
        random: this.#config.random,
        spread: this.#spread,
        target,
      },
      now,
    );
    this.#reception = new Reception({
      choice: this.#choice,
      patience: this.#patience,
      receiver: this.#receiver,
      observe: (event) => this.#events.push(event),
      send: (transmit) => this.#outgoing.push(transmit),
    });
    this.#patience.begin(now);
  }

  /**
   * Takes the packets in `bytes[start, end)`, one after the other, from the group socket.
   * @param isFromServer whether they came from `serverAddress`
   * @returns whether there were blocks of the session among them
   */
  handleGroup(
    bytes: Buffer,
    start: number,
    end: number,
    isFromServer: boolean,
    now: number,
  ): boolean {
    let isStream = false;
    for (let offset = start; offset < end; ) {
      const length = packetLength(bytes, offset, end);
      if (length === 0) {
        this.#packetsBad++;
        break;
      }
      const isBlock = this.#handleGroupPacket(bytes, offset, length, isFromServer, now);
      if (isBlock) isStream = true;
      offset = isBlock ? this.#receiver!.takeRun(bytes, offset, length, end) : offset + length;
    }
    return isStream;
  }

  /** @returns whether it was a block packet that was taken: those that continue it may follow */
  #handleGroupPacket(
    bytes: Buffer,
    offset: number,
    length: number,
    isFromServer: boolean,
    now: number,
  ): boolean {
    const reception = this.#reception;
    if (reception === null) {
      this.#overhear(bytes, offset, length, now);
      return false;
    }
    if (!isFromServer || this.#phase !== 'receiving') {
      if (!isFromServer) this.#packetsBad++;
      if (this.#phase === 'receiving') reception.handleStranger(bytes, offset, now);
      return false;
    }
    return reception.handlePacket(bytes, offset, length, now);
  }

  /** Before the target is open, packets only tell that a server is there, and how many wait for it. */
  #overhear(bytes: Buffer, offset: number, length: number, now: number): void {
    if (packetType(bytes, offset) === PacketType.status) {
      const status = decodeStatus(bytes.subarray(offset, offset + length));
      const { description } = this;
      const isOwn = description === null || status?.session === description.session;
      if (status !== null && isOwn) this.#spread.windowMs = status.requestWindowMs;
      if (status !== null) this.#spread.tellJoin(status.joinWindowMs, now);
    }
    if (this.#phase !== 'discovering') return;
    this.#tell(this.#hearsay.hear(packetType(bytes, offset), now));
    this.#choice.hurry(now);
  }

  /** Takes what came of a store order. */
  handleStored(order: StoreOrder, outcome: StoreOutcome, now: number): void {
    this.#patience.progressed(now);
    this.#receiver?.handleStored(order, outcome, now);
  }

  /** Next chunk to write, or null. */
  pollStore(): StoreOrder | null {
    return this.#receiver?.pollStore() ?? null;
  }

  /** Next place on the target to look at, or null. */
  pollCheck(): CheckOrder | null {
    return this.#receiver?.pollCheck() ?? null;
  }

  /** Takes what was found there. */
  handleChecked(order: CheckOrder, outcome: CheckOutcome, now: number): void {
    this.#patience.progressed(now);
    this.#receiver?.handleChecked(order, outcome, now);
  }

  /**
   * The proven copy is synced: reads it back, and proves it once more.
   * @returns false when nothing is left to read back
   */
  verify(now: number): boolean {
    if (this.#phase !== 'proven') throw new Error('verify out of order');
    if (!this.#receiver!.verify()) return false;
    this.#phase = 'receiving';
    this.#patience.begin(now);
    return true;
  }

  handleTimeout(now: number): void {
    this.#patience.wake(now, this.nextDeadline());
    if (this.failure !== null || this.#phase === 'finished') return;
    if (this.#phase === 'discovering') {
      const request = this.#choice.pollRequest(now);
      if (request !== null) this.#outgoing.push({ bytes: request, to: null });
      this.#askElsewhere(now);
      this.#decide(now);
    }
    if (this.#phase === 'receiving') this.#tendReceiving(now);
    if (this.#phase === 'parting') this.#tendParting(now);
    if (this.#phase === 'proven') this.#tellSyncing(now);
    const isWaiting = this.#phase === 'discovering' || this.#phase === 'receiving';
    if (!isWaiting || !this.#patience.isOver(now)) return;
    this.#failure ??= this.#choice.noServer(this.#patience.isSilentSinceProgress);
  }

  #askElsewhere(now: number): void {
    this.#tell(this.#hearsay.handleTimeout(now));
    const to = this.#hearsay.pollElsewhere(now);
    if (to !== null) this.#outgoing.push({ bytes: this.#choice.newRequest(), to });
  }

  #tendReceiving(now: number): void {
    const receiver = this.#receiver!;
    // Whoever leaves packets where they are cannot say that none come.
    if (receiver.isCrowded) this.#patience.heard(now);
    receiver.handleTimeout(now);
    if (receiver.isProven) {
      this.#phase = 'proven';
      this.#syncingDueMs = now + FIRST_SYNCING_MS;
      return;
    }
    this.#reception!.handleTimeout(now);
  }

  /** The target is brought to the disk, which may take minutes: the server is to know. */
  #tellSyncing(now: number): void {
    if (now < this.#syncingDueMs) return;
    this.#syncingDueMs = now + SYNCING_INTERVAL_MS;
    const bytes = encodeReport(this.#receiver!.report(now, ClientState.syncing));
    this.#outgoing.push({ bytes, to: this.#choice.server });
  }

  /** The copy is proven and safe on the target: tell the server and part. */
  part(now: number): void {
    this.#phase = 'parting';
    this.#parting = new Parting(this.#spread, now);
  }

  /** The client ends without a copy: tell the server once. */
  leave(now: number): void {
    if (this.#choice.server === null || this.#phase === 'finished') return;
    const state = this.failure === null ? ClientState.leaving : ClientState.failed;
    const report = this.#receiver?.report(now, state) ?? this.#emptyReport(state);
    this.#outgoing.push({ bytes: encodeReport(report), to: this.#choice.server });
  }

  #emptyReport(state: ClientStateId): Report {
    const { session, position } = this.description!;
    const { client } = this.#config;
    const nothing = { missingChunks: 0, provenChunks: 0, packetsReceived: 0, packetsLost: 0 };
    return { session, client, position, state, clockUs: 0, receiveBufferBytes: 0, ...nothing };
  }

  #tendParting(now: number): void {
    const parting = this.#parting!;
    if (parting.take(now)) {
      if (parting.isLate) {
        this.#outgoing.push({ bytes: this.#choice.newRequest(), to: null });
      }
      const state = this.isCompared ? ClientState.compared : ClientState.done;
      const bytes = encodeReport(this.#receiver!.report(now, state));
      this.#outgoing.push({ bytes, to: this.#choice.server });
    }
    if (!parting.isOver) return;
    const text = 'the server did not answer the last report: it may not have counted this machine';
    this.#events.push({ type: 'notice', text });
    this.#phase = 'finished';
  }

  pollTransmit(): ClientTransmit | null {
    const own = this.#outgoing.shift();
    if (own !== undefined) return own;
    const bytes = this.#phase === 'receiving' ? this.#receiver!.pollRequest() : null;
    return bytes === null ? null : { bytes, to: this.#choice.server };
  }

  /** When `handleTimeout` has something to do, in ms on the caller's clock. */
  nextDeadline(): number {
    switch (this.#phase) {
      case 'discovering':
        return Math.min(this.#patience.turnDueMs, this.#choice.dueMs, this.#hearsay.dueMs);
      case 'receiving':
        if (this.#receiver!.isProven) return Number.NEGATIVE_INFINITY;
        return Math.min(this.#patience.dueMs, this.#receiver!.dueMs);
      case 'proven':
        return this.#syncingDueMs;
      case 'parting':
        return this.#parting!.dueMs;
      default:
        return Number.POSITIVE_INFINITY;
    }
  }

  pollEvents(): ClientEvent[] {
    const events = this.#events;
    const received = this.#receiver?.pollEvents() ?? [];
    if (events.length > 0) this.#events = [];
    return events.length > 0 ? events.concat(received) : received;
  }

  progress(): ClientProgress {
    const progress = this.#receiver?.progress() ?? emptyProgress();
    progress.packetsBad += this.#packetsBad + (this.#reception?.packetsBad ?? 0);
    if (this.failure !== null) progress.state = 'failed';
    else if (this.#phase === 'proven') progress.state = 'syncing';
    else if (this.#phase === 'parting' || this.#phase === 'finished') progress.state = 'done';
    return progress;
  }
}
