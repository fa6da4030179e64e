/** Runs a client: sockets, disk, threads and clock around the receiving machine. */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { ClientEvent } from '../client/events.js';
import { ClientSession } from '../client/session.js';
import { Failure } from '../failure.js';
import type { Digest } from '../image/block-map.js';
import { BLOCK_HEADER_BYTES } from '../protocol/block.js';
import { Alarm } from './alarm.js';
import { loadBlake3 } from './blake3.js';
import { differsFailure, dryRunText } from './client-endings.js';
import { now } from './clock.js';
import { GroupInlet } from './group-inlet.js';
import { machineOf } from './machine.js';
import { ClientLine } from './net/client-line.js';
import { isIPv6Address } from './net/family.js';
import {
  awaitInterface,
  blockSizeFor,
  type ChosenInterface,
  refuseLargeMtu,
} from './net/network-interface.js';
import { type ClientOptions, DEFAULT_GROUP, DEFAULT_SERVER_PORT } from './options.js';
import { ClientDisk } from './target/client-disk.js';
import { planUnlocked, refuseEarly, type TargetOptions } from './target/target.js';
import type { TargetPlan } from './target/target-plan.js';

const PROGRESS_MS = 200;

export async function runClient(
  options: ClientOptions,
  observe: (event: ClientEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  await refuseEarly(options);
  const digestOf = await loadBlake3();
  for (;;) {
    signal.throwIfAborted();
    const tell = (text: string): void => observe({ type: 'notice', text });
    const { interface: wanted, group, giveUpMs = Number.POSITIVE_INFINITY } = options;
    const chosen = await awaitInterface(wanted, group, giveUpMs, tell, signal);
    refuseLargeMtu(options.mtu, chosen);
    const client = new Client(options, observe, chosen, digestOf);
    try {
      await client.open();
      await client.run(signal);
      return;
    } catch (error) {
      if (!options.follow || !isFollowed(error)) throw error;
      observe({ type: 'notice', text: `${error.message}; starting anew` });
    } finally {
      await client.close();
    }
  }
}

/** With `--follow`, these end a copy but not the run: another image is there, or will be. */
function isFollowed(error: unknown): error is Failure {
  return (
    error instanceof Failure && (error.code === 'OTHER_IMAGE' || error.code === 'SOURCE_CHANGED')
  );
}

/** Servers are looked for at the default place as well, by a client that was told of another. */
function elsewhereOf({ group, serverHost, serverPort }: ClientOptions) {
  const address = isIPv6Address(group) ? null : DEFAULT_GROUP;
  const isDefault = address === group && serverPort === DEFAULT_SERVER_PORT;
  if (address === null || isDefault || serverHost !== undefined) return {};
  return { elsewhere: { address, port: DEFAULT_SERVER_PORT } };
}

class Client {
  readonly #options: ClientOptions;
  readonly #observe: (event: ClientEvent) => void;
  readonly #chosen: ChosenInterface;
  readonly #session: ClientSession;
  readonly #digestOf: Digest;
  readonly #startedMs = now();
  readonly #inlet: GroupInlet;
  #line: ClientLine | null = null;
  #disk: ClientDisk | null = null;
  /** What comes before `run` waits for it. */
  #hasBegun = false;
  #isOpening = false;
  #isFinishing = false;
  #isEnded = false;
  #isTendQueued = false;
  readonly #alarm = new Alarm(() => this.#tend());
  #progressTimer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(
    options: ClientOptions,
    observe: (event: ClientEvent) => void,
    chosen: ChosenInterface,
    digestOf: Digest,
  ) {
    this.#options = options;
    this.#observe = observe;
    this.#chosen = chosen;
    this.#digestOf = digestOf;
    this.#session = new ClientSession(
      {
        client: randomBytes(8).readBigUInt64BE(),
        machine: machineOf(options.output),
        host: hostname(),
        wantedName: options.image,
        group: options.group,
        port: options.port,
        isServerNamed: options.serverHost !== undefined,
        ...elsewhereOf(options),
        timeoutMs: options.timeoutMs,
        giveUpMs: options.giveUpMs ?? Number.POSITIVE_INFINITY,
        digest: digestOf,
        random: Math.random,
      },
      now(),
    );
    this.#inlet = new GroupInlet(this.#session);
  }

  async open(): Promise<void> {
    const session = this.#session;
    const line = await ClientLine.open(this.#options, this.#chosen, {
      onPackets: (bytes, start, end, address) => this.#takeGroup(bytes, start, end, address),
      onBatch: () => this.#tend(),
      canTake: () => this.#inlet.isOpen,
      onAnswer: (bytes, { address, port }) => {
        session.handleUnicast(bytes, address, port, now());
        this.#tend();
      },
      onNotice: (text) => this.#observe({ type: 'notice', text }),
      awaitedStream: () => (session.hasHeardGroup ? null : session.streamAddress),
    });
    this.#line = line;
    const { group, port } = this.#options;
    const mebibytes = Math.round(line.receiver.receiveBufferBytes / 2 ** 20);
    const transport = `${line.receiver.transport}, receive buffer ${mebibytes} MiB`;
    this.#observe({ type: 'listening', group, port, interface: this.#chosen.label, transport });
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true, signal: this.#closing.signal });
      if (signal.aborted) reject(signal.reason);
      this.#hasBegun = true;
      this.#progressTimer = setInterval(() => this.#reportProgress(), PROGRESS_MS);
      this.#tend();
    });
  }

  /** @returns whether there were blocks of the stream among them */
  #takeGroup(bytes: Buffer, start: number, end: number, address: string): boolean {
    if (this.#isEnded) return false;
    const isStream = this.#inlet.take(bytes, start, end, address);
    // While a chunk that is just whole is still in the processor's cache.
    if (this.#disk?.storesAtOnce) this.#submitOrders();
    return isStream;
  }

  /** Stores end several at a time: one look after them is enough. */
  #queueTend(): void {
    if (this.#isTendQueued) return;
    this.#isTendQueued = true;
    queueMicrotask(() => {
      this.#isTendQueued = false;
      this.#tend();
    });
  }

  /** Does whatever the machine has become ready to do. */
  #tend(): void {
    if (this.#isEnded || !this.#hasBegun) return;
    const session = this.#session;
    const at = now();
    if (at >= session.nextDeadline()) session.handleTimeout(at);
    this.#submitOrders();
    for (let out = session.pollTransmit(); out !== null; out = session.pollTransmit()) {
      this.#line!.send(out.bytes, out.to);
    }
    for (const event of session.pollEvents()) {
      this.#observe(event);
      if (event.type === 'server-found') this.#expectPackets(event.image.blockSizeBytes);
    }
    if (session.failure !== null) {
      this.#fail(session.failure);
      return;
    }
    if (session.description !== null && !this.#isOpening) this.#begin();
    if (session.isCompared) {
      if (!this.#isFinishing) this.#endCheck();
    } else if (session.isProven && !this.#isFinishing) {
      this.#finish();
    }
    if (session.isFinished) this.#succeed();
    else this.#alarm.set(session.nextDeadline(), at);
  }

  #fail(error: unknown): void {
    this.#isEnded = true;
    this.#settle.reject(error);
  }

  /** Packets longer than the interface's frames never arrive: says so before hours of silence. */
  #expectPackets(blockSizeBytes: number): void {
    this.#line!.receiver.expect(BLOCK_HEADER_BYTES + blockSizeBytes);
    const { mtu } = this.#options;
    const { label } = this.#chosen;
    const mtuBytes = mtu === 'auto' ? this.#chosen.mtuBytes : mtu;
    const ownBlockSize = blockSizeFor(mtuBytes, this.#chosen, this.#options.group);
    if (blockSizeBytes <= ownBlockSize) return;
    const text =
      `the server's packets are longer than the MTU of interface ${label} (${mtuBytes} bytes) allows; ` +
      `if nothing arrives, start multiserver with --mtu ${mtuBytes}`;
    this.#observe({ type: 'notice', text });
  }

  #submitOrders(): void {
    const session = this.#session;
    for (let order = session.pollStore(); order !== null; order = session.pollStore()) {
      const stored = order;
      this.#disk!.store(stored, (outcome) => {
        session.handleStored(stored, outcome, now());
        this.#inlet.empty();
        this.#queueTend();
      });
    }
    for (let order = session.pollCheck(); order !== null; order = session.pollCheck()) {
      const checked = order;
      this.#disk!.check(checked, (outcome) => {
        session.handleChecked(checked, outcome, now());
        this.#queueTend();
      });
    }
  }

  /** A server is chosen: open the target, or say what would be done with it. */
  #begin(): void {
    this.#isOpening = true;
    this.#line!.awaitStream();
    const { imageSize, chunkSize, name, sectorSizeBytes } = this.#session.description!;
    const { output, sparse, force, resume, check, verify, discard } = this.#options;
    const wanted = { output, imageName: name, sizeBytes: imageSize, sectorSizeBytes };
    const options = { ...wanted, sparse, force, resume, check };
    if (this.#options.dryRun) {
      this.#endDryRun(options).catch((error) => this.#fail(error));
      return;
    }
    ClientDisk.open(
      options,
      chunkSize,
      this.#digestOf,
      discard,
      (failure) => this.#fail(failure),
      (ratio) => this.#observe({ type: 'allocating', ratio }),
    )
      .then(async (disk) => {
        // The run may have ended while the target was opened.
        if (this.#isEnded) {
          await disk.close();
          return;
        }
        this.#disk = disk;
        const { plan, isBlank } = disk.target;
        const { holdsEarlierData } = plan;
        this.#tellTarget(plan, check ? 'check' : 'copy');
        const { receiveBufferBytes } = this.#line!.receiver;
        const { slots } = disk;
        this.#session.begin(
          {
            slots,
            isBlank,
            receiveBufferBytes,
            holdsEarlierData,
            isCheckOnly: check,
            willVerify: verify,
          },
          now(),
        );
        this.#tend();
      })
      .catch((error) => this.#fail(error));
  }

  #tellTarget(plan: TargetPlan, purpose: 'copy' | 'check' | 'dry-run'): void {
    const { path, kind, description, holdsEarlierData: resumed } = plan;
    this.#observe({ type: 'target', path, kind, description, resumed, purpose });
  }

  async #endDryRun(options: TargetOptions): Promise<void> {
    const plan = await planUnlocked(options);
    if (this.#isEnded) return;
    this.#tellTarget(plan, 'dry-run');
    this.#observe({ type: 'notice', text: dryRunText(plan, options.sizeBytes) });
    this.#isEnded = true;
    this.#settle.resolve();
  }

  /** Everything is compared: say what came of it. */
  #endCheck(): void {
    this.#isFinishing = true;
    const session = this.#session;
    this.#disk!.target.hasRightSize()
      .then((hasRightSize) => {
        const progress = session.progress();
        const elapsedMs = now() - this.#startedMs;
        this.#observe({ type: 'checked', mapId: session.mapId ?? '', progress, elapsedMs });
        const failure = differsFailure(this.#disk!.target.path, progress, hasRightSize);
        if (failure !== null) throw failure;
        session.part(now());
        this.#tend();
      })
      .catch((error) => this.#fail(error));
  }

  /** The copy is proven: sync it, read it back if asked to, and give it its name. */
  #finish(): void {
    this.#isFinishing = true;
    this.#settleTarget().catch((error) => this.#fail(error));
  }

  async #settleTarget(): Promise<void> {
    const disk = this.#disk!;
    const session = this.#session;
    if (this.#options.verify) {
      await disk.sync();
      const description = await disk.readBack(session.description!.chunkSize);
      if (session.verify(now())) {
        this.#observe({ type: 'notice', text: description });
        this.#isFinishing = false;
        this.#tend();
        return;
      }
    }
    await disk.finish();
    for (const text of await disk.tellAfterCopy()) this.#observe({ type: 'notice', text });
    session.part(now());
    this.#tend();
  }

  #succeed(): void {
    this.#isEnded = true;
    const progress = this.#session.progress();
    const mapId = this.#session.mapId ?? '';
    const elapsedMs = now() - this.#startedMs;
    const { sizeBytes, wireBytes } = progress;
    const ratio = wireBytes > 0 ? sizeBytes / wireBytes : null;
    if (!this.#options.check) {
      this.#observe({ type: 'proven', mapId, progress, elapsedMs, ratio });
    }
    this.#settle.resolve();
  }

  #reportProgress(): void {
    this.#observe({ type: 'progress', progress: this.#session.progress() });
  }

  async close(): Promise<void> {
    this.#isEnded = true;
    this.#closing.abort();
    this.#alarm.clear();
    clearInterval(this.#progressTimer);
    this.#session.leave(now());
    const farewell = this.#session.pollTransmit();
    await this.#line?.close(farewell?.bytes ?? null, farewell?.to ?? null);
    await this.#disk?.close();
  }
}
