/** A client at work: sockets, disk, threads and clock around the receiving machine. */

import type { ClientEvent } from '../client/events.js';
import type { CheckOrder, StoreOrder, Transmit } from '../client/outputs.js';
import { ClientSession } from '../client/session.js';
import type { Digest } from '../image/block-map.js';
import { BLOCK_HEADER_BYTES } from '../protocol/block.js';
import type { ImageDescription } from '../protocol/from-server.js';
import type { Run } from '../protocol/run.js';
import { configOf } from './client-config.js';
import { differsFailure, dryRunText } from './client-endings.js';
import { CopyHealth } from './doctor/copy-health.js';
import { ClientLine } from './net/client-line.js';
import { blockSizeFor, type ChosenInterface } from './net/network-interface.js';
import type { ClientOptions } from './options.js';
import { Alarm } from './system/alarm.js';
import { now } from './system/clock.js';
import { ClientDisk } from './target/client-disk.js';
import { countDown } from './target/countdown.js';
import { fittedTable } from './target/fit.js';
import { needlessText } from './target/needless.js';
import { shortRoomText } from './target/room.js';
import { planUnlocked, type TargetOptions } from './target/target.js';
import type { TargetPlan } from './target/target-plan.js';

const PROGRESS_MS = 200;
/** Memory for packets that come while all chunk memory waits for the disk. */
const STASH_BYTES = 24 * 1024 * 1024;

export class Client {
  private readonly session: ClientSession;
  /** From when the target may be opened: no waiting for a server or an operator counts. */
  private startedMs = now();
  private line!: ClientLine;
  /** From when the target is open. */
  private disk: ClientDisk | null = null;
  /** What comes before `run` waits for it. */
  private hasBegun = false;
  private isEnded = false;
  /** Why the run ended without a copy; null unless it did. */
  private failure: Error | null = null;
  /** What ends at once is followed up in the same turn. */
  private isPumping = false;
  private isPumpQueued = false;
  private readonly alarm = new Alarm(() => this.pump());
  private progressTimer: NodeJS.Timeout | undefined;
  private readonly closing = new AbortController();
  private settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(
    private readonly options: ClientOptions,
    private readonly observe: (event: ClientEvent) => void,
    private readonly chosen: ChosenInterface,
    private readonly digestOf: Digest,
  ) {
    this.session = new ClientSession(configOf(options, chosen, digestOf), now());
  }

  async open(): Promise<void> {
    const { session } = this;
    const health = new CopyHealth();
    const line = await ClientLine.open(this.options, this.chosen, {
      onPackets: (bytes, start, end, address) => this.takeGroup(bytes, start, end, address),
      onBatch: () => this.pump(),
      canTake: () => session.wantsPackets,
      onAnswer: (bytes, { address, port }) => {
        session.handleUnicast(bytes, address, port, now());
        this.pump();
      },
      onNotice: (text) => this.observe({ type: 'notice', text }),
      isWell: (isHeard) => {
        const hasHeard = session.awaitedStream === null;
        return health.look(session.progress(), hasHeard, isHeard, !session.wantsPackets);
      },
      place: () => {
        const hasBegun = session.progress().writtenBytes > 0;
        return { server: session.serverAddress, hasBegun };
      },
    });
    this.line = line;
    const { group, port } = this.options;
    const mebibytes = Math.round(line.receiver.receiveBufferBytes / 2 ** 20);
    const transport = `${line.receiver.transport}, receive buffer ${mebibytes} MiB`;
    this.observe({ type: 'listening', group, port, interface: this.chosen.label, transport });
  }

  /** What was done with the target; null before it is open. */
  get plan(): TargetPlan | null {
    return this.disk?.target.plan ?? null;
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true, signal: this.closing.signal });
      if (signal.aborted) reject(signal.reason);
      this.hasBegun = true;
      this.progressTimer = setInterval(() => this.reportProgress(), PROGRESS_MS);
      this.pump();
    });
  }

  /** @returns whether there were blocks of the stream among them */
  private takeGroup(bytes: Buffer, start: number, end: number, address: string): boolean {
    if (this.isEnded) return false;
    const isStream = this.session.handleGroup(bytes, start, end, address, now());
    // While a chunk that is just whole is still in the processor's cache.
    if (this.disk?.storesAtOnce) this.pump(true);
    return isStream;
  }

  /** Stores end several at a time: one pump after them is enough. */
  private queuePump(): void {
    if (this.isPumpQueued || this.isPumping) return;
    this.isPumpQueued = true;
    queueMicrotask(() => {
      this.isPumpQueued = false;
      this.pump();
    });
  }

  /**
   * Carries out what the machine wants, until it wants nothing for now.
   * @param isMidway in the midst of packets: only what the disk can begin with
   */
  private pump(isMidway = false): void {
    if (this.isEnded || !this.hasBegun) return;
    this.isPumping = !isMidway;
    while (!this.isEnded) {
      const at = now();
      const output = this.session.pollOutput(at, isMidway);
      switch (output.kind) {
        case 'store':
        case 'load':
        case 'store-zeros':
          this.store(output);
          break;
        case 'check':
          this.check(output);
          break;
        case 'transmit':
          this.send(output);
          break;
        case 'event':
          this.note(output.event);
          break;
        case 'open':
          this.carryOut(this.openTarget(output.description));
          break;
        case 'sync':
          this.carryOut(this.sync());
          break;
        case 'finish':
          this.carryOut(this.finish());
          break;
        case 'compared':
          this.carryOut(this.judge(output.differing));
          break;
        case 'end':
          if (output.failure === null) this.succeed();
          else this.fail(output.failure);
          break;
        case 'wait':
          this.isPumping = false;
          if (!isMidway) this.alarm.set(output.untilMs, at);
          return;
      }
    }
  }

  /** Goes on when a step of the run is done, unless the run has ended meanwhile. */
  private carryOut(step: Promise<void>): void {
    step.then(
      () => this.queuePump(),
      (error) => this.fail(error),
    );
  }

  private store(order: StoreOrder): void {
    this.disk!.store(order, (outcome) => {
      this.session.handleStored(order, outcome, now());
      this.queuePump();
    });
  }

  private check(order: CheckOrder): void {
    this.disk!.check(order, (outcome) => {
      this.session.handleChecked(order, outcome, now());
      this.queuePump();
    });
  }

  private send({ bytes, to }: Transmit): void {
    this.line.send(bytes, to);
  }

  private note(event: ClientEvent): void {
    this.observe(event);
    if (event.type === 'server-found') this.expectPackets(event.image.blockSizeBytes);
  }

  /** Packets longer than the interface's frames never arrive: says so before hours of silence. */
  private expectPackets(blockSizeBytes: number): void {
    this.line.receiver.expect(BLOCK_HEADER_BYTES + blockSizeBytes);
    const { mtu, group } = this.options;
    const { label } = this.chosen;
    const mtuBytes = mtu === 'auto' ? this.chosen.mtuBytes : mtu;
    if (blockSizeBytes <= blockSizeFor(mtuBytes, this.chosen, group)) return;
    const text =
      `the server's packets are longer than the MTU of interface ${label} (${mtuBytes} bytes) ` +
      `allows; if nothing arrives, start multiserver with --mtu ${mtuBytes}`;
    this.observe({ type: 'notice', text });
  }

  /** A server is chosen: opens the target, or says what would be done with it. */
  private async openTarget(image: ImageDescription): Promise<void> {
    this.line.awaitStream();
    const { imageSize, chunkSize, name, sectorSizeBytes } = image;
    const { output, sparse, force, resume, check } = this.options;
    const wanted = { output, imageName: name, sizeBytes: imageSize, sectorSizeBytes };
    const options = { ...wanted, sparse, force, resume, check };
    if (this.options.dryRun) {
      await this.endDryRun(options);
      return;
    }
    await this.countDown(options);
    this.startedMs = now();
    const disk = await ClientDisk.open(
      options,
      chunkSize,
      this.digestOf,
      this.options,
      (failure) => this.fail(failure),
      (ratio) => this.observe({ type: 'allocating', ratio }),
    );
    // The run may have ended while the target was opened.
    if (this.isEnded) {
      await disk.close();
      return;
    }
    this.disk = disk;
    this.beginWith(disk);
  }

  private async countDown(options: TargetOptions): Promise<void> {
    const { countdownSeconds, check } = this.options;
    if (countdownSeconds === 0 || check) return;
    const tell = (text: string): void => this.observe({ type: 'notice', text });
    const plan = await planUnlocked(options);
    await countDown(plan, options.imageName, countdownSeconds, tell, this.closing.signal);
  }

  private beginWith({ slots, target, clearsFree }: ClientDisk): void {
    const { check, verify } = this.options;
    this.tellTarget(target.plan, check ? 'check' : 'copy');
    this.session.handleOpened(
      {
        slots,
        stashBytes: STASH_BYTES,
        isBlank: target.isBlank,
        clearsFree,
        receiveBufferBytes: this.line.receiver.receiveBufferBytes,
        holdsEarlierData: target.plan.holdsEarlierData,
        isCheckOnly: check,
        willVerify: verify,
      },
      now(),
    );
  }

  private tellTarget(plan: TargetPlan, purpose: 'copy' | 'check' | 'dry-run'): void {
    const { path, kind, description, holdsEarlierData: resumed } = plan;
    this.observe({ type: 'target', path, kind, description, resumed, purpose });
    const sizeBytes = this.session.description?.imageSize ?? 0;
    // A dry run says it with its verdict.
    const shortage = purpose === 'copy' ? shortRoomText(plan, sizeBytes) : null;
    for (const text of [needlessText(plan, this.options), shortage]) {
      if (text !== null) this.observe({ type: 'notice', text });
    }
  }

  private async endDryRun(options: TargetOptions): Promise<void> {
    const plan = await planUnlocked(options);
    if (this.isEnded) return;
    this.tellTarget(plan, 'dry-run');
    const mapId = this.session.description?.mapId?.toString('hex') ?? null;
    this.observe({ type: 'notice', text: dryRunText(plan, options.sizeBytes, mapId) });
    this.isEnded = true;
    this.settle.resolve();
  }

  /** Brings the copy to the disk, so that it can be read back from there. */
  private async sync(): Promise<void> {
    const disk = this.disk!;
    await disk.sync();
    const text = await disk.readBack(this.session.description!.chunkSize);
    if (this.isEnded) return;
    this.observe({ type: 'notice', text });
    this.session.handleSynced(now());
  }

  /** Brings the copy to the disk, and gives it its name. */
  private async finish(): Promise<void> {
    const disk = this.disk!;
    await disk.finish();
    for (const text of await disk.tellAfterCopy(this.options.fit))
      this.observe({ type: 'notice', text });
    this.session.handleFinished(now());
  }

  /** Everything is compared: says what came of it. */
  private async judge(differing: readonly Run[]): Promise<void> {
    const { session } = this;
    const { target } = this.disk!;
    const hasRightSize = await target.hasRightSize();
    const progress = session.progress();
    const elapsedMs = now() - this.startedMs;
    this.observe({ type: 'checked', mapId: session.mapId ?? '', progress, elapsedMs });
    const { imageSize, chunkSize } = session.description!;
    const table = fittedTable(target.path, imageSize, chunkSize);
    const failure = differsFailure(target.path, progress, hasRightSize, differing, table);
    if (failure !== null) throw failure;
    session.handleFinished(now());
  }

  private succeed(): void {
    this.isEnded = true;
    const progress = this.session.progress();
    const mapId = this.session.mapId ?? '';
    const elapsedMs = now() - this.startedMs;
    const { sizeBytes, wireBytes } = progress;
    const ratio = wireBytes > 0 ? sizeBytes / wireBytes : null;
    if (!this.options.check) {
      this.observe({ type: 'proven', mapId, progress, elapsedMs, ratio });
    }
    this.settle.resolve();
  }

  private fail(error: unknown): void {
    // What was written is known to the last, however soon that was.
    if (!this.isEnded) this.reportProgress();
    this.isEnded = true;
    this.failure ??= error as Error;
    this.settle.reject(error);
  }

  private reportProgress(): void {
    this.observe({ type: 'progress', progress: this.session.progress() });
  }

  async close(): Promise<void> {
    this.isEnded = true;
    this.closing.abort();
    this.alarm.clear();
    clearInterval(this.progressTimer);
    const goodbye = this.session.goodbye(now(), this.failure);
    await this.line?.close(goodbye?.bytes ?? null, goodbye?.to ?? null);
    await this.disk?.close();
  }
}
