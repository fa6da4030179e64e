/**
 * The client as a machine without sockets, disks or clocks.
 *
 * In come calls, each with the time: `handleUnicast`, `handleGroup`, `handleStored`,
 * `handleChecked`, and the ends of steps: `handleOpened`, `handleSynced`, `handleFinished`. Out
 * comes one union, `pollOutput`. Whoever drives the machine carries out one output after the other
 * until `wait` or `end` comes, and begins again when something was handed in, or the time of `wait`
 * is there. The order is: what the disk is to do, since disks take longest; packets; events; the
 * next step of the run; `wait` when nothing is left.
 *
 * A run goes so: a server is looked for, and chosen; `open`; the image is received until all of
 * it is proven; with verifying, `sync`, and all is read back and proven once more; `finish`; the
 * server is told until it says farewell; `end`. A target that is only checked has `compared` in
 * place of `finish`.
 */

import type { Failure } from '../failure.js';
import type { Address } from '../protocol/address.js';
import { ClientState, type ClientStateId, encodeReport } from '../protocol/from-client.js';
import type { ImageDescription } from '../protocol/from-server.js';
import { isAnswer, PacketType, packetLength, packetType } from '../protocol/packet.js';
import { isSealed } from '../trust/control-seal.js';
import { ServerChoice } from './choice/server-choice.js';
import type { ClientConfig } from './config.js';
import { NO_PROGRESS } from './copy/progress.js';
import type { ClientProgress } from './events.js';
import {
  type CheckOrder,
  type CheckOutcome,
  type ClientOutput,
  type ClientStep,
  Outbox,
  type StoreOrder,
  type StoreOutcome,
  type Target,
  type Transmit,
} from './outputs.js';
import { PacketStash } from './packet-stash.js';
import { Receiver } from './receiver.js';
import { emptyReport, FinalReport } from './reports.js';
import { ServerMessages } from './server-messages.js';
import { ServerLiveness, Spread } from './timing.js';

/** Most copies are on the disk before that. */
const FIRST_SYNCING_MS = 200;
const SYNCING_INTERVAL_MS = 1000;

/** `settling`: the driver does what is left to do with a target that is proven, or compared. */
type Phase = 'discovering' | 'opening' | 'receiving' | 'settling' | 'parting' | 'ended';

export class ClientSession {
  private readonly spread: Spread;
  private readonly outbox = new Outbox();
  private readonly choice: ServerChoice;
  private readonly liveness: ServerLiveness;
  private readonly stash = new PacketStash();
  private phase: Phase = 'discovering';
  /** The step that the driver is to take next; null while it is under way, or there is none. */
  private step: ClientStep | null = null;
  /** Both from when the target is open. */
  private receiver: Receiver | null = null;
  private messages: ServerMessages | null = null;
  private finalReport: FinalReport | null = null;
  private syncingDueMs = Number.POSITIVE_INFINITY;
  private packetsBad = 0;
  /** Used again for each output of its kind. */
  private readonly wait = { kind: 'wait' as const, untilMs: 0 };

  constructor(
    private readonly config: ClientConfig,
    now: number,
  ) {
    this.spread = new Spread(config.random);
    this.liveness = new ServerLiveness(config.timeoutMs, config.giveUpMs, this.spread, now);
    this.choice = new ServerChoice(config, this.spread, this.outbox, now);
  }

  /** Takes a datagram from the unicast socket. */
  handleUnicast(bytes: Buffer, address: string, port: number, now: number): void {
    const length = packetLength(bytes, 0, bytes.length);
    const isWhole = length > 0 && length === bytes.length;
    if (!isWhole || !this.takeAnswer(bytes, { address, port }, now)) this.packetsBad++;
  }

  private takeAnswer(bytes: Buffer, from: Address, now: number): boolean {
    if (packetType(bytes, 0) === PacketType.locked) return this.choice.hearLocked(bytes, from);
    const { sealing } = this.choice;
    const plain = sealing === null ? bytes : sealing.openAnswer(bytes);
    if (plain === null || isSealed(plain)) return false;
    return this.take(plain, 0, plain.length, from, now);
  }

  /**
   * Takes the packets in `bytes[start, end)`, one after the other, from the group socket. The
   * bytes are only lent.
   * @param address whose they are
   * @returns whether there were blocks of the stream among them
   */
  handleGroup(bytes: Buffer, start: number, end: number, address: string, now: number): boolean {
    const isFromServer = this.choice.isStreamAddress(address);
    if (this.messages === null) this.choice.hearFrom(address);
    if (this.stash.isEmpty && this.receiver?.isExhausted !== true) {
      return this.takeGroup(bytes, start, end, isFromServer, now);
    }
    this.stash.put(bytes, start, end, isFromServer);
    return isFromServer;
  }

  private takeGroup(
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
        this.packetsBad++;
        break;
      }
      const next = offset + length;
      if (this.messages === null) {
        this.choice.overhear(bytes, offset, length, now);
      } else if (this.phase === 'receiving') {
        const isOfStream = this.messages.isOfStream(bytes, offset, isFromServer, now);
        if (!isOfStream || !this.takeStreamed(bytes, offset, length, now)) {
          this.packetsBad++;
        } else if (packetType(bytes, offset) === PacketType.block) {
          isStream = true;
          offset = this.receiver!.intake.takeRun(bytes, offset, length, end);
          continue;
        }
      }
      offset = next;
    }
    return isStream;
  }

  /** Of a sealed stream all but blocks is opened first. */
  private takeStreamed(bytes: Buffer, offset: number, length: number, now: number): boolean {
    const { sealing } = this.choice;
    if (sealing === null || packetType(bytes, offset) === PacketType.block) {
      return this.take(bytes, offset, length, null, now);
    }
    const plain = sealing.openGroup(bytes.subarray(offset, offset + length));
    return plain !== null && this.take(plain, 0, plain.length, null, now);
  }

  /**
   * Takes one packet: of the stream, or an answer.
   * @param from the sender of an answer; null for the stream
   * @returns false for one that is bad
   */
  private take(
    bytes: Buffer,
    offset: number,
    length: number,
    from: Address | null,
    now: number,
  ): boolean {
    const type = packetType(bytes, offset);
    if (isAnswer(type) !== (from !== null)) return false;
    switch (type) {
      case PacketType.block:
        return this.streamed(this.receiver!.intake.takeBlock(bytes, offset, length, now), now);
      case PacketType.zeroRanges: {
        const packet = bytes.subarray(offset, offset + length);
        return this.streamed(this.receiver!.intake.takeZeroRanges(packet), now);
      }
      case PacketType.blockChecks:
        return this.receiver!.takeChecks(bytes.subarray(offset, offset + length), now);
      case PacketType.status:
        return this.messages!.takeStatus(bytes.subarray(offset, offset + length), now);
      case PacketType.notice:
        return this.messages!.takeNotice(bytes.subarray(offset, offset + length), now);
      case PacketType.imageDescription:
        return this.takeDescription(bytes, from!, now);
      case PacketType.statement:
        return this.takeStatement(bytes, from!, now);
      case PacketType.farewell:
        return this.takeFarewell(bytes, from!, now);
      default:
        return false;
    }
  }

  private takeFarewell(bytes: Buffer, from: Address, now: number): boolean {
    const farewell = this.choice.readFarewell(bytes, from);
    if (farewell === null) return false;
    const isProven = this.choice.sealing !== null;
    if (farewell.isDropped && isProven) this.choice.failDropped();
    else if (farewell.isDropped) this.messages?.hearDropped(now);
    else if (this.phase === 'parting') this.phase = 'ended';
    return true;
  }

  /** @param isTaken whether what came of the stream was sound */
  private streamed(isTaken: boolean, now: number): boolean {
    if (!isTaken) return false;
    this.receiver!.streamed(now);
    this.liveness.streamed(now);
    this.liveness.progressed(now);
    return true;
  }

  private takeDescription(bytes: Buffer, from: Address, now: number): boolean {
    const description = this.choice.readDescription(bytes, from);
    if (description === null) return false;
    if (this.phase === 'discovering') {
      this.choice.consider(description, from, now);
      this.decide(now);
    } else if (this.phase === 'receiving') {
      return this.messages!.takeDescription(description, from, now);
    } else if (this.phase === 'parting') {
      this.messages!.takeLateDescription(description, from, now);
    }
    return true;
  }

  private takeStatement(bytes: Buffer, from: Address, now: number): boolean {
    if (!this.choice.takeStatement(bytes, from, now)) return false;
    if (this.phase === 'discovering') this.decide(now);
    return true;
  }

  private decide(now: number): void {
    if (!this.choice.decide(now)) return;
    this.phase = 'opening';
    this.step = { kind: 'open', description: this.choice.description! };
    this.liveness.heard(now);
  }

  /** The target is open: asks for everything. */
  handleOpened(target: Target, now: number): void {
    if (this.phase !== 'opening') throw new Error('opened out of order');
    const { config, choice, spread, outbox } = this;
    this.phase = 'receiving';
    this.stash.maxBytes = target.stashBytes;
    this.receiver = new Receiver({ config, choice, spread, outbox, target }, now);
    const { liveness, receiver } = this;
    this.messages = new ServerMessages(choice, liveness, receiver, outbox, config.giveUpMs, now);
    this.liveness.begin(now);
  }

  /** Takes what came of a store order. Packets that waited for its memory are taken now. */
  handleStored(order: StoreOrder, outcome: StoreOutcome, now: number): void {
    const receiver = this.receiver!;
    this.liveness.progressed(now);
    receiver.handleStored(order, outcome, now);
    while (!this.stash.isEmpty && !receiver.isExhausted) {
      const { bytes, isFromServer } = this.stash.take();
      this.takeGroup(bytes, 0, bytes.length, isFromServer, now);
    }
  }

  /** Takes what was found on the target. */
  handleChecked(order: CheckOrder, outcome: CheckOutcome, now: number): void {
    this.liveness.progressed(now);
    this.receiver!.handleChecked(order, outcome, now);
  }

  /** The proven copy is on the disk, and can be read back. */
  handleSynced(now: number): void {
    if (this.phase !== 'settling') throw new Error('synced out of order');
    this.receiver!.verify();
    this.phase = 'receiving';
    this.liveness.begin(now);
  }

  /** All is done with the target: tells the server, and parts. */
  handleFinished(now: number): void {
    if (this.phase !== 'settling') throw new Error('finished out of order');
    this.phase = 'parting';
    this.finalReport = new FinalReport(this.spread, now);
  }

  /**
   * The next thing to do.
   * @param isMidway more packets are about to be handed in: only what the disk can begin with
   */
  pollOutput(now: number, isMidway = false): ClientOutput {
    if (!isMidway && now >= this.dueMs) this.tick(now);
    const order = this.receiver?.pollOrder() ?? null;
    if (order !== null) return order;
    this.wait.untilMs = now;
    if (isMidway) return this.wait;
    const packet = this.outbox.pollPacket();
    if (packet !== undefined) return this.sealed(packet);
    const event = this.outbox.pollEvent();
    if (event !== undefined) return { kind: 'event', event };
    this.receiver?.decide(now);
    const { failure, step } = this;
    if (failure !== null || this.phase === 'ended') return { kind: 'end', failure };
    this.step = null;
    if (step !== null) return step;
    this.wait.untilMs = this.dueMs;
    return this.wait;
  }

  private sealed(packet: Transmit): Transmit {
    const { sealing } = this.choice;
    return sealing === null ? packet : { ...packet, bytes: sealing.seal(packet.bytes) };
  }

  private tick(now: number): void {
    this.liveness.wake(now, this.dueMs);
    if (this.phase === 'discovering') {
      this.choice.tick(now);
      this.decide(now);
    } else if (this.phase === 'receiving') {
      this.tickReceiving(now);
    } else if (this.phase === 'settling') {
      this.tellSyncing(now);
    } else if (this.phase === 'parting') {
      this.tickParting(now);
    }
    const isWaiting = this.phase === 'discovering' || this.phase === 'receiving';
    if (!isWaiting || !this.liveness.isOver(now)) return;
    this.choice.failNoServer(this.liveness.isSilentSinceProgress);
  }

  private tickReceiving(now: number): void {
    const receiver = this.receiver!;
    // Whoever leaves packets where they are cannot say that none come.
    if (receiver.isCrowded) this.liveness.heard(now);
    if (receiver.isCompared || receiver.isProven) {
      this.settle(now);
      return;
    }
    receiver.tick(now);
    this.messages!.tick(now);
  }

  private settle(now: number): void {
    const { isCompared, wantsVerifying, checks } = this.receiver!;
    this.phase = 'settling';
    if (isCompared) this.step = { kind: 'compared', differing: checks.differingRuns };
    else this.step = { kind: wantsVerifying ? 'sync' : 'finish' };
    this.syncingDueMs = now + FIRST_SYNCING_MS;
  }

  /** The target is brought to the disk, which may take minutes: the server is to know. */
  private tellSyncing(now: number): void {
    this.syncingDueMs = now + SYNCING_INTERVAL_MS;
    this.report(ClientState.syncing, now);
  }

  private tickParting(now: number): void {
    const finalReport = this.finalReport!;
    if (finalReport.take(now)) {
      if (finalReport.isLate) this.choice.ask(null);
      this.report(this.isCompared ? ClientState.compared : ClientState.done, now);
    }
    if (!finalReport.isOver) return;
    this.outbox.notice(
      'the server did not answer the last report: it may not have counted this machine',
    );
    this.phase = 'ended';
  }

  private report(state: ClientStateId, now: number): void {
    this.outbox.send(encodeReport(this.receiver!.report(now, state)), this.choice.server);
  }

  /** When there is something to do that nothing handed in brings about. */
  private get dueMs(): number {
    if (this.failure !== null) return Number.POSITIVE_INFINITY;
    switch (this.phase) {
      case 'discovering':
        return Math.min(this.liveness.turnDueMs, this.choice.dueMs);
      case 'receiving': {
        const { isCompared, isProven, dueMs } = this.receiver!;
        if (isCompared || isProven) return Number.NEGATIVE_INFINITY;
        return Math.min(this.liveness.dueMs, this.messages!.dueMs, dueMs);
      }
      case 'settling':
        return this.syncingDueMs;
      case 'parting':
        return this.finalReport!.dueMs;
      default:
        return Number.POSITIVE_INFINITY;
    }
  }

  /**
   * What to tell the server last, when the client ends without a copy; null for nothing.
   * @param cause why the driver could not go on; null when it was stopped
   */
  goodbye(now: number, cause: Error | null = null): Transmit | null {
    const { server } = this.choice;
    if (server === null || this.phase === 'ended') return null;
    const failure = this.failure ?? cause;
    const state = failure === null ? ClientState.leaving : ClientState.failed;
    const { receiver, choice, config } = this;
    const report =
      receiver?.report(now, state) ?? emptyReport(config.client, choice.description!, state);
    const reason = (failure?.message ?? '').replace(/\s*\n\s*/g, ' / ');
    const bytes = encodeReport({ ...report, reason });
    return this.sealed({ kind: 'transmit', bytes, to: server });
  }

  /** False while packets of the group had better stay in the socket. */
  get wantsPackets(): boolean {
    return this.stash.isEmpty && this.receiver?.isCrowded !== true;
  }

  /** Why the client cannot go on, or null. */
  get failure(): Failure | null {
    return this.outbox.failure;
  }

  /** All chunks are proven: the driver brings the target to the disk. */
  get isProven(): boolean {
    return this.phase === 'settling' && this.receiver!.isProven;
  }

  /** Of a target that is only checked: all of it has been compared with the image. */
  get isCompared(): boolean {
    return this.receiver?.isCompared ?? false;
  }

  /** The server that was chosen. */
  get serverAddress(): string | null {
    return this.choice.server?.address ?? null;
  }

  /** Where the stream is to come from; null before a server is chosen, and once it came. */
  get awaitedStream(): string | null {
    return this.receiver?.hasHeard ? null : this.choice.streamAddress;
  }

  /** The image's id in hex, once it is known. */
  get mapId(): string | null {
    return this.receiver?.mapId ?? null;
  }

  get description(): ImageDescription | null {
    return this.choice.description;
  }

  progress(): ClientProgress {
    const progress = this.receiver?.progress() ?? { ...NO_PROGRESS };
    progress.packetsBad += this.packetsBad;
    const isHeld = progress.awaitedClients !== null;
    if (isHeld && progress.state === 'receiving') progress.state = 'waiting';
    if (this.failure !== null) progress.state = 'failed';
    else if (this.isProven) progress.state = 'syncing';
    else if (this.phase === 'parting' || this.phase === 'ended') progress.state = 'done';
    return progress;
  }
}
