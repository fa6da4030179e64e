/** Runs a server: sockets, disk, threads and clock around the sending machine. */
import { createHash, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { closeSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import createDebug from 'debug';
import { Failure } from '../failure.js';
import { BlockMapBuilder } from '../image/block-map.js';
import { chunkSizeFor, Geometry } from '../image/geometry.js';
import { NoticeCode } from '../protocol/from-server.js';
import type { ServerEvent } from '../server/events.js';
import { ServerSession } from '../server/session.js';
import { ChunkPool } from './chunk-pool.js';
import { now } from './clock.js';
import { type GroupSender, openGroupSender } from './group-socket.js';
import { blockSizeFor, type ChosenInterface, chooseInterface } from './network-interface.js';
import type { ServerOptions } from './options.js';
import { Preparation } from './prepare.js';
import { openSource, type Source } from './source.js';

const debug = createDebug('multiserver:run');

const SLOT_COUNT = 96;
const TRAIN_BUFFERS = 16;
const TRAIN_BUFFER_BYTES = 65_536;
const PROGRESS_MS = 200;
/** After the last client that was waited for: its farewell leaves, and reports that crossed are answered. */
const LINGER_MS = 30;
const PACKET_HEADER_BYTES = 28;

export async function runServer(
  options: ServerOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const source = openSource(options.file);
  const chosen = chooseInterface(options.interface, options.group);
  const server = new Server(options, observe, source, chosen);
  try {
    await server.open();
    await server.run(signal);
  } finally {
    await server.close();
    closeSync(source.fd);
  }
}

class Server {
  readonly #options: ServerOptions;
  readonly #observe: (event: ServerEvent) => void;
  readonly #source: Source;
  readonly #chosen: ChosenInterface;
  readonly #blockSize: number;
  readonly #map: BlockMapBuilder;
  readonly #pool: ChunkPool;
  readonly #socket: dgram.Socket;
  readonly #preparation: Preparation;
  readonly #freeTrains: Buffer[] = [];
  readonly #startedMs = now();
  #sender!: GroupSender;
  #session!: ServerSession;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #isPumpQueued = false;
  #progressTimer: NodeJS.Timeout | undefined;
  #settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  constructor(
    options: ServerOptions,
    observe: (event: ServerEvent) => void,
    source: Source,
    chosen: ChosenInterface,
  ) {
    this.#options = options;
    this.#observe = observe;
    this.#source = source;
    this.#chosen = chosen;
    this.#blockSize = blockSizeFor(options.mtu, chosen, options.group);
    const geometry = new Geometry(source.sizeBytes, chunkSizeFor(source.sizeBytes));
    const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
    this.#map = new BlockMapBuilder(geometry, digest);
    this.#pool = new ChunkPool(SLOT_COUNT, geometry.chunkSizeBytes);
    this.#socket = dgram.createSocket({ type: isIPv6(options.group) ? 'udp6' : 'udp4' });
    this.#preparation = new Preparation(this.#map, this.#pool, source.fd, {
      onComplete: () => this.#mapComplete(),
      onUnreadable: (chunk, reason) => this.#unreadable(chunk, reason),
    });
    for (let i = 0; i < TRAIN_BUFFERS; i++) {
      this.#freeTrains.push(Buffer.allocUnsafeSlow(TRAIN_BUFFER_BYTES));
    }
  }

  async open(): Promise<void> {
    const { group, port, serverPort, ttl, offload } = this.#options;
    const chosen = this.#chosen;
    await this.#bind();
    this.#sender = await openGroupSender(
      { group, port, chosen, ttl, offload },
      this.#blockSize + PACKET_HEADER_BYTES,
    );
    this.#session = new ServerSession({
      session: randomBytes(8).readBigUInt64BE(),
      name: this.#source.name,
      group,
      port,
      serverPort,
      blockSize: this.#blockSize,
      map: this.#map,
      slots: this.#pool.slots,
      mostTrainBytes: this.#sender.mostTrainBytes,
      ceilingBytesPerMs: (this.#options.rateBitsPerSecond ?? Number.POSITIVE_INFINITY) / 8000,
      delayMs: this.#options.delayMs,
      waitForSlow: this.#options.slowClients === 'wait',
    });
    this.#observe({
      type: 'serving',
      path: this.#source.path,
      name: this.#source.name,
      sizeBytes: this.#source.sizeBytes,
      group,
      port,
      serverPort,
      interface: chosen.label,
      blockSizeBytes: this.#blockSize,
      transport: this.#sender.transport,
    });
  }

  /** Binds the socket of requests and answers, and joins the group so that clients find it. */
  async #bind(): Promise<void> {
    const { group, serverPort, ttl } = this.#options;
    const socket = this.#socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('error', () =>
        reject(
          new Failure(
            'network',
            'PORT_TAKEN',
            `UDP port ${serverPort} is in use, perhaps by another multiserver; choose another with -s`,
          ),
        ),
      );
      socket.bind({ port: serverPort, exclusive: true }, resolve);
    });
    socket.removeAllListeners('error');
    socket.on('error', (error) => debug('request socket: %s', error.message));
    try {
      socket.addMembership(group, this.#chosen.multicastAddress);
      if (this.#chosen.multicastAddress !== undefined) {
        socket.setMulticastInterface(this.#chosen.multicastAddress);
      }
      socket.setMulticastTTL(ttl);
    } catch (error) {
      throw new Failure(
        'network',
        'NO_MULTICAST',
        `cannot join ${group} on interface ${this.#chosen.label} (${(error as Error).message}); name an interface with -i`,
      );
    }
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      this.#socket.on('message', (bytes, { address, port }) => {
        this.#session.handleDatagram(bytes, { address, port }, now());
        this.#queuePump();
      });
      this.#progressTimer = setInterval(() => this.#reportProgress(), PROGRESS_MS);
      this.#preparation.advance();
      this.#pump();
    });
  }

  /** Many things may happen in one turn of the event loop: one pump after them is enough. */
  #queuePump(): void {
    if (this.#isPumpQueued) return;
    this.#isPumpQueued = true;
    setImmediate(() => {
      this.#isPumpQueued = false;
      this.#pump();
    });
  }

  #pump(): void {
    const session = this.#session;
    let at = now();
    for (let order = session.pollRead(); order !== null; order = session.pollRead()) {
      this.#read(order.chunk, order.slot);
    }
    while (this.#freeTrains.length > 0) {
      const train = this.#freeTrains.at(-1)!;
      const transmit = session.pollTransmit(at, train);
      if (transmit === null) break;
      this.#freeTrains.pop();
      const { length, packetBytes, to } = transmit;
      const done = (error: Error | null) => {
        if (error !== null) debug('send: %s', error.message);
        this.#freeTrains.push(train);
        this.#queuePump();
      };
      if (to === null) this.#sender.send(train, length, packetBytes, done);
      else this.#socket.send(train, 0, length, to.port, to.address, done);
      at = now();
    }
    for (let order = session.pollRead(); order !== null; order = session.pollRead()) {
      this.#read(order.chunk, order.slot);
    }
    this.#tellEvents();
    this.#schedule(at);
  }

  #read(chunk: number, slot: number): void {
    const { geometry } = this.#map;
    this.#pool.submit(
      {
        op: 'read',
        fd: this.#source.fd,
        offsetBytes: geometry.chunkOffset(chunk),
        lengthBytes: geometry.chunkLength(chunk),
        memoryOffset: this.#pool.memoryOffsetOf(slot),
        wantsDigest: !this.#map.isKnown(chunk),
      },
      (result) => {
        this.#preparation.learn(chunk, result);
        if (result.kind === 'data' || result.kind === 'zero' || result.kind === 'failed') {
          this.#session.handleRead(slot, result);
        }
        this.#queuePump();
      },
    );
  }

  #schedule(at: number): void {
    // Without a free buffer, the end of a send wakes us.
    const deadline =
      this.#freeTrains.length > 0 ? this.#session.nextDeadline(at) : Number.POSITIVE_INFINITY;
    if (deadline === this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = deadline;
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#pump();
    }, deadline - at);
  }

  #tellEvents(): void {
    for (const event of this.#session.pollEvents()) {
      this.#observe(event);
      if (event.type === 'client-done' && event.doneCount === this.#options.exitAfter) {
        setTimeout(() => this.#end(), LINGER_MS);
      }
    }
  }

  #mapComplete(): void {
    const map = this.#map.finish();
    this.#session.setMap(map, now());
    this.#observe({
      type: 'prepared',
      mapId: map.id.toString('hex'),
      elapsedMs: now() - this.#startedMs,
      fromCache: false,
    });
    this.#queuePump();
  }

  #unreadable(chunk: number, reason: string): void {
    const text = `chunk ${chunk} of the image cannot be read: ${reason}`;
    this.#session.notify(NoticeCode.unreadable, chunk, 1, text);
    this.#observe({ type: 'notice', text });
  }

  #reportProgress(): void {
    this.#observe({ type: 'progress', progress: this.#session.progress(now()) });
  }

  #end(): void {
    this.#observe({
      type: 'ended',
      progress: this.#session.progress(now()),
      doneCount: this.#session.doneCount,
      elapsedMs: now() - this.#startedMs,
    });
    this.#settle?.resolve();
  }

  /** Tells clients that are not done that nothing more will come. */
  async #sayGoodbye(): Promise<void> {
    const notice = this.#session?.goodbye(now());
    if (notice === null || notice === undefined) return;
    await new Promise((resolve) =>
      this.#sender.send(notice, notice.length, notice.length, resolve),
    );
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#progressTimer);
    await this.#sayGoodbye();
    this.#sender?.close();
    this.#socket.close();
    await this.#pool.close();
  }
}
