/**
 * Packets that a client sends to the server. Decoders take one whole packet (its length already
 * checked by `packetLength`) and return null for anything that does not fit to the last byte.
 */
import type { SpaceId } from './block.js';
import { SPACE_COUNT } from './block.js';
import { CHECK_BYTES, isAsWritten, writeCheck } from './check.js';
import { type ClientIdentity, decodeIdentity, encodeIdentity } from './identity.js';
import {
  HEADER_BYTES,
  MAX_CONTROL_PACKET_BYTES,
  PacketType,
  packetSession,
  writeHeader,
} from './packet.js';
import { areAscending, type Run } from './run.js';
import { readText, textBytes } from './text.js';

export interface MapRequest {
  /** Random id of one client process; of a server, its session. */
  client: bigint;
  /** Names the machine and its target: the same in every run of a client there. 0 for a server. */
  machine: bigint;
  /** Asked by a server that looks for others: nobody joins. */
  isServer: boolean;
  /** It did not listen to the group first, as most clients do that start at the same time. */
  isAtOnce?: boolean;
  /** Host name, for the server's display. */
  host: string;
  /** What else the client tells of itself; nothing if not given. */
  identity?: ClientIdentity;
}

/**
 * Blocks still missing of a chunk that has partly arrived. Without runs: checks of all its blocks
 * are wanted.
 */
export interface HalfChunk {
  chunk: number;
  runs: Run[];
}

export interface BlockRequest {
  session: bigint;
  client: bigint;
  /** Send position up to which the client has seen the stream: later blocks may be on their way. */
  asOfPosition: number;
  space: SpaceId;
  ranges: Run[];
  halves: HalfChunk[];
}

export const ClientState = {
  receiving: 0,
  proving: 1,
  done: 2,
  failed: 3,
  leaving: 4,
  syncing: 5,
  compared: 6,
} as const;
export type ClientStateId = (typeof ClientState)[keyof typeof ClientState];
const CLIENT_STATE_COUNT = 7;

/** Whether a client in this state is about to leave: it reports until it is answered. */
export function isEnd(state: ClientStateId): boolean {
  return state === ClientState.done || state === ClientState.compared || isEndWithoutCopy(state);
}

/** It ends, and what is on its target is no proven copy. */
export function isEndWithoutCopy(state: ClientStateId): boolean {
  return state === ClientState.failed || state === ClientState.leaving;
}

export interface Report {
  session: bigint;
  client: bigint;
  /** One past the highest send position seen. */
  position: number;
  /** Packets of this session received since the client joined, modulo 2^32. */
  packetsReceived: number;
  /** Send positions since the client joined that never arrived, modulo 2^32. */
  packetsLost: number;
  /** The client's clock in microseconds, modulo 2^32. */
  clockUs: number;
  missingChunks: number;
  provenChunks: number;
  /** What the kernel granted for the group socket. */
  receiveBufferBytes: number;
  state: ClientStateId;
  /** Of a client that failed: why, for the operator. Of any other it is '', or not given. */
  reason?: string;
}

/**
 * Every map request is this long. Answers have at most three times its length, so that nobody can
 * have a server send much to a forged address for little.
 */
const MAP_REQUEST_BYTES = 400;
const HOST_OFFSET = 36;
export const MAX_HOST_BYTES = 63;

/** @param request with a key, also the session that the client joins; 0 while it looks for one */
export function encodeMapRequest(request: MapRequest & { session?: bigint }): Buffer {
  const host = textBytes(request.host, MAX_HOST_BYTES);
  const identity = encodeIdentity(request.identity ?? {});
  const bytes = Buffer.alloc(MAP_REQUEST_BYTES);
  writeHeader(bytes, 0, PacketType.mapRequest, bytes.length, request.session ?? 0n);
  bytes.writeBigUInt64BE(request.client, 16);
  bytes.writeBigUInt64BE(request.machine, 24);
  bytes[32] = host.length;
  bytes[33] = request.isServer ? 1 : 0;
  bytes[34] = request.isAtOnce ? 1 : 0;
  bytes[35] = identity.length;
  host.copy(bytes, HOST_OFFSET);
  identity.copy(bytes, HOST_OFFSET + host.length);
  return writeCheck(bytes);
}

export function decodeMapRequest(bytes: Buffer): MapRequest | null {
  if (bytes.length !== MAP_REQUEST_BYTES || !isAsWritten(bytes)) return null;
  if (bytes[32]! > 63 || bytes[33]! > 1 || bytes[34]! > 1) return null;
  const hostEnd = HOST_OFFSET + bytes[32]!;
  const host = readText(bytes, HOST_OFFSET, hostEnd);
  const identity = decodeIdentity(bytes, hostEnd, hostEnd + bytes[35]!);
  if (host === null || identity === null) return null;
  return {
    client: bytes.readBigUInt64BE(16),
    machine: bytes.readBigUInt64BE(24),
    isServer: bytes[33] === 1,
    isAtOnce: bytes[34] === 1,
    host,
    identity,
  };
}

const BLOCK_REQUEST_BYTES = HEADER_BYTES + 20;
const RUN_BYTES = 8;
const HALF_BYTES = 6;
const HALF_RUN_BYTES = 4;

/** Bytes that one more half chunk with `runs` runs adds to a block request. */
export const halfChunkBytes = (runs: number): number => HALF_BYTES + runs * HALF_RUN_BYTES;
/** Room for ranges and half chunks in one block request. */
export const BLOCK_REQUEST_ROOM_BYTES =
  MAX_CONTROL_PACKET_BYTES - BLOCK_REQUEST_BYTES - CHECK_BYTES;
export const RANGE_BYTES = RUN_BYTES;

export function encodeBlockRequest(request: BlockRequest): Buffer {
  let length = BLOCK_REQUEST_BYTES + request.ranges.length * RUN_BYTES + CHECK_BYTES;
  for (const half of request.halves) length += halfChunkBytes(half.runs.length);
  const bytes = Buffer.alloc(length);
  writeHeader(bytes, 0, PacketType.blockRequest, length, request.session);
  bytes.writeBigUInt64BE(request.client, 16);
  bytes.writeUInt32BE(request.asOfPosition, 24);
  bytes[28] = request.space;
  bytes.writeUInt16BE(request.ranges.length, 32);
  bytes.writeUInt16BE(request.halves.length, 34);
  let at = BLOCK_REQUEST_BYTES;
  for (const range of request.ranges) {
    bytes.writeUInt32BE(range.first, at);
    bytes.writeUInt32BE(range.count, at + 4);
    at += RUN_BYTES;
  }
  for (const half of request.halves) {
    bytes.writeUInt32BE(half.chunk, at);
    bytes.writeUInt16BE(half.runs.length, at + 4);
    at += HALF_BYTES;
    for (const run of half.runs) {
      bytes.writeUInt16BE(run.first, at);
      bytes.writeUInt16BE(run.count, at + 2);
      at += HALF_RUN_BYTES;
    }
  }
  return writeCheck(bytes);
}

export function decodeBlockRequest(bytes: Buffer): BlockRequest | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < BLOCK_REQUEST_BYTES) return null;
  if (bytes.length > MAX_CONTROL_PACKET_BYTES || !isAsWritten(bytes)) return null;
  const space = bytes[28]!;
  if (space >= SPACE_COUNT) return null;
  const rangeCount = bytes.readUInt16BE(32);
  const halfCount = bytes.readUInt16BE(34);
  let at = BLOCK_REQUEST_BYTES;
  if (end - at < rangeCount * RUN_BYTES) return null;
  const ranges: Run[] = [];
  for (let i = 0; i < rangeCount; i++, at += RUN_BYTES) {
    ranges.push({ first: bytes.readUInt32BE(at), count: bytes.readUInt32BE(at + 4) });
  }
  if (!areAscending(ranges)) return null;
  const halves: HalfChunk[] = [];
  for (let i = 0; i < halfCount; i++) {
    if (end - at < HALF_BYTES) return null;
    const chunk = bytes.readUInt32BE(at);
    const runCount = bytes.readUInt16BE(at + 4);
    at += HALF_BYTES;
    if (end - at < runCount * HALF_RUN_BYTES) return null;
    const runs: Run[] = [];
    for (let j = 0; j < runCount; j++, at += HALF_RUN_BYTES) {
      runs.push({ first: bytes.readUInt16BE(at), count: bytes.readUInt16BE(at + 2) });
    }
    if (!areAscending(runs)) return null;
    halves.push({ chunk, runs });
  }
  if (at !== end) return null;
  return {
    session: packetSession(bytes, 0),
    client: bytes.readBigUInt64BE(16),
    asOfPosition: bytes.readUInt32BE(24),
    space: space as SpaceId,
    ranges,
    halves,
  };
}

const REASON_OFFSET = HEADER_BYTES + 44;
/** Without a reason. */
const REPORT_BYTES = REASON_OFFSET + CHECK_BYTES;
const MAX_REASON_BYTES = 255;

export function encodeReport(report: Report): Buffer {
  const reason = textBytes(report.reason ?? '', MAX_REASON_BYTES);
  const bytes = Buffer.alloc(REPORT_BYTES + reason.length);
  writeHeader(bytes, 0, PacketType.report, bytes.length, report.session);
  bytes.writeBigUInt64BE(report.client, 16);
  bytes.writeUInt32BE(report.position, 24);
  bytes.writeUInt32BE(report.packetsReceived, 28);
  bytes.writeUInt32BE(report.clockUs, 32);
  bytes.writeUInt32BE(report.missingChunks, 36);
  bytes.writeUInt32BE(report.provenChunks, 40);
  bytes.writeUInt32BE(report.receiveBufferBytes, 44);
  bytes[48] = report.state;
  bytes[49] = reason.length;
  bytes.writeUInt32BE(report.packetsLost, 52);
  reason.copy(bytes, REASON_OFFSET);
  return writeCheck(bytes);
}

export function decodeReport(bytes: Buffer): Report | null {
  if (bytes.length < REPORT_BYTES || !isAsWritten(bytes)) return null;
  if (bytes.length !== REPORT_BYTES + bytes[49]!) return null;
  const state = bytes[48]!;
  if (state >= CLIENT_STATE_COUNT) return null;
  const reason = readText(bytes, REASON_OFFSET, bytes.length - CHECK_BYTES);
  if (reason === null || (reason !== '' && state !== ClientState.failed)) return null;
  return {
    session: packetSession(bytes, 0),
    client: bytes.readBigUInt64BE(16),
    position: bytes.readUInt32BE(24),
    packetsReceived: bytes.readUInt32BE(28),
    packetsLost: bytes.readUInt32BE(52),
    clockUs: bytes.readUInt32BE(32),
    missingChunks: bytes.readUInt32BE(36),
    provenChunks: bytes.readUInt32BE(40),
    receiveBufferBytes: bytes.readUInt32BE(44),
    state: state as ClientStateId,
    reason,
  };
}
