/**
 * Drives a client's machine as a real driver would, with a small disk in memory and a clock by
 * hand.
 */
import assert from 'node:assert/strict';
import type { ClientConfig } from '../../src/client/config.js';
import type { ClientEvent } from '../../src/client/events.js';
import type { CheckOrder, ClientStep, StoreOrder, Target } from '../../src/client/outputs.js';
import { ClientSession } from '../../src/client/session.js';
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
import type { Run } from '../../src/protocol/run.js';
import { decodeStatementRequest } from '../../src/protocol/statement-packets.js';
import { digestOf } from '../digest.js';
import { writeBlockHeader } from './block-header.js';
import { BLOCK_SIZE, CHUNK_SIZE, CLIENT, SESSION } from './server-driver.js';

export const SERVER = { address: '10.0.0.1', port: 7500 };
export const STRANGER = { address: '10.6.6.6', port: 666 };
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
  statementRequests: number;
  blockRequests: BlockRequest[];
  reports: Report[];
}

export class ClientDriver {
  readonly session: ClientSession;
  readonly disk: Buffer;
  now = 0;
  /** Who sends to the group, and in which session. */
  speaker = { ...SERVER, session: SESSION };
  /** Position of the server's next packet. */
  position = 1;
  /** Store orders that have not been carried out. */
  readonly orders: StoreOrder[] = [];
  /** The step of the run that the machine asked for last: the test takes it. */
  step: ClientStep['kind'] | null = null;
  /** Chunks that a comparison found to differ. */
  differing: readonly Run[] | null = null;
  private readonly checks: CheckOrder[] = [];
  private readonly events: ClientEvent[] = [];
  private readonly sent: Buffer[] = [];
  private isOver = false;
  private readonly options: ClientDriverOptions;
  private readonly slots: Buffer[];

  constructor(options: ClientDriverOptions) {
    this.options = options;
    this.slots = Array.from({ length: options.slotCount ?? 8 }, () => Buffer.alloc(CHUNK_SIZE));
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
      imageSize: this.options.chunks * CHUNK_SIZE,
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
    this.collect();
    this.session.handleOpened(
      {
        slots: this.slots,
        stashBytes: 1_000_000,
        isBlank: true,
        receiveBufferBytes: 1_000_000,
        ...this.options.target,
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

  /** Packets, back to back, from the group. */
  group(bytes: Buffer, from = this.speaker.address): void {
    this.session.handleGroup(bytes, 0, bytes.length, from, this.now);
  }

  status(numbers: Partial<Status>): void {
    this.group(
      encodeStatus({
        session: this.speaker.session,
        position: this.position,
        cursor: 0,
        pendingChunks: 0,
        isIdle: true,
        awaitedClients: null,
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
    const { session } = this.speaker;
    const header = { session, chunk, block, position, encodedLength: bytes.length };
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

  /** Takes what the machine wants, for the test to carry out. */
  collect(): void {
    for (;;) {
      const output = this.session.pollOutput(this.now);
      switch (output.kind) {
        case 'store':
        case 'load':
        case 'store-zeros':
          this.orders.push(output);
          break;
        case 'check':
          this.checks.push(output);
          break;
        case 'transmit':
          this.sent.push(output.bytes);
          break;
        case 'event':
          this.events.push(output.event);
          break;
        case 'wait':
          return;
        case 'end':
          assert.equal(output.failure, this.session.failure);
          this.isOver = true;
          return;
        default:
          this.step = output.kind;
          if (output.kind === 'compared') this.differing = output.differing;
      }
    }
  }

  /** The machine wants nothing any more. */
  get hasEnded(): boolean {
    this.collect();
    return this.isOver;
  }

  /** What the machine told since the last time. */
  takeEvents(): ClientEvent[] {
    this.collect();
    return this.events.splice(0);
  }

  /** Carries out the store orders that are there. */
  store(): void {
    this.collect();
    for (const order of this.orders.splice(0)) this.carryOut(order);
    this.collect();
  }

  carryOut(order: StoreOrder): void {
    if (order.kind === 'store-zeros') {
      this.disk.fill(0, order.offsetBytes, order.offsetBytes + order.lengthBytes);
      this.session.handleStored(order, { kind: 'stored', digest: Buffer.alloc(0) }, this.now);
      return;
    }
    const bytes = this.slots[order.slot]!.subarray(0, order.lengthBytes);
    if (order.kind === 'load') {
      this.disk.copy(bytes, 0, order.offsetBytes);
      this.session.handleStored(order, { kind: 'loaded' }, this.now);
      return;
    }
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
    for (this.collect(); this.checks.length > 0; this.collect()) {
      const order = this.checks.shift()!;
      looked += order.count;
      const end = order.offsetBytes + order.lengthBytes;
      const bytes = this.disk.subarray(order.offsetBytes, end);
      const digest = bytes.some((byte) => byte !== 0) ? digestOf(bytes) : null;
      const isFound = isReadable(order.first);
      const outcome = isFound
        ? ({ kind: 'found', digest } as const)
        : { kind: 'unreadable' as const };
      this.session.handleChecked(order, outcome, this.now);
    }
    return looked;
  }

  /** Lets time pass. @returns what the client sent meanwhile */
  run(forMs: number): Outgoing {
    const out: Outgoing = { mapRequests: 0, statementRequests: 0, blockRequests: [], reports: [] };
    const endMs = this.now + forMs;
    for (; this.now < endMs; this.now++) this.collect();
    for (const bytes of this.sent.splice(0)) this.sort(bytes, out);
    return out;
  }

  private sort(bytes: Buffer, out: Outgoing): void {
    const type = packetType(bytes, 0);
    if (type === PacketType.mapRequest) {
      assert.equal(decodeMapRequest(bytes)?.client, CLIENT);
      out.mapRequests++;
    } else if (type === PacketType.statementRequest) {
      assert.equal(decodeStatementRequest(bytes)?.client, CLIENT);
      out.statementRequests++;
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
