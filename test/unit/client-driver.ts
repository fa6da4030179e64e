/** Drives a client's machine as a real driver would, with a small disk in memory and a clock by hand. */
import assert from 'node:assert/strict';
import type { StoreOrder } from '../../src/client/receiver.js';
import { type ClientConfig, ClientSession, type Target } from '../../src/client/session.js';
import type { BlockMap } from '../../src/image/block-map.js';
import {
  BLOCK_HEADER_BYTES,
  Encoding,
  type EncodingId,
  Space,
  type SpaceId,
} from '../../src/protocol/block.js';
import {
  type BlockRequest,
  decodeBlockRequest,
  decodeMapRequest,
  decodeReport,
  type Report,
} from '../../src/protocol/from-client.js';
import {
  encodeImageDescription,
  encodeStatus,
  type ImageDescription,
  type Status,
} from '../../src/protocol/from-server.js';
import { PacketType, packetType } from '../../src/protocol/packet.js';
import { digestOf } from '../digest.js';
import { writeBlockHeader } from './block-header.js';
import { BLOCK_SIZE, CHUNK_SIZE, CLIENT, SESSION } from './server-driver.js';

export const SERVER = { address: '10.0.0.1', port: 7500 };
export const GROUP = '239.255.76.67';

export interface ClientDriverOptions {
  chunks: number;
  config?: Partial<ClientConfig>;
  target?: Partial<Target>;
  slotCount?: number;
}

/** What the client sent, sorted. */
export interface Outgoing {
  mapRequests: number;
  blockRequests: BlockRequest[];
  reports: Report[];
}

export class ClientDriver {
  readonly session: ClientSession;
  readonly disk: Buffer;
  now = 0;
  /** Position of the server's next packet. */
  position = 1;
  /** Store orders that have not been carried out. */
  readonly orders: StoreOrder[] = [];
  readonly #options: ClientDriverOptions;
  readonly #slots: Buffer[];

  constructor(options: ClientDriverOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.slotCount ?? 8 }, () => Buffer.alloc(CHUNK_SIZE));
    this.disk = Buffer.alloc(options.chunks * CHUNK_SIZE);
    this.session = new ClientSession(
      {
        client: CLIENT,
        machine: 1n,
        host: 'pc',
        wantedName: undefined,
        group: GROUP,
        port: 9000,
        timeoutMs: 1000,
        giveUpMs: Number.POSITIVE_INFINITY,
        digest: digestOf,
        random: () => 0.5,
        ...options.config,
      },
      0,
    );
  }

  describe(numbers: Partial<ImageDescription> = {}): Buffer {
    return encodeImageDescription({
      session: SESSION,
      client: CLIENT,
      imageSize: this.#options.chunks * CHUNK_SIZE,
      chunkSize: CHUNK_SIZE,
      blockSize: BLOCK_SIZE,
      mapId: null,
      group: GROUP,
      port: 9000,
      otherSessions: 0,
      position: this.position,
      sectorSizeBytes: 0,
      streamAddress: '',
      requestWindowMs: 0,
      reportIntervalMs: 20,
      name: 'disk.img',
      ...numbers,
    });
  }

  /** The server's answer to a map request. */
  answer(numbers: Partial<ImageDescription> = {}, server = SERVER): void {
    this.session.handleUnicast(this.describe(numbers), server.address, server.port, this.now);
  }

  begin(): void {
    this.session.begin(
      {
        slots: this.#slots,
        isBlank: true,
        receiveBufferBytes: 1_000_000,
        ...this.#options.target,
      },
      this.now,
    );
  }

  /** Finds the server, opens the target, and lets the first requests pass. */
  join(numbers: Partial<ImageDescription> = {}): void {
    this.run(1);
    this.answer(numbers);
    this.begin();
    this.run(20);
  }

  /** Packets, back to back, from the group. They are the server's: a client that follows another sees so. */
  group(bytes: Buffer, isFromServer = this.session.serverAddress === SERVER.address): void {
    this.session.handleGroup(bytes, 0, bytes.length, isFromServer, this.now);
  }

  status(numbers: Partial<Status>): void {
    this.group(
      encodeStatus({
        session: SESSION,
        position: this.position,
        cursor: 0,
        pendingChunks: 0,
        isIdle: true,
        mapId: null,
        reportIntervalMs: 20,
        requestWindowMs: 0,
        joinWindowMs: 0,
        sentinels: [],
        ...numbers,
      }),
    );
  }

  /** One block of something that travels as `bytes`. */
  block(bytes: Buffer, block: number, kind: Partial<BlockKind>): Buffer {
    const { space = Space.image, chunk = 0, encoding = Encoding.raw, variant = 0 } = kind;
    const payload = bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
    const packet = Buffer.alloc(BLOCK_HEADER_BYTES + payload.length);
    const position = this.position++;
    const header = { session: SESSION, chunk, block, position, encodedLength: bytes.length };
    writeBlockHeader(packet, 0, { ...header, space, encoding, variant }, payload.length);
    payload.copy(packet, BLOCK_HEADER_BYTES);
    return packet;
  }

  /** Sends all blocks of a chunk, or of part of the map. */
  send(chunk: number, bytes: Buffer, space: SpaceId = Space.image): void {
    for (let block = 0; block * BLOCK_SIZE < bytes.length; block++) {
      this.group(this.block(bytes, block, { space, chunk }));
    }
  }

  sendMap(map: BlockMap): void {
    this.send(0, map.root, Space.mapRoot);
    for (let page = 0; page < map.geometry.pageCount; page++) {
      const bytes = map.page(page);
      if (bytes !== null) this.send(page, bytes, Space.mapPage);
    }
  }

  /** Carries out the store orders that are there. */
  store(): void {
    this.collectOrders();
    for (const order of this.orders.splice(0)) this.carryOut(order);
  }

  collectOrders(): void {
    for (let order = this.session.pollStore(); order !== null; order = this.session.pollStore()) {
      this.orders.push(order);
    }
  }

  carryOut(order: StoreOrder): void {
    if (order.kind === 'zeros') {
      this.disk.fill(0, order.offsetBytes, order.offsetBytes + order.lengthBytes);
      this.session.handleStored(order, { kind: 'stored', digest: Buffer.alloc(0) }, this.now);
      return;
    }
    const bytes = this.#slots[order.slot]!.subarray(0, order.lengthBytes);
    const digest = digestOf(bytes);
    if (order.encoding !== Encoding.raw || (order.expected && !order.expected.equals(digest))) {
      this.session.handleStored(order, { kind: 'refused' }, this.now);
      return;
    }
    bytes.copy(this.disk, order.offsetBytes);
    this.session.handleStored(order, { kind: 'stored', digest }, this.now);
  }

  /** Carries out the looks at the target that are due. @returns how many chunks were looked at */
  look(isReadable: (chunk: number) => boolean = () => true): number {
    let looked = 0;
    const { session } = this;
    for (let order = session.pollCheck(); order !== null; order = session.pollCheck()) {
      looked += order.count;
      const end = order.offsetBytes + order.lengthBytes;
      const bytes = this.disk.subarray(order.offsetBytes, end);
      const digest = bytes.some((byte) => byte !== 0) ? digestOf(bytes) : null;
      const isFound = isReadable(order.first);
      const outcome = isFound
        ? ({ kind: 'found', digest } as const)
        : { kind: 'unreadable' as const };
      session.handleChecked(order, outcome, this.now);
    }
    return looked;
  }

  /** Lets time pass. @returns what the client sent meanwhile */
  run(forMs: number): Outgoing {
    const out: Outgoing = { mapRequests: 0, blockRequests: [], reports: [] };
    const { session } = this;
    const endMs = this.now + forMs;
    for (; this.now < endMs; this.now++) {
      if (session.nextDeadline() <= this.now) session.handleTimeout(this.now);
      for (let sent = session.pollTransmit(); sent !== null; sent = session.pollTransmit()) {
        this.#sort(sent.bytes, out);
      }
    }
    return out;
  }

  #sort(bytes: Buffer, out: Outgoing): void {
    const type = packetType(bytes, 0);
    if (type === PacketType.mapRequest) {
      assert.equal(decodeMapRequest(bytes)?.client, CLIENT);
      out.mapRequests++;
    } else if (type === PacketType.report) {
      out.reports.push(decodeReport(bytes)!);
    } else {
      out.blockRequests.push(decodeBlockRequest(bytes)!);
    }
  }
}

interface BlockKind {
  space: SpaceId;
  chunk: number;
  encoding: EncodingId;
  variant: number;
}

/** The chunks that requests for the image ask for as a whole. */
export function chunksAsked(requests: readonly BlockRequest[]): number[] {
  const asked = new Set<number>();
  for (const { space, ranges } of requests) {
    if (space !== Space.image) continue;
    for (const { first, count } of ranges) {
      for (let chunk = first; chunk < first + count; chunk++) asked.add(chunk);
    }
  }
  return [...asked].sort((a, b) => a - b);
}
