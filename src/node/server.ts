import type { Failure } from '../failure.js';
import { type BlockMap, BlockMapBuilder, type Digest } from '../image/block-map.js';
import { noteFree } from '../image/free-chunks.js';
import { chunkSizeFor, Geometry } from '../image/geometry.js';
import { BLOCK_HEADER_BYTES } from '../protocol/block.js';
import { NoticeCode } from '../protocol/from-server.js';
import type { ServerEvent } from '../server/events.js';
import type { ReadOrder, Transmit } from '../server/outputs.js';
import type { ServerSealing } from '../server/sealing.js';
import { ServerSession } from '../server/session.js';
import { RunningAnswers, wordsOf } from './doctor/running-answers.js';
import { type StallWatch, watchServer } from './doctor/stall.js';
import { ServerDesk } from './fleet/server-desk.js';
import { startRulesOf } from './fleet/start-rules.js';
import { linkBytesPerMs } from './net/link-speed.js';
import { blockSizeFor, type ChosenInterface } from './net/network-interface.js';
import { OwnAddresses } from './net/own-addresses.js';
import { ServerLine } from './net/server-line.js';
import type { ServerOptions } from './options.js';
import { outcomeOf } from './source/chunk-reading.js';
import { searchHoles } from './source/holes.js';
import type { ChunkReader, ImageWatch, ServedImage } from './source/image-source.js';
import type { MapCache } from './source/map-cache.js';
import { Alarm } from './system/alarm.js';
import { now } from './system/clock.js';
import { debugLog } from './system/debug-log.js';
import { IdleCores } from './system/idle-cores.js';
import { newSealing, randomSession } from './system/session-secrets.js';
import { ChunkJobs, READS } from './workers/chunk-jobs.js';
import { ChunkMemory } from './workers/chunk-memory.js';
import { loadZstd } from './workers/zstd.js';

const debug = debugLog('multiserver:run');

/** Chunks in memory: enough to read ahead and to repair from. */
const CHUNK_SLOTS = 24;
const TRAIN_BUFFERS = 16;
const TRAIN_BUFFER_BYTES = 65_536;
const PROGRESS_MS = 200;
/**
 * After the last client that was waited for: its farewell leaves, and reports that crossed are
 * answered.
 */
const LINGER_MS = 10;
/** A notice that ends everything is repeated, since any packet may be lost. */
const LAST_NOTICES = 4;
const LAST_NOTICE_INTERVAL_MS = 50;

export class Server {
  private readonly options: ServerOptions;
  private readonly sessionId = randomSession();
  private readonly sealing: ServerSealing | null;
  private readonly observe: (event: ServerEvent) => void;
  private readonly image: ServedImage;
  private readonly chosen: ChosenInterface;
  private readonly blockSize: number;
  private readonly map: BlockMapBuilder;
  private readonly memory: ChunkMemory;
  private readonly jobs: ChunkJobs;
  private readonly cache: MapCache | null;
  /** The map that was kept, to be confirmed; null when there is none. */
  private readonly kept: BlockMap | null;
  private readonly reader: ChunkReader;
  private readonly watch: ImageWatch;
  private readonly freeTrains: Buffer[] = [];
  private readonly startedMs = now();
  private line!: ServerLine;
  private session!: ServerSession;
  private answers!: RunningAnswers;
  private stall!: StallWatch;
  private hasHeard = false;
  private desk: ServerDesk | null = null;
  private readonly alarm = new Alarm(() => this.pump());
  private isPumpQueued = false;
  /** What a send that ends at once makes possible is done in the same turn. */
  private isPumping = false;
  private isClosed = false;
  private isSourceChanged = false;
  private isEnding = false;
  private progressTimer: NodeJS.Timeout | undefined;
  private readonly closing = new AbortController();
  private settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  constructor(
    options: ServerOptions,
    observe: (event: ServerEvent) => void,
    image: ServedImage,
    chosen: ChosenInterface,
    digestOf: Digest,
    secret: Buffer | null,
  ) {
    this.sealing = secret === null ? null : newSealing(this.sessionId, secret);
    this.options = options;
    this.observe = (event) => {
      this.desk?.note(event);
      observe(event);
    };
    this.image = image;
    this.chosen = chosen;
    this.blockSize = blockSizeFor(options.mtu, chosen, options.group);
    const geometry = new Geometry(image.sizeBytes, chunkSizeFor(image.sizeBytes));
    this.cache = options.cache ? image.mapCache(geometry) : null;
    const kept = this.cache?.load(geometry, digestOf) ?? null;
    this.kept = kept;
    this.map =
      kept === null ? new BlockMapBuilder(geometry, digestOf) : BlockMapBuilder.of(kept, digestOf);
    if (image.used !== null) noteFree(this.map, image.used);
    this.watch = image.watch((failure) => this.sourceChanged(failure));
    this.memory = new ChunkMemory(CHUNK_SLOTS + image.ownSlots, geometry.chunkSizeBytes);
    this.jobs = new ChunkJobs(this.memory, digestOf, READS);
    const chunkKey = this.sealing?.chunkKey ?? null;
    this.reader = image.reader(this.jobs, this.memory, geometry, chunkKey);
    for (let i = 0; i < TRAIN_BUFFERS; i++) {
      this.freeTrains.push(Buffer.allocUnsafeSlow(TRAIN_BUFFER_BYTES));
    }
  }

  async open(): Promise<void> {
    const { group, port, serverPort } = this.options;
    const chosen = this.chosen;
    const engine = (await loadZstd())?.kind ?? null;
    const cores = new IdleCores(now());
    const own = new OwnAddresses();
    const line = await ServerLine.open(
      this.options,
      chosen,
      this.blockSize + BLOCK_HEADER_BYTES,
      (text) => this.observe({ type: 'notice', text }),
    );
    this.line = line;
    const session = this.sessionId;
    const packetBytes = this.blockSize + BLOCK_HEADER_BYTES;
    const { name, path, sizeBytes } = this.image;
    const words = { session, name, imageSize: sizeBytes, group, port, packetBytes };
    this.answers = new RunningAnswers(line, wordsOf(words, this.sealing !== null));
    this.session = new ServerSession({
      session,
      sealing: this.sealing,
      name,
      sectorSizeBytes: this.image.sectorSizeBytes,
      streamAddress: () => line.streamAddress,
      group,
      port,
      serverPort,
      blockSize: this.blockSize,
      map: this.map,
      slots: this.memory.slots.slice(0, CHUNK_SLOTS),
      mostTrainBytes: line.sender.mostTrainBytes,
      gathers: line.sender.gathers,
      ceilingBytesPerMs: (this.options.rateBitsPerSecond ?? Number.POSITIVE_INFINITY) / 8000,
      delayMs: this.options.delayMs,
      waitForSlow: this.options.slowClients === 'wait',
      start: startRulesOf(this.options, now()),
      compression: {
        setting: this.options.compression,
        engine,
        linkBytesPerMs: linkBytesPerMs(chosen.label),
      },
      readers: () => this.jobs.workerCount,
      idleCores: (at) => cores.count(at),
      isOwnAddress: (address) => own.has(address),
    });
    const { chunkCount } = this.map.geometry;
    this.desk = new ServerDesk(this.options, {
      session: this.session,
      image: { name, path, sizeBytes, chunkCount, mapId: null },
      observe: this.observe,
      wake: () => this.queuePump(),
      onOver: () => setTimeout(() => this.end(), LINGER_MS),
      onStop: () => this.end(),
    });
    this.observe({
      type: 'serving',
      path,
      name,
      sizeBytes,
      group,
      port,
      serverPort,
      interface: chosen.label,
      blockSizeBytes: this.blockSize,
      ceilingBitsPerSecond: this.options.rateBitsPerSecond ?? null,
      transport: line.sender.transport,
    });
    debug('%s, blocks of %d bytes', line.sender.transport, this.blockSize);
    await this.desk.open();
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true, signal: this.closing.signal });
      if (signal.aborted) reject(signal.reason);
      this.line.listen((bytes, from) => {
        if (this.answers.take(bytes, from)) return;
        this.hasHeard = true;
        this.session.handleDatagram(bytes, from, now());
        this.queuePump();
      });
      this.stall = watchServer(this.options, (text) => this.observe({ type: 'notice', text }));
      this.stall.begin();
      this.progressTimer = setInterval(() => this.reportProgress(), PROGRESS_MS);
      searchHoles(
        this.map,
        this.image.extents,
        () => this.isClosed || this.isSourceChanged,
        () => {
          this.session.beginPreparing();
          this.queuePump();
        },
      );
      this.pump();
    });
  }

  /** Many things may happen in one turn of the event loop: one pump after them is enough. */
  private queuePump(): void {
    if (this.isPumpQueued) return;
    this.isPumpQueued = true;
    setImmediate(() => {
      this.isPumpQueued = false;
      this.pump();
    });
  }

  /** Carries out what the machine wants, until it wants nothing for now. */
  private pump(): void {
    if (this.isClosed) return;
    this.isPumping = true;
    for (;;) {
      const at = now();
      const train = this.hasRoom ? this.freeTrains.at(-1)! : null;
      const output = this.session.pollOutput(at, train);
      switch (output.kind) {
        case 'read':
          this.read(output);
          break;
        case 'transmit':
          this.send(output, train!);
          break;
        case 'source-changed':
          this.watch.changed(output.what);
          break;
        case 'map-complete':
          this.mapComplete();
          break;
        case 'event':
          this.observe(output.event);
          break;
        case 'wait':
          this.isPumping = false;
          // Without room, the end of a send wakes us as well.
          this.alarm.set(output.untilMs, at);
          return;
      }
    }
  }

  /** Whether another train could be packed and sent. */
  private get hasRoom(): boolean {
    return this.freeTrains.length > 0 && !this.line.sender.isBusy;
  }

  /** @param train the last of the free ones, in which the packets lie */
  private send({ length, packetBytes, to, payloads }: Transmit, train: Buffer): void {
    this.freeTrains.pop();
    const done = () => {
      this.freeTrains.push(train);
      if (!this.isPumping) this.queuePump();
    };
    if (to === null) this.line.sendToGroup({ bytes: train, length, packetBytes, payloads }, done);
    else this.line.answer(train, length, to, done);
  }

  private read(order: ReadOrder): void {
    this.reader.read(order, (result) => {
      if (this.isClosed) return;
      // What cannot be read of another source than this was is no place that cannot be read.
      if (result.kind === 'failed' && !this.watch.isUnchanged()) return;
      this.session.handleRead(order, outcomeOf(result), now());
      this.queuePump();
    });
  }

  private mapComplete(): void {
    // A map of what was partly this and partly that image would be nobody's.
    if (!this.watch.mapped()) return;
    const map = this.map.finish();
    const isConfirmed = this.kept?.id.equals(map.id) ?? false;
    const tell = (text: string): void => this.observe({ type: 'notice', text });
    this.session.setMap(map, now(), this.image.statement(map, tell));
    this.desk?.begin(map.id.toString('hex'));
    this.observe({
      type: 'prepared',
      mapId: map.id.toString('hex'),
      elapsedMs: now() - this.startedMs,
      fromCache: isConfirmed,
    });
    if (!isConfirmed) this.keepMap(map);
    this.queuePump();
  }

  /** A map that cannot be kept is made anew next time; no more is lost. */
  private keepMap(map: BlockMap): void {
    const cache = this.cache;
    cache?.save(map).then((trouble) => {
      if (trouble !== null) debug('%s is not kept: %s', cache.path, trouble);
    });
  }

  /** What was sent may be part of this image or of that: nobody may go on. */
  private sourceChanged(failure: Failure): void {
    this.isSourceChanged = true;
    // A kept map that is not this image's must not end the next run as well.
    if (this.kept !== null) this.cache?.remove();
    let notices = 0;
    const tell = (): void => {
      if (notices++ === LAST_NOTICES) {
        this.settle?.reject(failure);
        return;
      }
      this.session?.notify(NoticeCode.sourceChanged, 0, 0, failure.message);
      this.queuePump();
      setTimeout(tell, LAST_NOTICE_INTERVAL_MS);
    };
    tell();
  }

  private reportProgress(): void {
    this.stall.note(this.hasHeard || this.session.fleet.underWayCount(now()) === 0);
    this.hasHeard = false;
    const { knownCount, geometry, isComplete } = this.map;
    if (!isComplete) this.observe({ type: 'preparing', ratio: knownCount / geometry.chunkCount });
    this.observe({ type: 'progress', progress: this.session.progress(now()) });
  }

  private end(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.desk?.recordLeft();
    this.tellUnfinished();
    const progress = this.session.progress(now());
    const { wireBytes } = progress;
    const imageBytes = this.image.sizeBytes;
    this.observe({
      type: 'ended',
      progress,
      doneCount: this.session.doneCount,
      elapsedMs: now() - this.startedMs,
      imageBytes,
      wireBytes,
      ratio: wireBytes > 0 ? imageBytes / wireBytes : null,
    });
    const failure = this.desk?.failure() ?? null;
    if (failure === null) this.settle?.resolve();
    else this.settle?.reject(failure);
  }

  private tellUnfinished(): void {
    const clients = this.session?.fleet.underWay(now()) ?? [];
    if (clients.length > 0) this.observe({ type: 'unfinished', clients });
    const members = this.session?.fleet.takers(now()) ?? [];
    if (members.length > 0) this.observe({ type: 'summary', clients: members });
    this.desk?.tellExpected();
  }

  /** Tells clients that are not done that nothing more will come. */
  private async sayGoodbye(): Promise<void> {
    const notice = this.session?.goodbye(now());
    if (notice === null || notice === undefined) return;
    const { length } = notice;
    const goodbye = { bytes: notice, length, packetBytes: length, payloads: null };
    await new Promise((resolve) => this.line.sender.send(goodbye, resolve));
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.closing.abort();
    if (!this.isEnding) this.tellUnfinished();
    this.desk?.close();
    this.watch.close();
    this.alarm.clear();
    clearInterval(this.progressTimer);
    this.line?.stopListening();
    await this.sayGoodbye();
    this.line?.close();
    await this.jobs.close();
  }
}
