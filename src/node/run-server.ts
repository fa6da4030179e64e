/** Runs a server: sockets, disk, threads and clock around the sending machine. */

import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import type { Failure } from '../failure.js';
import { type BlockMap, BlockMapBuilder, type Digest } from '../image/block-map.js';
import { chunkSizeFor, Geometry } from '../image/geometry.js';
import { BLOCK_HEADER_BYTES } from '../protocol/block.js';
import { NoticeCode } from '../protocol/from-server.js';
import type { ServerEvent } from '../server/events.js';
import type { ReadOrder, Transmit } from '../server/outputs.js';
import { ServerSession } from '../server/session.js';
import { Alarm } from './alarm.js';
import { loadBlake3 } from './blake3.js';
import { now } from './clock.js';
import { CopyCount } from './copy-count.js';
import { debugLog } from './debug-log.js';
import { IdleCores } from './idle-cores.js';
import { linkBytesPerMs } from './net/link-speed.js';
import {
  awaitInterface,
  blockSizeFor,
  type ChosenInterface,
  refuseLargeMtu,
} from './net/network-interface.js';
import { ServerLine } from './net/server-line.js';
import type { ServerOptions } from './options.js';
import { outcomeOf, readJob } from './source/chunk-reading.js';
import { searchHoles } from './source/holes.js';
import { MapCache } from './source/map-cache.js';
import { openImage } from './source/open-image.js';
import { prepareImage } from './source/prepare-image.js';
import { type Source, sectorSizeOfSource } from './source/source.js';
import { SourceWatch } from './source/source-watch.js';
import type { ChunkResult } from './workers/chunk-jobs.js';
import { ChunkMemory } from './workers/chunk-memory.js';
import { ChunkTurns } from './workers/chunk-turns.js';
import { loadZstd } from './workers/zstd.js';

const debug = debugLog('multiserver:run');

/** Chunks in memory: enough to read ahead and to repair from. */
const CHUNK_SLOTS = 24;
const TRAIN_BUFFERS = 16;
const TRAIN_BUFFER_BYTES = 65_536;
const PROGRESS_MS = 200;
/** After the last client that was waited for: its farewell leaves, and reports that crossed are answered. */
const LINGER_MS = 10;
/** A notice that ends everything is repeated, since any packet may be lost. */
const LAST_NOTICES = 4;
const LAST_NOTICE_INTERVAL_MS = 50;

export async function runServer(
  options: ServerOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const source = await openImage(options, observe, signal);
  if (options.prepareOnly) {
    await prepareImage(source, observe, signal).finally(() => closeSync(source.fd));
    return;
  }
  const tell = (text: string): void => observe({ type: 'notice', text });
  const chosen = await awaitInterface(
    options.interface,
    options.group,
    Number.POSITIVE_INFINITY,
    tell,
    signal,
  );
  refuseLargeMtu(options.mtu, chosen);
  const server = new Server(options, observe, source, chosen, await loadBlake3());
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
  readonly #memory: ChunkMemory;
  readonly #jobs: ChunkTurns;
  readonly #cache: MapCache | null;
  /** The map that was kept, to be confirmed; null when there is none. */
  readonly #kept: BlockMap | null;
  readonly #watch: SourceWatch;
  readonly #freeTrains: Buffer[] = [];
  readonly #startedMs = now();
  #line!: ServerLine;
  #session!: ServerSession;
  #count!: CopyCount;
  readonly #alarm = new Alarm(() => this.#pump());
  #isPumpQueued = false;
  /** What a send that ends at once makes possible is done in the same turn. */
  #isPumping = false;
  #isClosed = false;
  #isSourceChanged = false;
  #isEnding = false;
  #progressTimer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();
  #settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  constructor(
    options: ServerOptions,
    observe: (event: ServerEvent) => void,
    source: Source,
    chosen: ChosenInterface,
    digestOf: Digest,
  ) {
    this.#options = options;
    this.#observe = observe;
    this.#source = source;
    this.#chosen = chosen;
    this.#blockSize = blockSizeFor(options.mtu, chosen, options.group);
    const geometry = new Geometry(source.sizeBytes, chunkSizeFor(source.sizeBytes));
    this.#cache = options.cache ? MapCache.of(source.path, source.fd, geometry) : null;
    const kept = this.#cache?.load(geometry, digestOf) ?? null;
    this.#kept = kept;
    this.#map =
      kept === null ? new BlockMapBuilder(geometry, digestOf) : BlockMapBuilder.of(kept, digestOf);
    this.#watch = new SourceWatch(source.path, source.fd, (failure) =>
      this.#sourceChanged(failure),
    );
    this.#memory = new ChunkMemory(CHUNK_SLOTS, geometry.chunkSizeBytes);
    this.#jobs = new ChunkTurns(this.#memory, digestOf);
    for (let i = 0; i < TRAIN_BUFFERS; i++) {
      this.#freeTrains.push(Buffer.allocUnsafeSlow(TRAIN_BUFFER_BYTES));
    }
  }

  async open(): Promise<void> {
    const { group, port, serverPort } = this.#options;
    const chosen = this.#chosen;
    const engine = (await loadZstd())?.kind ?? null;
    const cores = new IdleCores(now());
    const line = await ServerLine.open(
      this.#options,
      chosen,
      this.#blockSize + BLOCK_HEADER_BYTES,
      (text) => this.#observe({ type: 'notice', text }),
    );
    this.#line = line;
    this.#session = new ServerSession({
      session: randomBytes(8).readBigUInt64BE(),
      name: this.#source.name,
      sectorSizeBytes: sectorSizeOfSource(this.#source),
      streamAddress: () => line.streamAddress,
      group,
      port,
      serverPort,
      blockSize: this.#blockSize,
      map: this.#map,
      slots: this.#memory.slots,
      mostTrainBytes: line.sender.mostTrainBytes,
      gathers: line.sender.gathers,
      ceilingBytesPerMs: (this.#options.rateBitsPerSecond ?? Number.POSITIVE_INFINITY) / 8000,
      delayMs: this.#options.delayMs,
      waitForSlow: this.#options.slowClients === 'wait',
      compression: {
        setting: this.#options.compression,
        engine,
        linkBytesPerMs: linkBytesPerMs(chosen.label),
      },
      readers: () => this.#jobs.workerCount,
      idleCores: (at) => cores.count(at),
    });
    this.#count = new CopyCount(this.#options, this.#session, this.#observe, () =>
      setTimeout(() => this.#end(), LINGER_MS),
    );
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
      ceilingBitsPerSecond: this.#options.rateBitsPerSecond ?? null,
      transport: line.sender.transport,
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true, signal: this.#closing.signal });
      if (signal.aborted) reject(signal.reason);
      this.#line.listen((bytes, from) => {
        this.#session.handleDatagram(bytes, from, now());
        this.#queuePump();
      });
      this.#progressTimer = setInterval(() => this.#reportProgress(), PROGRESS_MS);
      searchHoles(
        this.#map,
        this.#source.fd,
        () => this.#isClosed || this.#isSourceChanged,
        () => {
          this.#session.beginPreparing();
          this.#queuePump();
        },
      );
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

  /** Carries out what the machine wants, until it wants nothing for now. */
  #pump(): void {
    if (this.#isClosed) return;
    this.#isPumping = true;
    for (;;) {
      const at = now();
      const train = this.#hasRoom ? this.#freeTrains.at(-1)! : null;
      const output = this.#session.pollOutput(at, train);
      switch (output.kind) {
        case 'read':
          this.#read(output);
          break;
        case 'transmit':
          this.#send(output, train!);
          break;
        case 'source-changed':
          this.#watch.changed(output.what);
          break;
        case 'map-complete':
          this.#mapComplete();
          break;
        case 'event':
          this.#observe(output.event);
          this.#count.note(output.event);
          break;
        case 'wait':
          this.#isPumping = false;
          // Without room, the end of a send wakes us as well.
          this.#alarm.set(output.untilMs, at);
          return;
      }
    }
  }

  /** Whether another train could be packed and sent. */
  get #hasRoom(): boolean {
    return this.#freeTrains.length > 0 && !this.#line.sender.isBusy;
  }

  /** @param train the last of the free ones, in which the packets lie */
  #send({ length, packetBytes, to, payloads }: Transmit, train: Buffer): void {
    this.#freeTrains.pop();
    const done = () => {
      this.#freeTrains.push(train);
      if (!this.#isPumping) this.#queuePump();
    };
    if (to === null) this.#line.sendToGroup({ bytes: train, length, packetBytes, payloads }, done);
    else this.#line.answer(train, length, to, done);
  }

  #read(order: ReadOrder): void {
    const { chunk, slot, level, isRepeat } = order;
    const isPatient = slot < 0;
    const memoryOffset = isPatient ? -1 : this.#memory.offsetOf(slot);
    const { geometry } = this.#map;
    const job = readJob(this.#source.fd, geometry, chunk, memoryOffset, level, isRepeat);
    const done = (result: ChunkResult): void => {
      // What cannot be read of another source than this was is no place that cannot be read.
      if (result.kind === 'failed' && !this.#watch.isUnchanged()) return;
      this.#session.handleRead(order, outcomeOf(result), now());
      this.#queuePump();
    };
    if (isPatient) this.#jobs.submitPatient(job, done);
    else this.#jobs.submit(job, done);
  }

  #mapComplete(): void {
    // A map of what was partly this and partly that image would be nobody's.
    if (!this.#watch.isUnchanged()) return;
    const map = this.#map.finish();
    const isConfirmed = this.#kept?.id.equals(map.id) ?? false;
    this.#session.setMap(map, now());
    this.#count.begin(map.id.toString('hex'));
    this.#observe({
      type: 'prepared',
      mapId: map.id.toString('hex'),
      elapsedMs: now() - this.#startedMs,
      fromCache: isConfirmed,
    });
    if (!isConfirmed) this.#keepMap(map);
    this.#queuePump();
  }

  /** A map that cannot be kept is made anew next time; no more is lost. */
  #keepMap(map: BlockMap): void {
    const cache = this.#cache;
    cache?.save(map).then((trouble) => {
      if (trouble !== null) debug('%s is not kept: %s', cache.path, trouble);
    });
  }

  /** What was sent may be part of this image or of that: nobody may go on. */
  #sourceChanged(failure: Failure): void {
    this.#isSourceChanged = true;
    // A kept map that is not this image's must not end the next run as well.
    if (this.#kept !== null) this.#cache?.remove();
    let notices = 0;
    const tell = (): void => {
      if (notices++ === LAST_NOTICES) {
        this.#settle?.reject(failure);
        return;
      }
      this.#session?.notify(NoticeCode.sourceChanged, 0, 0, failure.message);
      this.#queuePump();
      setTimeout(tell, LAST_NOTICE_INTERVAL_MS);
    };
    tell();
  }

  #reportProgress(): void {
    const { knownCount, geometry, isComplete } = this.#map;
    if (!isComplete) this.#observe({ type: 'preparing', ratio: knownCount / geometry.chunkCount });
    this.#observe({ type: 'progress', progress: this.#session.progress(now()) });
  }

  #end(): void {
    this.#isEnding = true;
    this.#tellUnfinished();
    const progress = this.#session.progress(now());
    const { wireBytes } = progress;
    const imageBytes = this.#source.sizeBytes;
    this.#observe({
      type: 'ended',
      progress,
      doneCount: this.#session.doneCount,
      elapsedMs: now() - this.#startedMs,
      imageBytes,
      wireBytes,
      ratio: wireBytes > 0 ? imageBytes / wireBytes : null,
    });
    this.#settle?.resolve();
  }

  #tellUnfinished(): void {
    const clients = this.#session?.unfinished(now()) ?? [];
    if (clients.length > 0) this.#observe({ type: 'unfinished', clients });
  }

  /** Tells clients that are not done that nothing more will come. */
  async #sayGoodbye(): Promise<void> {
    const notice = this.#session?.goodbye(now());
    if (notice === null || notice === undefined) return;
    const { length } = notice;
    const goodbye = { bytes: notice, length, packetBytes: length, payloads: null };
    await new Promise((resolve) => this.#line.sender.send(goodbye, resolve));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort();
    this.#count?.close();
    if (!this.#isEnding) this.#tellUnfinished();
    this.#watch.close();
    this.#alarm.clear();
    clearInterval(this.#progressTimer);
    this.#line?.stopListening();
    await this.#sayGoodbye();
    this.#line?.close();
    await this.#jobs.close();
  }
}
