/**
 * One server and one client, both real machines, on a network without faults and a disk in memory.
 */
import assert from 'node:assert/strict';
import type { ClientProgress } from '../../src/client/events.js';
import type { CheckOrder, ClientStep, StoreOrder, Target } from '../../src/client/outputs.js';
import { ClientSession } from '../../src/client/session.js';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import type { ReadOrder, ReadOutcome, Transmit } from '../../src/server/outputs.js';
import { ServerSession } from '../../src/server/session.js';
import { digestOf } from '../digest.js';

export const CHUNK_BYTES = 1024;
const BLOCK_BYTES = 128;
const SERVER = { address: '10.0.0.1', port: 7500 };
const CLIENT = { address: '10.0.0.2', port: 40_000 };
const GROUP = '225.0.20.10';
const GROUP_PORT = 16_000;
const STEP_MS = 0.5;

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

/** An image of `chunks` chunks; those in `zeros` are zero, the others differ from each other. */
export function imageOf(chunks: number, zeros: readonly number[] = []): Buffer {
  const image = Buffer.alloc(chunks * CHUNK_BYTES - 100);
  for (let chunk = 0; chunk < chunks; chunk++) {
    if (zeros.includes(chunk)) continue;
    image.fill(
      `chunk ${chunk} `,
      chunk * CHUNK_BYTES,
      Math.min(image.length, (chunk + 1) * CHUNK_BYTES),
    );
  }
  return image;
}

export interface PairOptions extends Partial<Target> {
  /** Chunks that the server cannot read. */
  unreadable?: readonly number[];
  /** The map is known only after this time. */
  preparedMs?: number;
}

export class Pair {
  now = 1000;
  readonly client: ClientSession;
  readonly server: ServerSession;
  readonly image: Buffer;
  /** The target; write to it what it held before. */
  readonly disk: Buffer;
  /** Chunks written, in order. */
  readonly written: number[] = [];
  /** Chunks looked at. */
  looks = 0;
  /** What the disk gives back instead of what was written there, by chunk. */
  readonly rotten = new Map<number, Buffer>();
  blocksSent = 0;
  /** The step that the client asked for last: the test takes it, except for opening the target. */
  step: ClientStep['kind'] | null = null;
  private readonly geometry: Geometry;
  private readonly map: BlockMapBuilder;
  private readonly options: PairOptions;
  private readonly serverSlots: Buffer[];
  private readonly clientSlots: Buffer[];
  private readonly train = Buffer.alloc(65_536);
  private isPreparing = false;

  constructor(image: Buffer, disk: Buffer, options: PairOptions = {}) {
    this.image = image;
    this.disk = disk;
    this.options = options;
    this.geometry = new Geometry(image.length, CHUNK_BYTES);
    this.map = new BlockMapBuilder(this.geometry, digestOf);
    this.serverSlots = slots(16);
    this.clientSlots = slots(32);
    this.server = new ServerSession({
      session: 7n,
      name: 'disk.img',
      group: GROUP,
      port: GROUP_PORT,
      serverPort: SERVER.port,
      blockSize: BLOCK_BYTES,
      map: this.map,
      slots: this.serverSlots,
      mostTrainBytes: 2000,
      ceilingBytesPerMs: 1000,
      delayMs: 0,
      waitForSlow: false,
      compression: { setting: 'off', engine: null, linkBytesPerMs: null },
      readers: () => 1,
      idleCores: () => 1,
    });
    this.client = new ClientSession(
      {
        client: 9n,
        machine: 1n,
        host: 'pc',
        wantedName: undefined,
        group: GROUP,
        port: GROUP_PORT,
        timeoutMs: 1000,
        giveUpMs: Number.POSITIVE_INFINITY,
        digest: digestOf,
        random: () => 0.5,
      },
      this.now,
    );
  }

  get progress(): ClientProgress {
    return this.client.progress();
  }

  /** Goes on until `isOver`. */
  runUntil(isOver: () => boolean): void {
    for (let steps = 0; !isOver(); steps++) {
      assert.ok(steps < 40_000, `not over: ${JSON.stringify(this.progress)}`);
      this.advance();
    }
  }

  private advance(): void {
    this.now += STEP_MS;
    this.prepare();
    this.serve();
    this.receive();
  }

  /** The map is made in an instant, as late as the test wants it. */
  private prepare(): void {
    const { preparedMs = 0 } = this.options;
    if (this.isPreparing || this.now < 1000 + preparedMs) return;
    this.isPreparing = true;
    this.server.beginPreparing();
  }

  private bytesOf(from: Buffer, first: number, count: number): Buffer {
    return from.subarray(first * CHUNK_BYTES, (first + count) * CHUNK_BYTES);
  }

  private serve(): void {
    for (;;) {
      const output = this.server.pollOutput(this.now, this.train);
      if (output.kind === 'wait') break;
      if (output.kind === 'read') {
        this.server.handleRead(output, this.outcomeOf(output), this.now);
      } else if (output.kind === 'map-complete') {
        this.server.setMap(this.map.finish(), this.now);
      } else if (output.kind === 'transmit') {
        this.deliver(output);
      }
    }
    this.blocksSent = this.server.progress(this.now).blocksSent;
  }

  private outcomeOf({ chunk, slot }: ReadOrder): ReadOutcome {
    if (this.options.unreadable?.includes(chunk)) return { kind: 'failed', reason: 'EIO' };
    const bytes = this.bytesOf(this.image, chunk, 1);
    if (isZero(bytes)) return { kind: 'zero' };
    if (slot >= 0) bytes.copy(this.serverSlots[slot]!);
    const digest = digestOf(bytes);
    return { kind: 'data', digest, encodedLength: bytes.length, encoding: 0, variant: 0 };
  }

  private deliver({ length, to }: Transmit): void {
    if (to === null) this.client.handleGroup(this.train, 0, length, SERVER.address, this.now);
    else if (to.port === CLIENT.port) {
      const bytes = Buffer.from(this.train.subarray(0, length));
      this.client.handleUnicast(bytes, SERVER.address, SERVER.port, this.now);
    }
  }

  private receive(): void {
    const { client } = this;
    for (;;) {
      const output = client.pollOutput(this.now);
      switch (output.kind) {
        case 'store':
        case 'load':
        case 'store-zeros':
          this.store(output);
          break;
        case 'check':
          this.look(output);
          break;
        case 'transmit':
          this.server.handleDatagram(output.bytes, CLIENT, this.now);
          break;
        case 'open':
          this.open();
          break;
        case 'event':
          break;
        case 'wait':
        case 'end':
          return;
        default:
          this.step = output.kind;
      }
    }
  }

  private open(): void {
    const { isBlank = false, ...rest } = this.options;
    const memory = { slots: this.clientSlots, stashBytes: 1_000_000 };
    const fixed = { ...memory, receiveBufferBytes: 1_000_000, isBlank };
    this.client.handleOpened({ ...rest, ...fixed }, this.now);
  }

  private store(order: StoreOrder): void {
    const { client } = this;
    if (order.kind === 'store-zeros') {
      this.disk.fill(0, order.offsetBytes, order.offsetBytes + order.lengthBytes);
      for (let i = 0; i < order.count; i++) this.written.push(order.first + i);
      client.handleStored(order, { kind: 'stored', digest: new Uint8Array(0) }, this.now);
      return;
    }
    const bytes = this.clientSlots[order.slot]!.subarray(0, order.lengthBytes);
    if (order.kind === 'load') {
      this.disk.copy(bytes, 0, order.offsetBytes);
      client.handleStored(order, { kind: 'loaded' }, this.now);
      return;
    }
    bytes.copy(this.disk, order.offsetBytes);
    this.written.push(order.chunk);
    client.handleStored(order, { kind: 'stored', digest: digestOf(bytes) }, this.now);
  }

  private look(order: CheckOrder): void {
    this.looks += order.count;
    const rotten = order.isDirect ? this.rotten.get(order.first) : undefined;
    const end = order.offsetBytes + order.lengthBytes;
    const bytes = rotten ?? this.disk.subarray(order.offsetBytes, end);
    const digest = isZero(bytes) ? null : digestOf(bytes);
    this.client.handleChecked(order, { kind: 'found', digest }, this.now);
  }
}

function slots(count: number): Buffer[] {
  return Array.from({ length: count }, () => Buffer.alloc(CHUNK_BYTES));
}
