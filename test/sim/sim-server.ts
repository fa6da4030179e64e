/** Drives a real ServerSession as the server program does: reads, trains, timers, all virtual. */

import type { BlockMapBuilder } from '../../src/image/block-map.js';
import type { Address } from '../../src/protocol/address.js';
import { BLOCK_HEADER_BYTES, kindOf, Space } from '../../src/protocol/block.js';
import type { ServerEvent } from '../../src/server/events.js';
import type { ReadOrder, ReadOutcome, Transmit } from '../../src/server/outputs.js';
import { ServerSealing } from '../../src/server/sealing.js';
import { ServerSession } from '../../src/server/session.js';
import { parsePublicKey } from '../../src/trust/minisign.js';
import { SEAL_BYTES } from '../../src/trust/seal.js';
import { formatStatement } from '../../src/trust/statement.js';
import { Signer } from '../minisign.js';
import type { Agenda } from './agenda.js';
import { LEVELS, type SimImage } from './image.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';
import type { Witness } from './witness.js';

export const GROUP = '239.255.0.1';
export const GROUP_PORT = 9001;
export const SERVER_PORT = 9000;
/** What all share in a sealed world. */
export const SECRET = Buffer.alloc(32, 0x5e);
/** Who signs in a signed world, and by what all know it. */
const OWNER = new Signer(Buffer.alloc(32, 0x17), Buffer.from('sim keys'));
export const OWNER_KEY = parsePublicKey(OWNER.publicKeyLine)!;

/** Send positions to begin with: the first, and just before an edge of the numbers. */
const FIRST_POSITIONS = [1, 2 ** 31 - 500, 2 ** 32 - 500];

const TRAIN_BUFFERS = 16;
const TRAIN_PACKETS = 8;
/** Any control packet fits, however small the blocks. */
const MIN_TRAIN_BYTES = 4096;
const READERS = 3;
/** What the network card takes, in bytes per ms: 1 Gbit/s. */
const CARD_BYTES_PER_MS = 125_000;
/** Where real chunk memory would hold what a reader has not yet filled. */
const RUBBISH = 0xa5;
/** As small as there are worlds with. */
const MIN_BLOCK_BYTES = 24;
/** Timers that found their deadline passed when they were set, one after the other. */
const MAX_LATE_TIMERS = 400;

/** What carries a server's packets. */
export interface ServerWires {
  toGroup(train: Buffer, packetBytes: number, from: SimServer): void;
  toOne(bytes: Buffer, to: Address, from: SimServer): void;
  toServers(bytes: Buffer, from: SimServer): void;
}

export interface ServerContext {
  agenda: Agenda;
  random: Random;
  options: SimOptions;
  witness: Witness;
  wires: ServerWires;
}

export class SimServer {
  readonly port = SERVER_PORT;
  doneCount = 0;
  passes = 0;
  private sessionCount = 0;
  private blockSizeBytes = 0;
  private readonly context: ServerContext;
  /** What is read from now on is compressed at one of these levels. */
  levels: readonly number[];
  /** Chunks that the source cannot give, for now. */
  readonly unreadable = new Set<number>();
  private served: SimImage;
  private running: ServerSession | null = null;
  private sealing: ServerSealing | null = null;
  private map!: BlockMapBuilder;
  /** Time in which one chunk is read to learn what it is. */
  private preparingMs = 0;
  private slots: Buffer[] = [];
  private reading = new Set<number>();
  private readerFreeMs: number[] = [];
  private levelByChunk = new Map<number, number>();
  private freeTrains: Buffer[] = [];
  private isPumpQueued = false;
  private timerAtMs = Number.POSITIVE_INFINITY;
  private lateTimers = 0;

  constructor(
    readonly name: string,
    readonly address: string,
    image: SimImage,
    context: ServerContext,
  ) {
    this.served = image;
    this.context = context;
    this.levels = context.options.compress ? LEVELS : [0];
  }

  get session(): ServerSession | null {
    return this.running;
  }

  get image(): SimImage {
    return this.served;
  }

  /** Starts a new session. @param prepareMs how long the block map takes; 0 has it at once */
  start(prepareMs: number): void {
    const { options, random, agenda, witness } = this.context;
    const id = random.id();
    const { seed, chunkSizeBytes, serverSlots, rate, wait } = options;
    const isRegrained = options.regrain && this.sessionCount++ % 2 === 1;
    const smallBytes = Math.max(MIN_BLOCK_BYTES, Math.ceil(options.blockSizeBytes / 2));
    const blockSizeBytes = isRegrained ? smallBytes : options.blockSizeBytes;
    this.blockSizeBytes = blockSizeBytes;
    this.slots = Array.from({ length: serverSlots }, () =>
      Buffer.alloc(chunkSizeBytes + SEAL_BYTES, RUBBISH),
    );
    this.reading = new Set();
    this.readerFreeMs = new Array(READERS).fill(0);
    const mostTrainBytes = TRAIN_PACKETS * (blockSizeBytes + BLOCK_HEADER_BYTES);
    const bufferBytes = Math.max(mostTrainBytes, MIN_TRAIN_BYTES);
    this.freeTrains = Array.from({ length: TRAIN_BUFFERS }, () => Buffer.alloc(bufferBytes));
    this.levelByChunk = new Map();
    this.isPumpQueued = false;
    this.timerAtMs = Number.POSITIVE_INFINITY;
    this.map = prepareMs > 0 ? this.served.newMap() : this.served.wholeMap();
    this.running = new ServerSession({
      session: id,
      name: this.served.name,
      group: GROUP,
      port: GROUP_PORT,
      serverPort: SERVER_PORT,
      blockSize: blockSizeBytes,
      map: this.map,
      slots: this.slots,
      mostTrainBytes,
      ceilingBytesPerMs: rate / 8000,
      delayMs: 0,
      waitForSlow: wait,
      // In two worlds of three the numbers pass an edge within the first pass.
      firstPosition: FIRST_POSITIONS[seed % FIRST_POSITIONS.length]!,
      compression: { setting: 'auto', engine: 'wasm', linkBytesPerMs: null },
      readers: () => 1,
      sealing: this.newSealing(id),
      // A core that is always idle: how long a read takes sets the pace.
      idleCores: () => 1,
    });
    this.preparingMs = prepareMs / this.served.geometry.chunkCount;
    witness.note(this.name, `starts, serving ${this.served.name}`);
    this.running.beginPreparing();
    agenda.after(0, () => this.queuePump());
  }

  private newSealing(session: bigint): ServerSealing | null {
    this.sealing = null;
    const { options, random } = this.context;
    if (!options.sealed) return null;
    const bytes = (length: number) => random.fill(Buffer.alloc(length));
    const nonces = { answers: bytes(12), doorAnswers: bytes(12), doorRequests: bytes(12) };
    this.sealing = new ServerSealing(session, {
      secret: SECRET,
      streamSalt: bytes(16),
      nonces: { ...nonces, group: bytes(12) },
    });
    return this.sealing;
  }

  /** Stops, with a word to clients that still wait. */
  stop(): void {
    const { agenda, wires, witness } = this.context;
    const goodbye = this.running?.goodbye(agenda.now) ?? null;
    if (goodbye !== null) wires.toGroup(goodbye, goodbye.length, this);
    this.running = null;
    witness.note(this.name, 'stops');
  }

  /** Dies as by a power cut. */
  crash(): void {
    this.running = null;
    this.context.witness.note(this.name, 'crashes');
  }

  /** From the next start on, another image is served. */
  changeImage(image: SimImage): void {
    this.served = image;
  }

  take(bytes: Buffer, from: Address): void {
    const session = this.running;
    if (session === null) return;
    const { agenda, witness } = this.context;
    witness.guard(this.name, () => session.handleDatagram(bytes, from, agenda.now));
    this.queuePump();
  }

  private queuePump(): void {
    if (this.isPumpQueued || this.running === null) return;
    this.isPumpQueued = true;
    const session = this.running;
    this.context.agenda.after(0, () => {
      if (this.running !== session) return;
      this.isPumpQueued = false;
      this.context.witness.guard(this.name, () => this.pump(session));
    });
  }

  /** As the server program carries out what the machine wants. */
  private pump(session: ServerSession): void {
    const { agenda, witness } = this.context;
    for (;;) {
      const output = session.pollOutput(agenda.now, this.freeTrains.at(-1) ?? null);
      switch (output.kind) {
        case 'read':
          if (output.slot < 0) this.learn(session, output);
          else this.read(session, output);
          break;
        case 'transmit':
          this.send(session, output);
          break;
        case 'map-complete':
          this.setMap(session);
          break;
        case 'source-changed':
          witness.check(false, this.name, () => `the image ${output.what}`);
          break;
        case 'event':
          this.note(output.event);
          break;
        case 'wait':
          this.schedule(session, output.untilMs);
          return;
      }
    }
  }

  private setMap(session: ServerSession): void {
    const { agenda, options } = this.context;
    const map = this.map.finish();
    if (!options.signed) {
      session.setMap(map, agenda.now);
      return;
    }
    const { name, geometry } = this.served;
    const statement = formatStatement({
      name,
      sizeBytes: geometry.sizeBytes,
      chunkSizeBytes: geometry.chunkSizeBytes,
      mapId: map.id.toString('hex'),
      time: '2026-11-29T12:00:00Z',
    });
    const signature = Buffer.from(OWNER.sign(statement));
    session.setMap(map, agenda.now, { statement, signature });
  }

  private send(session: ServerSession, { length, packetBytes, to }: Transmit): void {
    const { agenda, wires, witness } = this.context;
    const buffer = this.freeTrains.pop()!;
    const train = Buffer.from(buffer.subarray(0, length));
    if (to === null) {
      witness.groupSent(this.name, session, train, this.served, this.blockSizeBytes);
      wires.toGroup(train, packetBytes, this);
    } else if (to.address === GROUP) {
      wires.toServers(train, this);
    } else {
      wires.toOne(train, to, this);
    }
    agenda.after(length / CARD_BYTES_PER_MS, () => {
      if (this.running !== session) return;
      buffer.fill(RUBBISH);
      this.freeTrains.push(buffer);
      this.queuePump();
    });
  }

  private note(event: ServerEvent): void {
    const { witness } = this.context;
    if (event.type === 'client-done') this.doneCount = event.doneCount;
    if (event.type === 'pass-begun') this.passes = event.pass;
    if ('client' in event) witness.note(this.name, `${event.type} ${event.client.host}`);
    else witness.note(this.name, event.type);
  }

  /** Reads a chunk only to learn what it is. */
  private learn(session: ServerSession, order: ReadOrder): void {
    const { agenda, witness } = this.context;
    agenda.after(this.preparingMs, () => {
      if (this.running !== session) return;
      witness.guard(this.name, () => session.handleRead(order, this.look(order), agenda.now));
      this.queuePump();
    });
  }

  private read(session: ServerSession, order: ReadOrder): void {
    const { slot } = order;
    const { agenda, random, witness } = this.context;
    witness.check(
      !this.reading.has(slot) && slot < this.slots.length,
      this.name,
      () => `slot ${slot} is to be read into twice at once`,
    );
    this.reading.add(slot);
    // If the slot were still in use, the next train would show it.
    const bytes = this.slots[slot]!.fill(RUBBISH);
    let reader = 0;
    for (let i = 1; i < READERS; i++) {
      if (this.readerFreeMs[i]! < this.readerFreeMs[reader]!) reader = i;
    }
    const doneMs = Math.max(agenda.now, this.readerFreeMs[reader]!) + random.between(0.1, 0.6);
    this.readerFreeMs[reader] = doneMs;
    agenda.at(doneMs, () => {
      if (this.running !== session) return;
      this.reading.delete(slot);
      const outcome = this.outcome(order, bytes);
      witness.guard(this.name, () => session.handleRead(order, outcome, agenda.now));
      this.queuePump();
    });
  }

  private look({ chunk }: ReadOrder): ReadOutcome {
    if (this.unreadable.has(chunk)) return { kind: 'failed', reason: 'a bad sector' };
    const image = this.served;
    if (image.isZero(chunk)) return { kind: 'zero' };
    const { length } = image.chunk(chunk);
    const digest = image.digestOf(chunk, image.chunk(chunk));
    return { kind: 'data', digest, encodedLength: length, encoding: 0, variant: 0 };
  }

  private outcome(order: ReadOrder, slot: Buffer): ReadOutcome {
    const outcome = this.look(order);
    if (outcome.kind !== 'data') return outcome;
    const { chunk, isRepeat } = order;
    // Any level may be chosen, but for a repeat: other blocks would not fit those that clients
    // hold.
    const before = isRepeat ? this.levelByChunk.get(chunk) : undefined;
    const level = before ?? this.context.random.pick(this.levels);
    this.levelByChunk.set(chunk, level);
    const { bytes, encoding, variant } = this.served.encode(chunk, level);
    bytes.copy(slot);
    const kindByte = kindOf(Space.image, encoding, variant);
    const encodedLength =
      this.sealing?.chunks.seal(slot, bytes.length, chunk, kindByte) ?? bytes.length;
    return { ...outcome, encodedLength, encoding, variant };
  }

  /** As the server program does it, with timers that are a whole ms and some late. */
  private schedule(session: ServerSession, deadline: number): void {
    const { agenda, random, witness } = this.context;
    if (deadline === this.timerAtMs) return;
    this.timerAtMs = deadline;
    if (deadline === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, Math.trunc(deadline - agenda.now));
    this.lateTimers = deadline <= agenda.now ? this.lateTimers + 1 : 0;
    witness.check(this.lateTimers < MAX_LATE_TIMERS, this.name, 'its deadline has always passed');
    agenda.after(delayMs + random.next() * 0.3, () => {
      if (this.running !== session || this.timerAtMs !== deadline) return;
      this.timerAtMs = Number.POSITIVE_INFINITY;
      witness.guard(this.name, () => this.pump(session));
    });
  }
}
