/** Runs a client: sockets, disk, threads and clock around the receiving machine. */
import { createHash, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import createDebug from 'debug';
import type { ClientEvent } from '../client/events.js';
import type { StoreOrder } from '../client/receiver.js';
import { ClientSession } from '../client/session.js';
import { Failure } from '../failure.js';
import { ChunkPool } from './chunk-pool.js';
import { now } from './clock.js';
import { type GroupReceiver, openGroupReceiver } from './group-socket.js';
import { blockSizeFor, type ChosenInterface, chooseInterface } from './network-interface.js';
import type { ClientOptions } from './options.js';
import { TargetFile, targetFailure } from './target.js';

const debug = createDebug('multiclient:run');

const CHUNK_MEMORY_BYTES = 32 * 1024 * 1024;
const LEAST_SLOTS = 16;
const PROGRESS_MS = 200;
/** Packets kept while all chunk memory waits for the disk. */
const MOST_STASH_BYTES = 24 * 1024 * 1024;

export async function runClient(
  options: ClientOptions,
  observe: (event: ClientEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const client = new Client(options, observe, chooseInterface(options.interface, options.group));
  try {
    await client.open();
    await client.run(signal);
  } finally {
    await client.close();
  }
}

class Client {
  readonly #options: ClientOptions;
  readonly #observe: (event: ClientEvent) => void;
  readonly #chosen: ChosenInterface;
  readonly #socket: dgram.Socket;
  readonly #session: ClientSession;
  readonly #startedMs = now();
  readonly #stash: { bytes: Buffer; isFromServer: boolean }[] = [];
  #stashBytes = 0;
  #group!: GroupReceiver;
  #pool: ChunkPool | null = null;
  #target: TargetFile | null = null;
  #isOpening = false;
  #isFinishing = false;
  #isTendQueued = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #progressTimer: NodeJS.Timeout | undefined;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(
    options: ClientOptions,
    observe: (event: ClientEvent) => void,
    chosen: ChosenInterface,
  ) {
    this.#options = options;
    this.#observe = observe;
    this.#chosen = chosen;
    this.#socket = dgram.createSocket({ type: isIPv6(options.group) ? 'udp6' : 'udp4' });
    this.#session = new ClientSession(
      {
        client: randomBytes(8).readBigUInt64BE(),
        host: hostname(),
        wantedName: options.image,
        group: options.group,
        port: options.port,
        timeoutMs: options.timeoutMs,
        giveUpMs: options.giveUpMs ?? Number.POSITIVE_INFINITY,
        digest: (bytes) => createHash('sha256').update(bytes).digest(),
        random: Math.random,
      },
      now(),
    );
  }

  async open(): Promise<void> {
    const { group, port, ttl, offload } = this.#options;
    this.#group = await openGroupReceiver(
      { group, port, chosen: this.#chosen, ttl, offload },
      (bytes, start, end, address) => this.#takeGroup(bytes, start, end, address),
      () => this.#tend(),
    );
    await this.#bind();
    this.#observe({
      type: 'listening',
      group,
      port,
      interface: this.#chosen.label,
      transport: this.#group.transport,
    });
  }

  /** Binds the socket of requests, at a random port unless one was asked for. */
  async #bind(): Promise<void> {
    const { fromPort, ttl } = this.#options;
    for (let tries = 0; ; tries++) {
      const port = fromPort ?? 32_767 + Math.floor(Math.random() * 32_769);
      try {
        await new Promise<void>((resolve, reject) => {
          this.#socket.once('error', reject);
          this.#socket.bind({ port, exclusive: true }, resolve);
        });
        break;
      } catch {
        if (fromPort === undefined && tries < 20) continue;
        throw new Failure(
          'network',
          'PORT_TAKEN',
          `UDP port ${port} is in use; choose another with -f, or leave -f out`,
        );
      }
    }
    this.#socket.removeAllListeners('error');
    this.#socket.on('error', (error) => debug('request socket: %s', error.message));
    if (this.#chosen.multicastAddress !== undefined) {
      this.#socket.setMulticastInterface(this.#chosen.multicastAddress);
    }
    this.#socket.setMulticastTTL(ttl);
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      this.#socket.on('message', (bytes, { address, port }) => {
        this.#session.handleUnicast(bytes, address, port, now());
        this.#tend();
      });
      this.#progressTimer = setInterval(() => this.#reportProgress(), PROGRESS_MS);
      this.#tend();
    });
  }

  #takeGroup(bytes: Buffer, start: number, end: number, address: string): void {
    const isFromServer = isSameAddress(address, this.#session.serverAddress);
    if (this.#stash.length === 0 && !this.#session.isExhausted) {
      this.#session.handleGroup(bytes, start, end, isFromServer, now());
      return;
    }
    if (this.#stashBytes + end - start > MOST_STASH_BYTES) return;
    this.#stash.push({ bytes: Buffer.from(bytes.subarray(start, end)), isFromServer });
    this.#stashBytes += end - start;
  }

  /** Memory came free: take what had to wait. */
  #takeStash(): void {
    while (this.#stash.length > 0 && !this.#session.isExhausted) {
      const { bytes, isFromServer } = this.#stash.shift()!;
      this.#stashBytes -= bytes.length;
      this.#session.handleGroup(bytes, 0, bytes.length, isFromServer, now());
    }
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
    const session = this.#session;
    const at = now();
    if (at >= session.nextDeadline()) session.handleTimeout(at);
    this.#submitStores();
    for (let out = session.pollTransmit(); out !== null; out = session.pollTransmit()) {
      this.#send(out.bytes, out.to);
    }
    for (const event of session.pollEvents()) {
      this.#observe(event);
      if (event.type === 'server-found') this.#warnOfLargePackets(event.image.blockSizeBytes);
    }
    if (session.failure !== null) {
      this.#settle.reject(session.failure);
      return;
    }
    if (session.description !== null && !this.#isOpening) this.#openTarget();
    if (session.isProven && !this.#isFinishing) this.#finish();
    if (session.isFinished) this.#succeed();
    else this.#schedule(at);
  }

  /** Packets longer than the interface's frames never arrive: say so before hours of silence. */
  #warnOfLargePackets(blockSizeBytes: number): void {
    const { mtuBytes, label } = this.#chosen;
    const ownBlockSize = blockSizeFor(mtuBytes, this.#chosen, this.#options.group);
    if (blockSizeBytes <= ownBlockSize) return;
    const text =
      `the server's packets are longer than the MTU of interface ${label} (${mtuBytes} bytes) allows; ` +
      `if nothing arrives, start multiserver with --mtu ${mtuBytes}`;
    this.#observe({ type: 'notice', text });
  }

  #send(bytes: Buffer, to: { address: string; port: number } | null): void {
    const { group, serverHost, serverPort } = this.#options;
    const port = to?.port ?? serverPort;
    const address = to?.address ?? serverHost ?? group;
    this.#socket.send(bytes, port, address, (error) => {
      if (error !== null) debug('request to %s: %s', address, error.message);
    });
  }

  #submitStores(): void {
    const session = this.#session;
    for (let order = session.pollStore(); order !== null; order = session.pollStore()) {
      this.#store(order);
    }
  }

  #store(order: StoreOrder): void {
    const { offsetBytes, lengthBytes } = order;
    const fd = this.#target!.fd;
    const pool = this.#pool!;
    const job =
      order.kind === 'zeros'
        ? ({ op: 'zeros', fd, offsetBytes, lengthBytes } as const)
        : ({
            op: 'store',
            fd,
            offsetBytes,
            lengthBytes,
            memoryOffset: pool.memoryOffsetOf(order.slot),
            encodedLength: order.encodedLength,
            encoding: order.encoding,
            expected: order.expected,
          } as const);
    pool.submit(job, (result) => {
      if (result.kind === 'failed') {
        return this.#settle.reject(
          targetFailure(this.#target!.path, { code: result.code, message: result.reason }),
        );
      }
      if (result.kind !== 'stored' && result.kind !== 'refused') throw new Error(result.kind);
      this.#session.handleStored(order, result, now());
      this.#takeStash();
      this.#queueTend();
    });
  }

  #openTarget(): void {
    this.#isOpening = true;
    const { imageSize, chunkSize, name } = this.#session.description!;
    const { output, sparse, force } = this.#options;
    const slotCount = Math.max(LEAST_SLOTS, Math.ceil(CHUNK_MEMORY_BYTES / chunkSize));
    this.#pool = new ChunkPool(slotCount, chunkSize);
    TargetFile.open({ output, imageName: name, sizeBytes: imageSize, sparse, force })
      .then((target) => {
        this.#target = target;
        const { path, kind, description, isBlank } = target;
        this.#observe({ type: 'target', path, kind, description, resumed: false });
        const { receiveBufferBytes } = this.#group;
        this.#session.begin({ slots: this.#pool!.slots, isBlank, receiveBufferBytes }, now());
        this.#tend();
      })
      .catch((error) => this.#settle.reject(error));
  }

  #finish(): void {
    this.#isFinishing = true;
    this.#target!.finish()
      .then(() => {
        this.#target = null;
        this.#session.part(now());
        this.#tend();
      })
      .catch((error) => this.#settle.reject(error));
  }

  #succeed(): void {
    const progress = this.#session.progress();
    const mapId = this.#session.mapId;
    this.#observe({
      type: 'proven',
      sha256OfMap: mapId ?? '',
      progress,
      elapsedMs: now() - this.#startedMs,
    });
    this.#settle.resolve();
  }

  #schedule(at: number): void {
    const deadline = this.#session.nextDeadline();
    if (deadline === this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = deadline;
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.#timerAtMs = Number.POSITIVE_INFINITY;
        this.#tend();
      },
      Math.max(0, deadline - at),
    );
  }

  #reportProgress(): void {
    this.#observe({ type: 'progress', progress: this.#session.progress() });
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#progressTimer);
    this.#session.leave(now());
    const farewell = this.#session.pollTransmit();
    if (farewell !== null && farewell.to !== null) {
      const { address, port } = farewell.to;
      await new Promise((resolve) => this.#socket.send(farewell.bytes, port, address, resolve));
    }
    this.#group?.close();
    this.#socket.close();
    await this.#pool?.close();
    await this.#target?.close();
  }
}

/** Compares addresses; a link-local one may come with or without its scope. */
function isSameAddress(address: string, expected: string | null): boolean {
  if (expected === null) return false;
  if (address === expected) return true;
  return address.includes(':') && address.split('%')[0] === expected.split('%')[0];
}
