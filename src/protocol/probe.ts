/**
 * Probes, and the answers to them: how a doctor finds out what the path carries. They alone of all
 * control packets may be as long as the path takes.
 */
import { CHECK_BYTES, isAsWritten, writeCheck } from './check.js';
import { HEADER_BYTES, PacketType, packetSession, writeHeader } from './packet.js';
import { readText, textBytes } from './text.js';

export const ProbeWish = {
  /** Answer to where the probe came from. */
  unicast: 0,
  /** Answer to the group. */
  group: 1,
  /** Many answers to the group, at a rate. */
  burst: 2,
} as const;
export type ProbeWishId = (typeof ProbeWish)[keyof typeof ProbeWish];
const WISH_COUNT = 3;

export interface Probe {
  /** Random id of one run of a doctor. */
  client: bigint;
  /** Comes back in the answer. */
  number: number;
  wish: ProbeWishId;
  /** Length of the answer, as a UDP payload; 0 for the shortest. */
  answerBytes: number;
  /** Of a burst, else 0. */
  rateBytesPerMs: number;
  burstPackets: number;
  paddingLength: number;
}

export interface ProbeAnswer {
  session: bigint;
  client: bigint;
  number: number;
  wish: ProbeWishId;
  /** It serves nothing, but sends bursts. */
  isDoctor: boolean;
  /** Length of the server's full block packets, as a UDP payload. */
  packetBytes: number;
  imageSize: number;
  /** Of a burst's packet, else 0. */
  index: number;
  count: number;
  /** Where the server's blocks go. */
  port: number;
  group: string;
  /** The image's; of a doctor, its machine's. */
  name: string;
  paddingLength: number;
}

/** So that the shortest answer has at most three times a probe's bytes. */
const MIN_PROBE_BYTES = 100;
const PROBE_BYTES = HEADER_BYTES + 24;
const ANSWER_BYTES = HEADER_BYTES + 36;
const MAX_TEXT_BYTES = 63;

/** What makes a probe `wantedBytes` long, or as short as one may be. */
export function probePadding(wantedBytes: number): number {
  return Math.max(wantedBytes, MIN_PROBE_BYTES) - PROBE_BYTES - CHECK_BYTES;
}

export function encodeProbe(probe: Probe): Buffer {
  const bytes = Buffer.alloc(PROBE_BYTES + probe.paddingLength + CHECK_BYTES);
  writeHeader(bytes, 0, PacketType.probe, bytes.length, 0n);
  bytes.writeBigUInt64BE(probe.client, 16);
  bytes.writeUInt32BE(probe.number, 24);
  bytes[28] = probe.wish;
  bytes.writeUInt16BE(probe.answerBytes, 30);
  bytes.writeUInt32BE(probe.rateBytesPerMs, 32);
  bytes.writeUInt16BE(probe.burstPackets, 36);
  bytes.writeUInt16BE(probe.paddingLength, 38);
  return writeCheck(bytes);
}

export function decodeProbe(bytes: Buffer): Probe | null {
  if (bytes.length < MIN_PROBE_BYTES) return null;
  const paddingLength = bytes.readUInt16BE(38);
  if (bytes.length !== PROBE_BYTES + paddingLength + CHECK_BYTES) return null;
  const wish = bytes[28]!;
  if (wish >= WISH_COUNT || !isAsWritten(bytes)) return null;
  return {
    client: bytes.readBigUInt64BE(16),
    number: bytes.readUInt32BE(24),
    wish: wish as ProbeWishId,
    answerBytes: bytes.readUInt16BE(30),
    rateBytesPerMs: bytes.readUInt32BE(32),
    burstPackets: bytes.readUInt16BE(36),
    paddingLength,
  };
}

/** Bytes of an answer without padding. */
export function shortestAnswerBytes({ group, name }: Pick<ProbeAnswer, 'group' | 'name'>): number {
  const texts = textBytes(group, MAX_TEXT_BYTES).length + textBytes(name, MAX_TEXT_BYTES).length;
  return ANSWER_BYTES + texts + CHECK_BYTES;
}

export function encodeProbeAnswer(answer: ProbeAnswer): Buffer {
  const group = textBytes(answer.group, MAX_TEXT_BYTES);
  const name = textBytes(answer.name, MAX_TEXT_BYTES);
  const textsBytes = group.length + name.length;
  const bytes = Buffer.alloc(ANSWER_BYTES + textsBytes + answer.paddingLength + CHECK_BYTES);
  writeHeader(bytes, 0, PacketType.probeAnswer, bytes.length, answer.session);
  bytes.writeBigUInt64BE(answer.client, 16);
  bytes.writeUInt32BE(answer.number, 24);
  bytes[28] = answer.wish;
  bytes[29] = answer.isDoctor ? 1 : 0;
  bytes.writeUInt16BE(answer.packetBytes, 30);
  bytes.writeBigUInt64BE(BigInt(answer.imageSize), 32);
  bytes.writeUInt16BE(answer.index, 40);
  bytes.writeUInt16BE(answer.count, 42);
  bytes.writeUInt16BE(answer.port, 44);
  bytes.writeUInt16BE(answer.paddingLength, 46);
  bytes[48] = group.length;
  bytes[49] = name.length;
  group.copy(bytes, ANSWER_BYTES);
  name.copy(bytes, ANSWER_BYTES + group.length);
  return writeCheck(bytes);
}

export function decodeProbeAnswer(bytes: Buffer): ProbeAnswer | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < ANSWER_BYTES || bytes[48]! > MAX_TEXT_BYTES || bytes[49]! > MAX_TEXT_BYTES) {
    return null;
  }
  const groupEnd = ANSWER_BYTES + bytes[48]!;
  const nameEnd = groupEnd + bytes[49]!;
  const paddingLength = bytes.readUInt16BE(46);
  const wish = bytes[28]!;
  if (end !== nameEnd + paddingLength || wish >= WISH_COUNT || bytes[29]! > 1) return null;
  const imageSize = bytes.readBigUInt64BE(32);
  if (imageSize > BigInt(Number.MAX_SAFE_INTEGER) || !isAsWritten(bytes)) return null;
  const group = readText(bytes, ANSWER_BYTES, groupEnd);
  const name = readText(bytes, groupEnd, nameEnd);
  if (group === null || name === null) return null;
  return {
    session: packetSession(bytes, 0),
    client: bytes.readBigUInt64BE(16),
    number: bytes.readUInt32BE(24),
    wish: wish as ProbeWishId,
    isDoctor: bytes[29] === 1,
    packetBytes: bytes.readUInt16BE(30),
    imageSize: Number(imageSize),
    index: bytes.readUInt16BE(40),
    count: bytes.readUInt16BE(42),
    port: bytes.readUInt16BE(44),
    group,
    name,
    paddingLength,
  };
}
