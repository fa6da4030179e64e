/**
 * Packets that a server sends, other than block packets. Decoders take one whole packet and
 * return null for anything that does not fit to the last byte.
 */
import { CHECK_BYTES, isAsWritten, writeCheck } from './check.js';
import {
  HEADER_BYTES,
  MAX_CONTROL_PACKET_BYTES,
  PacketType,
  packetSession,
  writeHeader,
} from './packet.js';
import { areAscending, type Run } from './run.js';
import { readText, textBytes } from './text.js';

export const MAP_ID_BYTES = 32;

export interface ImageDescription {
  session: bigint;
  /** The client whose map request this answers. */
  client: bigint;
  imageSize: number;
  chunkSize: number;
  blockSize: number;
  /** Digest of the block map's root, or null while the map is prepared. */
  mapId: Buffer | null;
  /** Where block packets go. */
  group: string;
  port: number;
  /** How many other sessions the server hears on its network (255 for more). */
  otherSessions: number;
  /** Next send position: what went before it the client has missed. */
  position: number;
  /** Bytes of a sector that the image's partition table counts in; 0 when it tells none. */
  sectorSizeBytes: number;
  /** Address that the stream comes from; empty when it is the one that answers. */
  streamAddress: string;
  /** Clients spread what they send over this time, or a multiple of it. */
  requestWindowMs: number;
  /** How often the client may report, until a status tells. */
  reportIntervalMs: number;
  name: string;
  /** The server knows the client: it need not join. False if not given. */
  isJoined?: boolean | undefined;
  /** Of a sealed stream; none if not given. */
  seal?: StreamSeal | null | undefined;
}

/** What a client with the key needs to open a sealed stream. */
interface StreamSeal {
  /** 16 random bytes, not all zero. */
  streamSalt: Buffer;
  /** With which sender and count sealed packets to the group go on. */
  groupSender: number;
  groupCount: number;
}

export interface Status {
  session: bigint;
  /** Next send position. */
  position: number;
  /** Next chunk of the pass. */
  cursor: number;
  pendingChunks: number;
  /** Nothing is pending: what a client lacks now, it must ask for. */
  isIdle: boolean;
  /**
   * Nothing is sent until more clients are here, so many: 0 when the operator or a time is waited
   * for. Null while the stream flows.
   */
  awaitedClients: number | null;
  mapId: Buffer | null;
  /** How often a client that is not named below may report. */
  reportIntervalMs: number;
  /** Clients spread what they send over this time, or a multiple of it. */
  requestWindowMs: number;
  /** Over this time those join that wait to. */
  joinWindowMs: number;
  /** Clients that report at the shortest interval, because the rate follows them. */
  sentinels: bigint[];
}

export interface Farewell {
  session: bigint;
  client: bigint;
  /** The operator wants this client gone: it gets nothing more. */
  isDropped: boolean;
}

export const NoticeCode = {
  /** The server ends; nothing more will come from this session. */
  leaving: 1,
  /** The source changed while it was served: what was received is of no use. */
  sourceChanged: 2,
  /** Chunks that the source could not give. */
  unreadable: 3,
} as const;
export type NoticeCodeId = (typeof NoticeCode)[keyof typeof NoticeCode];

export interface Notice {
  session: bigint;
  code: NoticeCodeId;
  /** Chunks concerned, or an empty range. */
  first: number;
  count: number;
  text: string;
}

export interface ZeroRanges {
  session: bigint;
  /** Send position: zero ranges count as one packet of the stream. */
  position: number;
  /** No file system uses these chunks: whatever is there may stay. */
  isFree: boolean;
  ranges: Run[];
}

const DESCRIPTION_BYTES = HEADER_BYTES + 100;
const STREAM_SALT_BYTES = 16;
/** Longest text of an address. */
const ADDRESS_BYTES = 63;

export function encodeImageDescription(description: ImageDescription): Buffer {
  const group = textBytes(description.group, ADDRESS_BYTES);
  const stream = textBytes(description.streamAddress, ADDRESS_BYTES);
  const name = textBytes(description.name, 255);
  const length = DESCRIPTION_BYTES + group.length + stream.length + name.length + CHECK_BYTES;
  const bytes = Buffer.alloc(length);
  writeHeader(bytes, 0, PacketType.imageDescription, length, description.session);
  bytes.writeBigUInt64BE(description.client, 16);
  bytes.writeBigUInt64BE(BigInt(description.imageSize), 24);
  bytes.writeUInt32BE(description.chunkSize, 32);
  bytes.writeUInt16BE(description.blockSize, 36);
  bytes[38] = description.mapId === null ? 0 : 1;
  bytes[39] = Math.min(description.otherSessions, 255);
  description.mapId?.copy(bytes, 40);
  bytes.writeUInt16BE(description.port, 72);
  bytes[74] = group.length;
  bytes[75] = name.length;
  bytes.writeUInt32BE(description.position, 76);
  bytes.writeUInt16BE(description.sectorSizeBytes, 80);
  bytes[82] = stream.length;
  bytes[83] = description.isJoined ? 1 : 0;
  bytes.writeUInt16BE(description.requestWindowMs, 84);
  bytes.writeUInt16BE(description.reportIntervalMs, 86);
  writeSeal(bytes, description.seal ?? null);
  group.copy(bytes, DESCRIPTION_BYTES);
  stream.copy(bytes, DESCRIPTION_BYTES + group.length);
  name.copy(bytes, DESCRIPTION_BYTES + group.length + stream.length);
  return writeCheck(bytes);
}

export function decodeImageDescription(bytes: Buffer): ImageDescription | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < DESCRIPTION_BYTES) return null;
  const groupEnd = DESCRIPTION_BYTES + bytes[74]!;
  const streamEnd = groupEnd + bytes[82]!;
  if (end !== streamEnd + bytes[75]! || !isAsWritten(bytes)) return null;
  const imageSize = bytes.readBigUInt64BE(24);
  if (imageSize > BigInt(Number.MAX_SAFE_INTEGER) || bytes[38]! > 1 || bytes[83]! > 1) return null;
  if (bytes.readUInt16BE(84) > MAX_REQUEST_WINDOW_MS) return null;
  const group = readText(bytes, DESCRIPTION_BYTES, groupEnd);
  const streamAddress = readText(bytes, groupEnd, streamEnd);
  const name = readText(bytes, streamEnd, end);
  if (group === null || streamAddress === null || name === null) return null;
  return {
    session: packetSession(bytes, 0),
    client: bytes.readBigUInt64BE(16),
    imageSize: Number(imageSize),
    chunkSize: bytes.readUInt32BE(32),
    blockSize: bytes.readUInt16BE(36),
    mapId: bytes[38] === 1 ? Buffer.from(bytes.subarray(40, 72)) : null,
    group,
    port: bytes.readUInt16BE(72),
    otherSessions: bytes[39]!,
    position: bytes.readUInt32BE(76),
    sectorSizeBytes: bytes.readUInt16BE(80),
    streamAddress,
    requestWindowMs: bytes.readUInt16BE(84),
    reportIntervalMs: bytes.readUInt16BE(86),
    name,
    isJoined: bytes[83] === 1,
    seal: readSeal(bytes),
  };
}

function writeSeal(bytes: Buffer, seal: StreamSeal | null): void {
  if (seal === null) return;
  seal.streamSalt.copy(bytes, 88);
  bytes.writeUIntBE(seal.groupSender, 104, 6);
  bytes.writeUIntBE(seal.groupCount, 110, 6);
}

function readSeal(bytes: Buffer): StreamSeal | null {
  const streamSalt = Buffer.from(bytes.subarray(88, 88 + STREAM_SALT_BYTES));
  if (streamSalt.every((byte) => byte === 0)) return null;
  return {
    streamSalt,
    groupSender: bytes.readUIntBE(104, 6),
    groupCount: bytes.readUIntBE(110, 6),
  };
}

const STATUS_BYTES = HEADER_BYTES + 56;
const STATUS_MAP_KNOWN = 1;
const STATUS_IDLE = 2;
const STATUS_HELD = 4;
const MAX_AWAITED = 0xffff;
/** Longest request window: a longer one would keep clients from asking. */
export const MAX_REQUEST_WINDOW_MS = 20_000;
/** Longest time over which clients join: a longer one would keep them from it. */
export const MAX_JOIN_WINDOW_MS = 20_000;
/** Most sentinels that one status names. */
export const MAX_SENTINELS = 16;

export function encodeStatus(status: Status): Buffer {
  const bytes = Buffer.alloc(STATUS_BYTES + status.sentinels.length * 8 + CHECK_BYTES);
  writeHeader(bytes, 0, PacketType.status, bytes.length, status.session);
  bytes.writeUInt32BE(status.position, 16);
  bytes.writeUInt32BE(status.cursor, 20);
  bytes.writeUInt32BE(status.pendingChunks, 24);
  bytes[28] =
    (status.mapId === null ? 0 : STATUS_MAP_KNOWN) |
    (status.isIdle ? STATUS_IDLE : 0) |
    (status.awaitedClients === null ? 0 : STATUS_HELD);
  bytes[29] = status.sentinels.length;
  bytes.writeUInt16BE(status.reportIntervalMs, 30);
  bytes.writeUInt16BE(status.requestWindowMs, 32);
  bytes.writeUInt16BE(status.joinWindowMs, 34);
  bytes.writeUInt16BE(Math.min(status.awaitedClients ?? 0, MAX_AWAITED), 36);
  status.mapId?.copy(bytes, 40);
  let at = STATUS_BYTES;
  for (const client of status.sentinels) {
    bytes.writeBigUInt64BE(client, at);
    at += 8;
  }
  return writeCheck(bytes);
}

export function decodeStatus(bytes: Buffer): Status | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < STATUS_BYTES || !isAsWritten(bytes)) return null;
  const sentinelCount = bytes[29]!;
  if (sentinelCount > MAX_SENTINELS) return null;
  if (bytes.readUInt16BE(32) > MAX_REQUEST_WINDOW_MS) return null;
  if (bytes.readUInt16BE(34) > MAX_JOIN_WINDOW_MS) return null;
  if (end !== STATUS_BYTES + sentinelCount * 8) return null;
  const flags = bytes[28]!;
  if (flags > (STATUS_MAP_KNOWN | STATUS_IDLE | STATUS_HELD)) return null;
  const sentinels: bigint[] = [];
  for (let i = 0; i < sentinelCount; i++)
    sentinels.push(bytes.readBigUInt64BE(STATUS_BYTES + i * 8));
  return {
    session: packetSession(bytes, 0),
    position: bytes.readUInt32BE(16),
    cursor: bytes.readUInt32BE(20),
    pendingChunks: bytes.readUInt32BE(24),
    isIdle: (flags & STATUS_IDLE) !== 0,
    awaitedClients: (flags & STATUS_HELD) !== 0 ? bytes.readUInt16BE(36) : null,
    mapId: (flags & STATUS_MAP_KNOWN) !== 0 ? Buffer.from(bytes.subarray(40, 72)) : null,
    reportIntervalMs: bytes.readUInt16BE(30),
    requestWindowMs: bytes.readUInt16BE(32),
    joinWindowMs: bytes.readUInt16BE(34),
    sentinels,
  };
}

const FAREWELL_BYTES = HEADER_BYTES + 12 + CHECK_BYTES;

export function encodeFarewell(farewell: Farewell): Buffer {
  const bytes = Buffer.alloc(FAREWELL_BYTES);
  writeHeader(bytes, 0, PacketType.farewell, FAREWELL_BYTES, farewell.session);
  bytes.writeBigUInt64BE(farewell.client, 16);
  bytes[24] = farewell.isDropped ? 1 : 0;
  return writeCheck(bytes);
}

export function decodeFarewell(bytes: Buffer): Farewell | null {
  if (bytes.length !== FAREWELL_BYTES || !isAsWritten(bytes) || bytes[24]! > 1) return null;
  return {
    session: packetSession(bytes, 0),
    client: bytes.readBigUInt64BE(16),
    isDropped: bytes[24] === 1,
  };
}

const NOTICE_BYTES = HEADER_BYTES + 12;

export function encodeNotice(notice: Notice): Buffer {
  const text = textBytes(notice.text, 255);
  const bytes = Buffer.alloc(NOTICE_BYTES + text.length + CHECK_BYTES);
  writeHeader(bytes, 0, PacketType.notice, bytes.length, notice.session);
  bytes.writeUInt32BE(notice.first, 16);
  bytes.writeUInt32BE(notice.count, 20);
  bytes.writeUInt16BE(notice.code, 24);
  bytes[26] = text.length;
  text.copy(bytes, NOTICE_BYTES);
  return writeCheck(bytes);
}

export function decodeNotice(bytes: Buffer): Notice | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < NOTICE_BYTES || end !== NOTICE_BYTES + bytes[26]! || !isAsWritten(bytes)) return null;
  const code = bytes.readUInt16BE(24);
  if (code < NoticeCode.leaving || code > NoticeCode.unreadable) return null;
  const text = readText(bytes, NOTICE_BYTES, end);
  if (text === null) return null;
  return {
    session: packetSession(bytes, 0),
    code: code as NoticeCodeId,
    first: bytes.readUInt32BE(16),
    count: bytes.readUInt32BE(20),
    text,
  };
}

const ZERO_RANGES_BYTES = HEADER_BYTES + 8;
const RUN_BYTES = 8;
/** Most ranges that one packet carries. */
export const MAX_ZERO_RANGES = Math.floor(
  (MAX_CONTROL_PACKET_BYTES - ZERO_RANGES_BYTES - CHECK_BYTES) / RUN_BYTES,
);

export function encodeZeroRanges(zeros: ZeroRanges): Buffer {
  const length = ZERO_RANGES_BYTES + zeros.ranges.length * RUN_BYTES + CHECK_BYTES;
  const bytes = Buffer.alloc(length);
  writeHeader(bytes, 0, PacketType.zeroRanges, bytes.length, zeros.session);
  bytes.writeUInt32BE(zeros.position, 16);
  bytes.writeUInt16BE(zeros.ranges.length, 20);
  bytes[22] = zeros.isFree ? 1 : 0;
  let at = ZERO_RANGES_BYTES;
  for (const range of zeros.ranges) {
    bytes.writeUInt32BE(range.first, at);
    bytes.writeUInt32BE(range.count, at + 4);
    at += RUN_BYTES;
  }
  return writeCheck(bytes);
}

export function decodeZeroRanges(bytes: Buffer): ZeroRanges | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < ZERO_RANGES_BYTES || !isAsWritten(bytes)) return null;
  const count = bytes.readUInt16BE(20);
  if (count > MAX_ZERO_RANGES || end !== ZERO_RANGES_BYTES + count * RUN_BYTES) return null;
  const ranges: Run[] = [];
  for (let i = 0; i < count; i++) {
    const at = ZERO_RANGES_BYTES + i * RUN_BYTES;
    ranges.push({ first: bytes.readUInt32BE(at), count: bytes.readUInt32BE(at + 4) });
  }
  if (!areAscending(ranges) || bytes[22]! > 1) return null;
  const isFree = bytes[22] === 1;
  return { session: packetSession(bytes, 0), position: bytes.readUInt32BE(16), isFree, ranges };
}
