/**
 * Drives a server's machine as a real driver would, with a small image in memory and a clock by
 * hand.
 */

import assert from 'node:assert/strict';
import { type BlockMap, BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import type { Address } from '../../src/protocol/address.js';
import { blockOf, chunkOf, kindByteOf, spaceOfKind } from '../../src/protocol/block.js';
import {
  type BlockRequest,
  ClientState,
  encodeBlockRequest,
  encodeMapRequest,
  encodeReport,
  type Report,
} from '../../src/protocol/from-client.js';
import {
  PacketType,
  type PacketTypeName,
  packetLength,
  packetType,
} from '../../src/protocol/packet.js';
import type { ServerConfig } from '../../src/server/config.js';
import type { ServerEvent } from '../../src/server/events.js';
import type { ReadOrder, ReadOutcome, Transmit } from '../../src/server/outputs.js';
import { ServerSession } from '../../src/server/session.js';
import { digestOf } from '../digest.js';

export const SESSION = 0x1122334455667788n;
export const CLIENT = 5n;
export const PEER: Address = { address: '10.0.0.5', port: 40_000 };
export const CHUNK_SIZE = 64;
export const BLOCK_SIZE = 16;
export const BLOCKS_PER_CHUNK = CHUNK_SIZE / BLOCK_SIZE;
const GROUP = '239.255.76.67';

/** What a data chunk holds. */
export function contentOf(chunk: number): Buffer {
  const bytes = Buffer.alloc(CHUNK_SIZE, 0x5a);
  bytes.writeUInt32BE(chunk);
  return bytes;
}

/** The block map of an image of such chunks. */
export function mapOf(chunks: number, zeros: readonly number[] = []): BlockMap {
  const builder = new BlockMapBuilder(new Geometry(chunks * CHUNK_SIZE, CHUNK_SIZE), digestOf);
  for (let chunk = 0; chunk < chunks; chunk++) {
    if (zeros.includes(chunk)) builder.setZero(chunk);
    else builder.setData(chunk, digestOf(contentOf(chunk)));
  }
  return builder.finish();
}

export interface Sent {
  atMs: number;
  /** Null: the group. */
  to: Address | null;
  type: PacketTypeName;
  bytes: Buffer;
}

export interface DriverOptions extends Partial<ServerConfig> {
  chunks: number;
  slotCount?: number;
  /** Chunks that read as zeros. */
  zeros?: readonly number[];
  /** Chunks that can't be read. */
  broken?: readonly number[];
  readMs?: number;
}

export class ServerDriver {
  readonly session: ServerSession;
  readonly map: BlockMapBuilder;
  readonly events: ServerEvent[] = [];
  now = 0;
  private sent: Sent[] = [];
  private readonly options: DriverOptions;
  private readonly slots: Buffer[];
  private readonly reads: { order: ReadOrder; dueMs: number }[] = [];
  private readonly out = Buffer.alloc(65_536);

  constructor(options: DriverOptions) {
    this.options = options;
    this.map = new BlockMapBuilder(new Geometry(options.chunks * CHUNK_SIZE, CHUNK_SIZE), digestOf);
    const slotCount = options.slotCount ?? 96;
    this.slots = Array.from({ length: slotCount }, () => Buffer.alloc(CHUNK_SIZE));
    this.session = new ServerSession({
      session: SESSION,
      name: 'disk.img',
      group: GROUP,
      port: 9000,
      serverPort: 18_222,
      blockSize: BLOCK_SIZE,
      map: this.map,
      slots: this.slots,
      mostTrainBytes: 600,
      ceilingBytesPerMs: Number.POSITIVE_INFINITY,
      delayMs: 0,
      waitForSlow: false,
      compression: { setting: 'off', engine: null, linkBytesPerMs: null },
      readers: () => 0,
      idleCores: () => 0,
      ...options,
    });
  }

  /** The block map is prepared in full. */
  prepare(): void {
    const zeros = new Set(this.options.zeros);
    for (let chunk = 0; chunk < this.options.chunks; chunk++) {
      if (zeros.has(chunk)) this.map.setZero(chunk);
      else this.map.setData(chunk, digestOf(contentOf(chunk)));
    }
    this.session.setMap(this.map.finish(), this.now);
  }

  /** Hands over a datagram; what it causes goes out with the next `run`. */
  handle(bytes: Buffer, from = PEER): void {
    this.session.handleDatagram(bytes, from, this.now);
  }

  join(client = CLIENT, from = PEER): void {
    this.handle(
      encodeMapRequest({ client, machine: client, isServer: false, host: `host-${client}` }),
      from,
    );
  }

  ask(request: Partial<BlockRequest>, from = PEER): void {
    const base = { session: SESSION, client: CLIENT, asOfPosition: 1, space: 0 as const };
    this.handle(encodeBlockRequest({ ...base, ranges: [], halves: [], ...request }), from);
  }

  report(numbers: Partial<Report>, from = PEER): void {
    const isDone = numbers.state === ClientState.done;
    this.handle(
      encodeReport({
        session: SESSION,
        client: CLIENT,
        position: 1,
        packetsReceived: 0,
        packetsLost: 0,
        clockUs: (this.now * 1000) >>> 0,
        missingChunks: isDone ? 0 : 1,
        provenChunks: isDone ? this.map.geometry.chunkCount : 0,
        receiveBufferBytes: 1_000_000,
        state: ClientState.receiving,
        ...numbers,
      }),
      from,
    );
  }

  /** Lets time pass. @returns what was sent meanwhile, trains cut into packets */
  run(forMs: number): Sent[] {
    const endMs = this.now + forMs;
    for (; this.now < endMs; this.now++) {
      this.pump();
      // Disks are never so fast that a read is done in the turn that ordered it.
      for (const read of this.reads.splice(0)) {
        if (read.dueMs > this.now) this.reads.push(read);
        else this.session.handleRead(read.order, this.outcomeOf(read.order), this.now);
      }
    }
    const sent = this.sent;
    this.sent = [];
    return sent;
  }

  private pump(): void {
    const { session, events } = this;
    for (;;) {
      const output = session.pollOutput(this.now, this.out);
      if (output.kind === 'wait') return;
      if (output.kind === 'read') {
        this.reads.push({ order: output, dueMs: this.now + (this.options.readMs ?? 0) });
      } else if (output.kind === 'transmit') {
        this.noteAll(output);
      } else if (output.kind === 'event') {
        // How chunks are compressed is the first that every server says.
        if (output.event.type !== 'compression') events.push(output.event);
      }
    }
  }

  private noteAll({ length, packetBytes, to }: Transmit): void {
    for (let at = 0; at < length; ) {
      const bytes = packetLength(this.out, at, length);
      assert.equal(bytes, Math.min(packetBytes, length - at), 'where the kernel cuts it');
      this.note(Buffer.from(this.out.subarray(at, at + bytes)), to);
      at += bytes;
    }
  }

  private note(bytes: Buffer, to: Address | null): void {
    const number = packetType(bytes, 0);
    const [type] = Object.entries(PacketType).find(([, value]) => value === number)!;
    this.sent.push({ atMs: this.now, to, type: type as PacketTypeName, bytes });
  }

  private outcomeOf({ chunk, slot }: ReadOrder): ReadOutcome {
    const { zeros = [], broken = [] } = this.options;
    if (broken.includes(chunk)) return { kind: 'failed', reason: 'EIO' };
    if (zeros.includes(chunk)) return { kind: 'zero' };
    const bytes = contentOf(chunk);
    bytes.copy(this.slots[slot]!);
    const digest = digestOf(bytes);
    return { kind: 'data', digest, encodedLength: CHUNK_SIZE, encoding: 0, variant: 0 };
  }
}

/** Blocks of one space that were sent, as "chunk/block", in order. */
export function blocksOf(sent: readonly Sent[], space = 0): string[] {
  return sent
    .filter(({ type, bytes }) => type === 'block' && spaceOfKind(kindByteOf(bytes, 0)) === space)
    .map(({ bytes }) => `${chunkOf(bytes, 0)}/${blockOf(bytes, 0)}`);
}

/** All blocks of some chunks, in order. */
export const blocksOfChunks = (chunks: readonly number[]): string[] =>
  chunks.flatMap((chunk) =>
    Array.from({ length: BLOCKS_PER_CHUNK }, (_, block) => `${chunk}/${block}`),
  );
