/**
 * Receives one image: hands the stream's packets on, proves chunks by the block map, looks at
 * what the target holds already, and asks for what is missing.
 */
import type { Failure } from '../failure.js';
import type { Digest } from '../image/block-map.js';
import { Geometry } from '../image/geometry.js';
import { decodeBlockChecks } from '../protocol/block-checks.js';
import {
  ClientState,
  type ClientStateId,
  encodeReport,
  type Report,
} from '../protocol/from-client.js';
import { decodeStatus, decodeZeroRanges, type ImageDescription } from '../protocol/from-server.js';
import { highHalf, lowHalf, PacketType, sessionHigh, sessionLow } from '../protocol/packet.js';
import type { Asking, AskingContext } from './asking.js';
import type { CheckOrder, CheckOutcome } from './checking.js';
import type { Target } from './config.js';
import type { Copy } from './copy.js';
import type { StreamCounters } from './counters.js';
import type { ClientEvent, ClientProgress } from './events.js';
import type { Intake } from './intake.js';
import { Judging } from './judging.js';
import type { MapFetch } from './map-fetch.js';
import { makeParts, progressOf, type ReceiverParts } from './parts.js';
import { FEW_CLIENTS_INTERVAL_MS, Reporting } from './reporting.js';
import { SourceLacks } from './source-lacks.js';
import type { Spread } from './spread.js';
import type { StoreOrder, StoreOutcome, Storing } from './storing.js';
import type { Survey } from './survey.js';

export type { CheckOrder, CheckOutcome } from './checking.js';
export type { StoreOrder, StoreOutcome } from './storing.js';

/** A receive buffer that holds what a quick network brings in some tens of milliseconds. */
const ROOMY_BUFFER_BYTES = 8 * 1024 * 1024;

export interface ReceiverConfig {
  client: bigint;
  description: ImageDescription;
  digest: Digest;
  random: () => number;
  spread: Spread;
  target: Target;
}

export class Receiver {
  readonly #config: ReceiverConfig;
  readonly #geometry: Geometry;
  readonly #isCheckOnly: boolean;
  readonly #parts: ReceiverParts;
  readonly #counters: StreamCounters;
  readonly #copy: Copy;
  readonly #asking: Asking;
  readonly #storing: Storing;
  readonly #survey: Survey;
  readonly #mapFetch: MapFetch;
  readonly #intake: Intake;
  readonly #judging: Judging;
  readonly #lacks: SourceLacks;
  readonly #reporting: Reporting;
  readonly #context: AskingContext;
  #outgoing: Buffer[] = [];
  #events: ClientEvent[] = [];
  #sessionHigh = 0;
  #sessionLow = 0;
  /** A status named another image: the server is to be asked. */
  isImageDoubtful = false;
  #isServerIdle = false;
  /** The server of this session has named the map that chunks are held against. */
  #isMapOfSession = false;
  #isWholeTold = false;

  constructor(config: ReceiverConfig, now: number) {
    const { description, target } = config;
    this.#config = config;
    this.#isCheckOnly = target.isCheckOnly ?? false;
    this.#geometry = new Geometry(description.imageSize, description.chunkSize);
    const parts = makeParts(config, this.#geometry);
    const { counters } = parts;
    this.#parts = parts;
    this.#counters = counters;
    this.#copy = parts.copy;
    this.#asking = parts.asking;
    this.#storing = parts.storing;
    this.#mapFetch = parts.mapFetch;
    this.#survey = parts.survey;
    this.#intake = parts.intake;
    this.#judging = new Judging(parts);
    this.#lacks = new SourceLacks(parts.copy, this.#isCheckOnly);
    this.#reporting = new Reporting(
      config.client,
      now + firstReportDelayMs(description, config.random),
      target.receiveBufferBytes >= ROOMY_BUFFER_BYTES,
      description.reportIntervalMs,
    );
    this.#context = {
      session: description.session,
      client: config.client,
      get position() {
        return counters.position;
      },
    };
    this.#enter(description);
    this.knowMap(description.mapId, now);
    this.#askAll(now, this.#jitter());
  }

  #enter(description: ImageDescription): void {
    this.#intake.blockSize = description.blockSize;
    this.#context.session = description.session;
    this.#counters.position = description.position;
    this.#sessionHigh = highHalf(description.session);
    this.#sessionLow = lowHalf(description.session);
    this.#isServerIdle = false;
    this.#isMapOfSession = false;
  }

  get isCrowded(): boolean {
    return this.#parts.assembly.isCrowded;
  }

  get isExhausted(): boolean {
    return this.#parts.assembly.isExhausted;
  }

  get isProven(): boolean {
    return this.#copy.isProven;
  }

  /** Whether the comparison of `isCheckOnly` has come to its end. */
  get isCompared(): boolean {
    return this.#isCheckOnly && this.#copy.uncheckedCount === 0;
  }

  /** Something is wanted of the server. */
  get isWaiting(): boolean {
    if (this.#copy.map?.isComplete !== true) return true;
    return this.#copy.wantedCount > 0 && !this.#isCheckOnly;
  }

  /** The target can be looked at when the server has made the map, and not before. */
  get isAwaitingMap(): boolean {
    return this.#copy.map === null && this.#copy.uncheckedCount > 0;
  }

  /** Why this copy cannot come to its end, or null. */
  get failure(): Failure | null {
    const { misfits } = this.#storing;
    return this.#lacks.failure ?? this.#survey.verifying.failure ?? misfits.failure;
  }

  /** Anything of the session has come. */
  get hasHeard(): boolean {
    return this.#counters.wireBytes > 0;
  }

  get mapId(): string | null {
    return this.#copy.mapIdHex;
  }

  /** The same image is served in a new session. */
  rejoin(description: ImageDescription, now: number): void {
    this.#parts.assembly.clear();
    this.#lacks.forgive();
    this.#config.spread.windowMs = description.requestWindowMs;
    this.#mapFetch.clear(now + this.#jitter());
    this.#asking.reset();
    this.#enter(description);
    this.knowMap(description.mapId, now);
    this.#askAll(now, this.#jitter());
    this.#reporting.hurry(now + firstReportDelayMs(description, this.#config.random));
  }

  /** Whether `mapId` may name the image that is being copied. */
  agreesWith(mapId: Buffer | null): boolean {
    return this.#judging.agreesWith(mapId);
  }

  /**
   * Learns the image's id, once the server has prepared the map.
   * @returns false when it is not the id known before
   */
  knowMap(mapId: Buffer | null, now: number): boolean {
    const before = this.#copy.map;
    if (!this.#judging.know(mapId, now + this.#jitter())) return false;
    if (mapId !== null) this.#isMapOfSession = true;
    const { map } = this.#copy;
    if (map !== null && map !== before) {
      this.#events.push({ type: 'map-known', mapId: map.id.toString('hex') });
    }
    return true;
  }

  isOwnSession(bytes: Buffer, offset: number): boolean {
    return (
      sessionLow(bytes, offset) === this.#sessionLow &&
      sessionHigh(bytes, offset) === this.#sessionHigh
    );
  }

  /** Takes one packet of the session. @returns false when it is malformed */
  take(type: number, bytes: Buffer, offset: number, length: number, now: number): boolean {
    if (type === PacketType.block) return this.#takeBlock(bytes, offset, length, now);
    const packet = bytes.subarray(offset, offset + length);
    if (type === PacketType.status) return this.#takeStatus(packet, now);
    if (type === PacketType.zeroRanges) return this.#takeZeroRanges(packet, now);
    if (type === PacketType.blockChecks) return this.#takeChecks(packet, now);
    return false;
  }

  /** Takes what continues the block packet that `take` took last, see `Intake.takeRun`. */
  takeRun(bytes: Buffer, before: number, length: number, end: number): number {
    return this.#intake.takeRun(bytes, before, length, end);
  }

  #takeBlock(bytes: Buffer, offset: number, length: number, now: number): boolean {
    const taken = this.#intake.takeBlock(bytes, offset, length, now);
    if (taken === 'bad') return false;
    this.#streamed(now);
    if (taken === 'block') return true;
    const refuted =
      taken === 'page' ? this.#judging.page() : this.#judging.root(now + this.#jitter());
    if (refuted > 0) this.#askAll(now, this.#jitter());
    return true;
  }

  #streamed(now: number): void {
    this.#isServerIdle = false;
    this.#reporting.moved(now);
    this.#asking.moved(now);
  }

  #takeZeroRanges(packet: Buffer, now: number): boolean {
    const zeros = decodeZeroRanges(packet);
    if (zeros === null) return false;
    const { chunkCount } = this.#geometry;
    for (const { first, count } of zeros.ranges) {
      if (count === 0 || first >= chunkCount || count > chunkCount - first) return false;
    }
    this.#counters.seen(zeros.position, packet.length);
    this.#streamed(now);
    if (this.#isCheckOnly) return true;
    for (const { first, count } of zeros.ranges) {
      this.#storing.zeros(this.#copy.missingThatMayBeZero(first, count));
    }
    return true;
  }

  #takeChecks(packet: Buffer, now: number): boolean {
    const checks = decodeBlockChecks(packet);
    if (checks === null || checks.chunk >= this.#geometry.chunkCount) return false;
    this.#counters.seen(checks.position, packet.length);
    this.#streamed(now);
    this.#lost(this.#storing.handleChecks(checks, this.#isMapOfSession), now);
    return true;
  }

  /** @param chunk to ask for again; -1 for none */
  #lost(chunk: number, now: number): void {
    if (chunk < 0) return;
    this.#asking.halfBegun(now);
    this.#asking.lost(chunk, now, this.#jitter());
  }

  #takeStatus(packet: Buffer, now: number): boolean {
    const status = decodeStatus(packet);
    if (status === null) return false;
    this.#counters.wireBytes += packet.length;
    this.#config.spread.windowMs = status.requestWindowMs;
    this.#config.spread.tellJoin(status.joinWindowMs, now);
    this.#asking.keepWithin(status.requestWindowMs, now);
    this.#isServerIdle = status.isIdle;
    const isCurrent = this.#counters.learn(status.position, now);
    this.#reporting.follow(status, now, this.#config.random());
    if (!this.knowMap(status.mapId, now)) this.isImageDoubtful = true;
    if (isCurrent && this.#copy.wantedCount > 0 && !this.#isCheckOnly) {
      if (status.isIdle) this.#asking.serverIdle(now, this.#jitter());
      else this.#asking.passMoved(status.cursor, now, this.#jitter());
    }
    return true;
  }

  /** The server will send at `position` next. What it sent before may still wait to be read. */
  knowPosition(position: number): void {
    if (!this.isCrowded) this.#counters.know(position);
  }

  /** The source cannot give these chunks, says the server. Numbers are the network's. */
  sourceLacks(first: number, count: number, now: number): void {
    if (this.#lacks.note(first, count)) this.#askAll(now, this.#jitter());
  }

  #jitter(): number {
    return this.#config.spread.delayMs();
  }

  pollStore(): StoreOrder | null {
    return this.#storing.poll();
  }

  handleStored(order: StoreOrder, outcome: StoreOutcome, now: number): void {
    this.#lost(this.#storing.handleStored(order, outcome), now);
    this.#tellWhole(now);
  }

  pollCheck(): CheckOrder | null {
    return this.#survey.checking.poll();
  }

  handleChecked(order: CheckOrder, outcome: CheckOutcome, now: number): void {
    this.#survey.handleChecked(order, outcome, now, this.#jitter());
    this.#tellWhole(now);
  }

  #tellWhole(now: number): void {
    const { isWhole } = this.#copy;
    if (isWhole && !this.#isWholeTold) this.#reporting.hurry(now + this.#jitter());
    this.#isWholeTold = isWhole;
  }

  /** Begins to read back a copy that is proven and synced. @returns false when that is done */
  verify(): boolean {
    this.#intake.ignoresUnchecked = true;
    return this.#survey.verifying.begin();
  }

  /** The channel is quiet: ask for everything again. */
  askAgain(now: number): void {
    this.#askAll(now, 0);
    this.#mapFetch.hurry(now);
  }

  handleTimeout(now: number): void {
    if (now >= this.#asking.dueMs) {
      const jitterMs = this.#jitter();
      this.#send(this.#asking.poll(now, this.#context, this.#isServerIdle, jitterMs));
    }
    if (now >= this.#mapFetch.dueMs) {
      this.#send(this.#mapFetch.turn(now, this.#context, this.#jitter()));
    }
    if (now >= this.#reporting.dueMs) {
      const isWhole = this.#copy.isWhole || this.#survey.verifying.hasBegun;
      const state = isWhole ? ClientState.proving : ClientState.receiving;
      this.#outgoing.push(encodeReport(this.report(now, state)));
      this.#reporting.reported(now, this.#counters.position);
    }
  }

  #askAll(now: number, delayMs: number): void {
    if (!this.#isCheckOnly) this.#asking.askAll(now, delayMs);
  }

  #send(packets: readonly Buffer[]): void {
    for (const packet of packets) this.#outgoing.push(packet);
  }

  get dueMs(): number {
    return Math.min(this.#asking.dueMs, this.#mapFetch.dueMs, this.#reporting.dueMs);
  }

  pollRequest(): Buffer | null {
    const packet = this.#outgoing.shift();
    if (packet === undefined) return null;
    this.#counters.requestsSent++;
    return packet;
  }

  report(now: number, state: ClientStateId): Report {
    return {
      session: this.#context.session,
      client: this.#config.client,
      position: this.#counters.position,
      packetsReceived: this.#counters.packetsReceived >>> 0,
      packetsLost: this.#counters.packetsLost >>> 0,
      clockUs: Math.round(now * 1000) >>> 0,
      missingChunks: this.#survey.verifying.hasBegun
        ? this.#copy.wantedCount
        : this.#copy.missingCount,
      provenChunks: this.#copy.provenCount,
      receiveBufferBytes: this.#config.target.receiveBufferBytes,
      state,
    };
  }

  pollEvents(): ClientEvent[] {
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  progress(): ClientProgress {
    return progressOf(this.#parts);
  }
}

/** Few clients report at once; many share what they may report from the beginning. */
function firstReportDelayMs({ reportIntervalMs }: ImageDescription, random: () => number): number {
  return reportIntervalMs > FEW_CLIENTS_INTERVAL_MS ? random() * reportIntervalMs : 0;
}
