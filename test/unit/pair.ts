/** One server and one client, both real machines, on a network without faults and a disk in memory. */
import assert from 'node:assert/strict';
import type { ClientProgress } from '../../src/client/events.js';
import { ClientSession, type Target } from '../../src/client/session.js';
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
  readonly #geometry: Geometry;
  readonly #map: BlockMapBuilder;
  readonly #options: PairOptions;
  readonly #serverSlots: Buffer[];
  readonly #clientSlots: Buffer[];
  readonly #train = Buffer.alloc(65_536);
  #isPreparing = false;
  #hasBegun = false;

  constructor(image: Buffer, disk: Buffer, options: PairOptions = {}) {
    this.image = image;
    this.disk = disk;
    this.#options = options;
    this.#geometry = new Geometry(image.length, CHUNK_BYTES);
    this.#map = new BlockMapBuilder(this.#geometry, digestOf);
    this.#serverSlots = slots(16);
    this.#clientSlots = slots(32);
    this.server = new ServerSession({
      session: 7n,
      name: 'disk.img',
      group: GROUP,
      port: GROUP_PORT,
      serverPort: SERVER.port,
      blockSize: BLOCK_BYTES,
      map: this.#map,
      slots: this.#serverSlots,
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
      this.#step();
    }
  }

  #step(): void {
    this.now += STEP_MS;
    this.#prepare();
    this.#serve();
    this.#receive();
  }

  /** The map is made in an instant, as late as the test wants it. */
  #prepare(): void {
    const { preparedMs = 0 } = this.#options;
    if (this.#isPreparing || this.now < 1000 + preparedMs) return;
    this.#isPreparing = true;
    this.server.beginPreparing();
  }

  #bytesOf(from: Buffer, first: number, count: number): Buffer {
    return from.subarray(first * CHUNK_BYTES, (first + count) * CHUNK_BYTES);
  }

  #serve(): void {
    for (;;) {
      const output = this.server.pollOutput(this.now, this.#train);
      if (output.kind === 'wait') break;
      if (output.kind === 'read') {
        this.server.handleRead(output, this.#outcomeOf(output), this.now);
      } else if (output.kind === 'map-complete') {
        this.server.setMap(this.#map.finish(), this.now);
      } else if (output.kind === 'transmit') {
        this.#deliver(output);
      }
    }
    this.blocksSent = this.server.progress(this.now).blocksSent;
  }

  #outcomeOf({ chunk, slot }: ReadOrder): ReadOutcome {
    if (this.#options.unreadable?.includes(chunk)) return { kind: 'failed', reason: 'EIO' };
    const bytes = this.#bytesOf(this.image, chunk, 1);
    if (isZero(bytes)) return { kind: 'zero' };
    if (slot >= 0) bytes.copy(this.#serverSlots[slot]!);
    const digest = digestOf(bytes);
    return { kind: 'data', digest, encodedLength: bytes.length, encoding: 0, variant: 0 };
  }

  #deliver({ length, to }: Transmit): void {
    if (to === null) this.client.handleGroup(this.#train, 0, length, true, this.now);
    else if (to.port === CLIENT.port) {
      const bytes = Buffer.from(this.#train.subarray(0, length));
      this.client.handleUnicast(bytes, SERVER.address, SERVER.port, this.now);
    }
  }

  #receive(): void {
    const { client } = this;
    if (this.now >= client.nextDeadline()) client.handleTimeout(this.now);
    if (client.failure === null && client.description !== null && !this.#hasBegun) {
      this.#hasBegun = true;
      const { isBlank = false, ...rest } = this.#options;
      const fixed = { slots: this.#clientSlots, receiveBufferBytes: 1_000_000 };
      client.begin({ ...rest, ...fixed, isBlank }, this.now);
    }
    this.#doOrders();
    for (let out = client.pollTransmit(); out !== null; out = client.pollTransmit()) {
      this.server.handleDatagram(out.bytes, CLIENT, this.now);
    }
  }

  #doOrders(): void {
    const { client } = this;
    for (let order = client.pollStore(); order !== null; order = client.pollStore()) {
      if (order.kind === 'zeros') {
        this.disk.fill(0, order.offsetBytes, order.offsetBytes + order.lengthBytes);
        for (let i = 0; i < order.count; i++) this.written.push(order.first + i);
        client.handleStored(order, { kind: 'stored', digest: new Uint8Array(0) }, this.now);
        continue;
      }
      const bytes = this.#clientSlots[order.slot]!.subarray(0, order.lengthBytes);
      bytes.copy(this.disk, order.offsetBytes);
      this.written.push(order.chunk);
      client.handleStored(order, { kind: 'stored', digest: digestOf(bytes) }, this.now);
    }
    for (let order = client.pollCheck(); order !== null; order = client.pollCheck()) {
      this.looks += order.count;
      const rotten = order.isDirect ? this.rotten.get(order.first) : undefined;
      const end = order.offsetBytes + order.lengthBytes;
      const bytes = rotten ?? this.disk.subarray(order.offsetBytes, end);
      const digest = isZero(bytes) ? null : digestOf(bytes);
      client.handleChecked(order, { kind: 'found', digest }, this.now);
    }
  }
}

function slots(count: number): Buffer[] {
  return Array.from({ length: count }, () => Buffer.alloc(CHUNK_BYTES));
}
