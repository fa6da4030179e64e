/**
 * Receives one image: proves chunks by the block map, looks at what the target holds already, and
 * asks for what is missing.
 */

import { Geometry } from '../image/geometry.js';
import { decodeBlockChecks } from '../protocol/block-checks.js';
import {
  ClientState,
  type ClientStateId,
  encodeReport,
  type Report,
} from '../protocol/from-client.js';
import type { ImageDescription, Status } from '../protocol/from-server.js';
import { BlockIntake } from './block-intake.js';
import { BlockRequests, type RequestContext, UnreadableSource } from './block-requests.js';
import type { ServerChoice } from './choice/server-choice.js';
import type { Proofs } from './choice/server-claims.js';
import type { ClientConfig } from './config.js';
import { ChunkStates } from './copy/chunk-states.js';
import { Assembly } from './copy/partial-chunk.js';
import { progressOf } from './copy/progress.js';
import { TargetChecks } from './copy/target-checks.js';
import { TargetWrites } from './copy/target-writes.js';
import type { ClientProgress } from './events.js';
import { MAP_ROOT, MapFetch, MapVerdicts } from './map-fetch.js';
import type {
  CheckOrder,
  CheckOutcome,
  Outbox,
  StoreOrder,
  StoreOutcome,
  Target,
} from './outputs.js';
import { firstReportDelayMs, ReportClock, StreamCounters } from './reports.js';
import { sealBytesOf } from './sealing.js';
import type { Spread } from './timing.js';

/** A receive buffer that holds what a quick network brings in some tens of milliseconds. */
const ROOMY_BUFFER_BYTES = 8 * 1024 * 1024;
/** Differing chunks are asked for in batches of what is found in this time. */
const BATCH_MS = 20;

interface ReceiverOptions {
  config: ClientConfig;
  /** A server is chosen. */
  choice: ServerChoice;
  spread: Spread;
  outbox: Outbox;
  target: Target;
}

export class Receiver {
  /** Where the packets of the stream go. */
  readonly intake: BlockIntake;
  private readonly options: ReceiverOptions;
  private readonly isCheckOnly: boolean;
  readonly counters: StreamCounters;
  private readonly states: ChunkStates;
  private readonly assembly: Assembly;
  private readonly requests: BlockRequests;
  private readonly writes: TargetWrites;
  readonly checks: TargetChecks;
  private readonly mapFetch: MapFetch;
  private readonly verdicts: MapVerdicts;
  private readonly unreadable: UnreadableSource;
  private readonly reportClock: ReportClock;
  private readonly context: RequestContext;
  private isServerIdle = false;
  /** How many more clients the server waits for, as its last status told; null while for none. */
  awaitedClients: number | null = null;
  /** The server of this session has named the map that chunks are held against. */
  isMapOfSession = false;
  private isWholeTold = false;
  /** When blocks or zeros last came. */
  private streamedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReceiverOptions, now: number) {
    const { config, outbox, target } = options;
    const description = options.choice.description!;
    const { pinnedId, sealing } = options.choice;
    const provesFirst = pinnedId !== null;
    const { isCheckOnly = false, willVerify: keepsDigests = false, clearsFree = false } = target;
    const holdsEarlierData = isCheckOnly || (target.holdsEarlierData ?? false);
    const usesEarlyPages = holdsEarlierData && !isCheckOnly && !provesFirst;
    this.options = options;
    this.isCheckOnly = isCheckOnly;
    const counters = new StreamCounters(description.position);
    this.counters = counters;
    const geometry = new Geometry(description.imageSize, description.chunkSize);
    const states = new ChunkStates(geometry, config.digest, {
      holdsEarlierData,
      usesEarlyPages,
      keepsDigests,
      provesFirst,
    });
    this.states = states;
    // The next pass, or the next idle status, brings what lost its slot again.
    this.assembly = new Assembly(target.slots, (chunk) => this.requests.giveUp(chunk));
    this.requests = new BlockRequests(states, this.assembly);
    this.writes = new TargetWrites(
      states,
      this.assembly,
      counters,
      target.isBlank,
      clearsFree && !isCheckOnly,
      outbox,
      sealing,
    );
    this.checks = new TargetChecks(states, this.assembly, outbox, holdsEarlierData, !isCheckOnly);
    this.mapFetch = new MapFetch(states, sealing);
    this.verdicts = new MapVerdicts(states, this.writes, this.checks, counters, pinnedId);
    this.unreadable = new UnreadableSource(states, outbox, isCheckOnly);
    this.intake = new BlockIntake(
      states,
      this.assembly,
      this.writes,
      this.mapFetch,
      counters,
      (at) => this.mapPartCame(at),
      sealBytesOf(sealing),
    );
    this.intake.wantsImage = !isCheckOnly;
    this.reportClock = new ReportClock(
      config.client,
      now + firstReportDelayMs(description.reportIntervalMs, config.random),
      target.receiveBufferBytes >= ROOMY_BUFFER_BYTES,
      description.reportIntervalMs,
    );
    this.context = {
      session: description.session,
      client: config.client,
      get position() {
        return counters.position;
      },
    };
    this.enter(description);
    this.learnMap(description.mapId, now);
    this.askAll(now, this.options.spread.firstDelayMs());
  }

  /** Begins a session of the image. */
  private enter(description: ImageDescription): void {
    this.intake.begin(description);
    this.writes.older.blockSize = description.blockSize;
    this.context.session = description.session;
    this.counters.position = description.position;
    this.isServerIdle = false;
    this.awaitedClients = null;
    this.isMapOfSession = false;
  }

  /** The same image is served in a new session. */
  rejoin(description: ImageDescription, now: number): void {
    this.assembly.clear();
    this.unreadable.forgive();
    this.options.spread.windowMs = description.requestWindowMs;
    this.mapFetch.clear(now + this.jitterMs());
    this.requests.reset();
    this.enter(description);
    this.learnMap(description.mapId, now);
    this.askAll(now, this.options.spread.firstDelayMs());
    const { random } = this.options.config;
    this.reportClock.hurry(now + firstReportDelayMs(description.reportIntervalMs, random));
  }

  private jitterMs(): number {
    return this.options.spread.delayMs();
  }

  /** No slot is left for packets until a store is done. */
  get isExhausted(): boolean {
    return this.assembly.isExhausted;
  }

  /** Slots run short: packets had better stay where they are. */
  get isCrowded(): boolean {
    return this.assembly.isCrowded;
  }

  get isProven(): boolean {
    return this.states.isProven;
  }

  /** Whether the comparison of `isCheckOnly` has come to its end. */
  get isCompared(): boolean {
    return this.isCheckOnly && this.states.uncheckedCount === 0;
  }

  /** Something is wanted of the server. */
  get isWaiting(): boolean {
    if (this.states.map?.isComplete !== true) return true;
    return this.states.wantedCount > 0 && !this.isCheckOnly;
  }

  /** The target can be looked at when the server has made the map, and not before. */
  get isAwaitingMap(): boolean {
    const { map, provesFirst, uncheckedCount } = this.states;
    if (provesFirst) return map?.isComplete !== true && !this.isMapOfSession;
    return map === null && uncheckedCount > 0;
  }

  /** Anything of the session has come. */
  get hasHeard(): boolean {
    return this.counters.wireBytes > 0;
  }

  get mapId(): string | null {
    return this.states.mapIdHex;
  }

  /** Whether `mapId` may name the image that is being copied. */
  agreesWith(mapId: Buffer | null): boolean {
    return this.verdicts.agreesWith(mapId);
  }

  /** Learns the image's id, once the server has prepared the map. It must agree. */
  learnMap(mapId: Buffer | null, now: number): void {
    if (mapId !== null) this.isMapOfSession = true;
    if (!this.verdicts.learn(mapId)) return;
    this.mapFetch.clear(now + this.jitterMs());
    this.options.outbox.tell({ type: 'map-known', mapId: this.mapId! });
  }

  get proofs(): Proofs {
    const { map, wantedCount, provenCount, geometry } = this.states;
    const owedBytes = map?.hasRoot && wantedCount > 0 ? geometry.chunkSizeBytes : 0;
    const count = this.mapFetch.wholeCount + provenCount;
    return { count, wireBytes: this.counters.wireBytes, owedBytes };
  }

  private mapPartCame(now: number): void {
    const { lastPart } = this.mapFetch;
    const refuted = lastPart === MAP_ROOT ? this.verdicts.root() : this.verdicts.page(lastPart);
    if (lastPart === MAP_ROOT && !this.states.map!.isComplete) {
      this.mapFetch.hurry(now + this.jitterMs());
    }
    if (refuted > 0 || this.states.provesFirst) this.askAll(now, this.jitterMs());
  }

  /** Packets of the stream came. */
  streamed(now: number): void {
    this.isServerIdle = false;
    this.streamedMs = now;
    this.reportClock.moved(now);
    this.requests.moved(now);
  }

  /** @returns false when it is malformed */
  takeChecks(packet: Buffer, now: number): boolean {
    const checks = decodeBlockChecks(packet);
    if (checks === null || checks.chunk >= this.states.geometry.chunkCount) return false;
    this.counters.seen(checks.position, packet.length);
    this.streamed(now);
    this.askAgainFor(this.writes.handleChecks(checks, this.isMapOfSession), now);
    return true;
  }

  /** @param chunk to ask for again; -1 for none */
  private askAgainFor(chunk: number, now: number): void {
    if (chunk < 0) return;
    this.requests.halfBegun(now);
    this.requests.lost(chunk, now, this.jitterMs());
  }

  /** Follows a status. @returns false when it names another image */
  follow(status: Status, length: number, now: number): boolean {
    const { spread, config } = this.options;
    this.counters.wireBytes += length;
    spread.windowMs = status.requestWindowMs;
    spread.tellJoin(status.joinWindowMs, now);
    this.requests.keepWithin(status.requestWindowMs, now);
    this.isServerIdle = status.isIdle;
    this.awaitedClients = status.awaitedClients;
    const isCurrent = this.counters.learn(status.position, now);
    this.reportClock.follow(status, now, config.random());
    const agrees = this.agreesWith(status.mapId);
    if (agrees) this.learnMap(status.mapId, now);
    if (isCurrent && this.states.wantedCount > 0 && !this.isCheckOnly) {
      if (status.isIdle) this.requests.serverIdle(now, this.jitterMs());
      else this.requests.passMoved(status.cursor, now, this.jitterMs());
    }
    return agrees;
  }

  /** The server will send at `position` next. What it sent before may still wait to be read. */
  knowPosition(position: number): void {
    if (!this.isCrowded) this.counters.know(position);
  }

  /** The source cannot give these chunks, says the server. Numbers are the network's. */
  sourceLacks(first: number, count: number, now: number): void {
    if (this.unreadable.note(first, count)) this.askAll(now, this.jitterMs());
  }

  /** Fails the copy when all is here but what the source cannot give. */
  decide(now: number): void {
    if (this.unreadable.decide(now, this.streamedMs)) this.askAll(now, 0);
  }

  /** What the disk is to do next, or null. */
  pollOrder(): StoreOrder | CheckOrder | null {
    return this.writes.poll() ?? this.checks.poll();
  }

  handleStored(order: StoreOrder, outcome: StoreOutcome, now: number): void {
    this.askAgainFor(this.writes.handleStored(order, outcome), now);
    this.tellWhole(now);
  }

  handleChecked(order: CheckOrder, outcome: CheckOutcome, now: number): void {
    const jitterMs = this.jitterMs();
    const { lost, older, zeros } = this.checks.handle(order, outcome);
    for (const chunk of older) {
      if (this.checks.isVerifying || !this.writes.mend(chunk)) lost.push(chunk);
    }
    for (const chunk of lost) this.requests.lost(chunk, now, BATCH_MS + jitterMs);
    // The target is not blank there, whatever it was thought to be.
    if (this.checks.isVerifying) {
      for (const { count } of zeros) this.counters.chunksRefused += count;
    }
    this.writes.blank('zero', zeros);
    this.tellWhole(now);
  }

  private tellWhole(now: number): void {
    const { isWhole } = this.states;
    if (isWhole && !this.isWholeTold) this.reportClock.hurry(now + this.jitterMs());
    this.isWholeTold = isWhole;
  }

  /** The copy that is proven is to be read back. */
  get wantsVerifying(): boolean {
    return (this.options.target.willVerify ?? false) && this.checks.wantsVerifying;
  }

  /** Begins to read back a copy that is proven and synced. */
  verify(): void {
    this.intake.ignoresUnchecked = true;
    this.checks.verify();
  }

  /** The channel is quiet: ask for everything again. */
  askAgain(now: number): void {
    this.askAll(now, 0);
    this.mapFetch.hurry(now);
  }

  private askAll(now: number, delayMs: number): void {
    if (!this.isCheckOnly) this.requests.askAll(now, delayMs);
  }

  tick(now: number): void {
    const { requests, mapFetch, context, reportClock } = this;
    if (now >= requests.dueMs) {
      this.send(...requests.poll(now, context, this.isServerIdle, this.jitterMs()));
    }
    if (now >= mapFetch.dueMs) this.send(...mapFetch.turn(now, context, this.jitterMs()));
    if (now >= reportClock.dueMs) {
      const isWhole = this.states.isWhole || this.checks.isVerifying;
      const state = isWhole ? ClientState.proving : ClientState.receiving;
      this.send(encodeReport(this.report(now, state)));
      reportClock.reported(now, this.counters.position);
    }
  }

  private send(...packets: Buffer[]): void {
    for (const packet of packets) this.options.outbox.send(packet, this.options.choice.server);
    this.counters.requestsSent += packets.length;
  }

  get dueMs(): number {
    return Math.min(this.requests.dueMs, this.mapFetch.dueMs, this.reportClock.dueMs);
  }

  report(now: number, state: ClientStateId): Report {
    const { counters, states } = this;
    return {
      session: this.context.session,
      client: this.options.config.client,
      position: counters.position,
      packetsReceived: counters.packetsReceived >>> 0,
      packetsLost: counters.packetsLost >>> 0,
      clockUs: Math.round(now * 1000) >>> 0,
      missingChunks: this.checks.isVerifying ? states.wantedCount : states.missingCount,
      provenChunks: states.provenCount,
      receiveBufferBytes: this.options.target.receiveBufferBytes,
      state,
    };
  }

  progress(): ClientProgress {
    const { checks, counters, states, awaitedClients } = this;
    return { ...progressOf(states, checks, counters), awaitedClients };
  }
}
