/**
 * Every packet but block packets, with values to try: for the tests of codecs and of the document.
 */
import fc from 'fast-check';
import { SPACE_COUNT, type SpaceId } from '../../src/protocol/block.js';
import {
  type BlockChecks,
  decodeBlockChecks,
  encodeBlockChecks,
  MAX_BLOCK_CHECKS,
} from '../../src/protocol/block-checks.js';
import {
  type BlockRequest,
  ClientState,
  type ClientStateId,
  decodeBlockRequest,
  decodeMapRequest,
  decodeReport,
  encodeBlockRequest,
  encodeMapRequest,
  encodeReport,
  type MapRequest,
  type Report,
} from '../../src/protocol/from-client.js';
import {
  decodeFarewell,
  decodeImageDescription,
  decodeNotice,
  decodeStatus,
  decodeZeroRanges,
  encodeFarewell,
  encodeImageDescription,
  encodeNotice,
  encodeStatus,
  encodeZeroRanges,
  type Farewell,
  type ImageDescription,
  MAP_ID_BYTES,
  MAX_SENTINELS,
  type Notice,
  NoticeCode,
  type NoticeCodeId,
  type Status,
  type ZeroRanges,
} from '../../src/protocol/from-server.js';
import type { ClientIdentity } from '../../src/protocol/identity.js';
import { decodeLocked, encodeLocked, type Locked } from '../../src/protocol/locked.js';
import type { PacketTypeName } from '../../src/protocol/packet.js';
import {
  decodeProbe,
  decodeProbeAnswer,
  encodeProbe,
  encodeProbeAnswer,
  type Probe,
  type ProbeAnswer,
  ProbeWish,
  type ProbeWishId,
} from '../../src/protocol/probe.js';
import type { Run } from '../../src/protocol/run.js';
import {
  decodeStatement,
  decodeStatementRequest,
  encodeStatement,
  encodeStatementRequest,
  type StatementAnswer,
  type StatementRequest,
} from '../../src/protocol/statement-packets.js';

export interface Codec<T> {
  name: PacketTypeName;
  values: fc.Arbitrary<T>;
  encode(value: T): Buffer;
  /** Null for what is not such a packet. */
  decode(bytes: Buffer): T | null;
}

const extremes = (largest: number) =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(0, 1, largest - 1, largest) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: largest }) },
  );

export const u8 = extremes(0xff);
export const u16 = extremes(0xffff);
export const u24 = extremes(0xffffff);
export const u32 = extremes(0xffffffff);
export const u64 = fc.oneof(
  fc.constantFrom(0n, 1n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const imageSizes = extremes(Number.MAX_SAFE_INTEGER);
const mapIds = fc.option(
  fc
    .uint8Array({ minLength: MAP_ID_BYTES, maxLength: MAP_ID_BYTES })
    .map((bytes) => Buffer.from(bytes)),
);
const letter = fc.constantFrom('a', 'Z', '7', ' ', '.', '/', 'é', 'ß', '漢', '😀');

/** Clean text that fits into `mostBytes` bytes of UTF-8. */
const text = (mostBytes: number) =>
  fc
    .array(letter, { maxLength: mostBytes })
    .map((letters) => letters.join(''))
    .filter((joined) => Buffer.byteLength(joined) <= mostBytes);

/** Runs as they travel: none empty, each behind the one before it. */
const runs = (largest: number): fc.Arbitrary<Run[]> => {
  const step = fc.tuple(fc.nat({ max: Math.min(largest, 1e6) }), extremes(largest));
  return fc.array(step, { maxLength: 12 }).map((steps) => {
    const made: Run[] = [];
    let end = 0;
    for (const [gap, count] of steps) {
      if (count === 0 || end + gap > largest) continue;
      made.push({ first: end + gap, count });
      end += gap + count;
    }
    return made;
  });
};

/** Plain objects, as the decoders make them. */
function record<T>(parts: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(parts, { noNullPrototype: true });
}

const macs = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':'));

/** Any of the items may be there. */
export const identities: fc.Arbitrary<ClientIdentity> = fc.record(
  {
    mac: macs,
    product: text(40),
    serial: text(40),
    diskModel: text(40),
    diskSerial: text(40),
    diskBytes: imageSizes,
    version: text(16),
    linkBitsPerSecond: u32.map((megabits) => megabits * 1e6),
    isFullDuplex: fc.boolean(),
    label: text(40),
  },
  { requiredKeys: [], noNullPrototype: true },
);

export const mapRequests: Codec<MapRequest> = {
  name: 'mapRequest',
  values: record({
    client: u64,
    machine: u64,
    isServer: fc.boolean(),
    isAtOnce: fc.boolean(),
    host: text(63),
    identity: identities,
  }),
  encode: encodeMapRequest,
  decode: decodeMapRequest,
};

export const imageDescriptions: Codec<ImageDescription> = {
  name: 'imageDescription',
  values: record({
    session: u64,
    client: u64,
    imageSize: imageSizes,
    chunkSize: u32,
    blockSize: u16,
    mapId: mapIds,
    group: text(63),
    port: u16,
    otherSessions: u8,
    position: u32,
    sectorSizeBytes: u16,
    streamAddress: text(63),
    requestWindowMs: fc.integer({ min: 0, max: 20_000 }),
    reportIntervalMs: fc.integer({ min: 0, max: 65_535 }),
    name: text(255),
    isJoined: fc.boolean(),
    seal: fc.option(
      record({
        streamSalt: fc
          .uint8Array({ minLength: 16, maxLength: 16 })
          .filter((bytes) => bytes.some((byte) => byte !== 0))
          .map((bytes) => Buffer.from(bytes)),
        groupSender: extremes(2 ** 48 - 1),
        groupCount: extremes(2 ** 48 - 1),
      }),
    ),
  }),
  encode: encodeImageDescription,
  decode: decodeImageDescription,
};

export const blockRequests: Codec<BlockRequest> = {
  name: 'blockRequest',
  values: record({
    session: u64,
    client: u64,
    asOfPosition: u32,
    space: fc.integer({ min: 0, max: SPACE_COUNT - 1 }).map((space) => space as SpaceId),
    ranges: runs(0xffffffff),
    halves: fc.array(record({ chunk: u32, runs: runs(0xffff) }), { maxLength: 6 }),
  }),
  encode: encodeBlockRequest,
  decode: decodeBlockRequest,
};

export const reports: Codec<Report> = {
  name: 'report',
  values: record({
    session: u64,
    client: u64,
    position: u32,
    packetsReceived: u32,
    packetsLost: u32,
    clockUs: u32,
    missingChunks: u32,
    provenChunks: u32,
    receiveBufferBytes: u32,
    state: fc.constantFrom(...(Object.values(ClientState) as ClientStateId[])),
    reason: text(255),
  }).map((report) => (report.state === ClientState.failed ? report : { ...report, reason: '' })),
  encode: encodeReport,
  decode: decodeReport,
};

export const statuses: Codec<Status> = {
  name: 'status',
  values: record({
    session: u64,
    position: u32,
    cursor: u32,
    pendingChunks: u32,
    isIdle: fc.boolean(),
    awaitedClients: fc.option(u16),
    mapId: mapIds,
    reportIntervalMs: u16,
    requestWindowMs: fc.integer({ min: 0, max: 20_000 }),
    joinWindowMs: fc.integer({ min: 0, max: 20_000 }),
    sentinels: fc.array(u64, { maxLength: MAX_SENTINELS }),
  }),
  encode: encodeStatus,
  decode: decodeStatus,
};

export const farewells: Codec<Farewell> = {
  name: 'farewell',
  values: record({ session: u64, client: u64, isDropped: fc.boolean() }),
  encode: encodeFarewell,
  decode: decodeFarewell,
};

export const notices: Codec<Notice> = {
  name: 'notice',
  values: record({
    session: u64,
    code: fc.constantFrom(...(Object.values(NoticeCode) as NoticeCodeId[])),
    first: u32,
    count: u32,
    text: text(255),
  }),
  encode: encodeNotice,
  decode: decodeNotice,
};

export const zeroRanges: Codec<ZeroRanges> = {
  name: 'zeroRanges',
  values: record({ session: u64, position: u32, isFree: fc.boolean(), ranges: runs(0xffffffff) }),
  encode: encodeZeroRanges,
  decode: decodeZeroRanges,
};

export const blockChecks: Codec<BlockChecks> = {
  name: 'blockChecks',
  values: record({
    session: u64,
    position: u32,
    chunk: u32,
    encodedLength: u24,
    kindByte: u8,
    first: u16,
    checks: fc.array(u32, { maxLength: MAX_BLOCK_CHECKS }),
  }),
  encode: encodeBlockChecks,
  decode: decodeBlockChecks,
};

const wishes = fc.constantFrom(...(Object.values(ProbeWish) as ProbeWishId[]));

export const probes: Codec<Probe> = {
  name: 'probe',
  values: record({
    client: u64,
    number: u32,
    wish: wishes,
    answerBytes: u16,
    rateBytesPerMs: u32,
    burstPackets: u16,
    paddingLength: fc.integer({ min: 56, max: 400 }),
  }),
  encode: encodeProbe,
  decode: decodeProbe,
};

export const probeAnswers: Codec<ProbeAnswer> = {
  name: 'probeAnswer',
  values: record({
    session: u64,
    client: u64,
    number: u32,
    wish: wishes,
    isDoctor: fc.boolean(),
    packetBytes: u16,
    imageSize: imageSizes,
    index: u16,
    count: u16,
    port: u16,
    group: text(63),
    name: text(63),
    paddingLength: fc.integer({ min: 0, max: 400 }),
  }),
  encode: encodeProbeAnswer,
  decode: decodeProbeAnswer,
};

export const statementRequests: Codec<StatementRequest> = {
  name: 'statementRequest',
  values: record({ session: u64, client: u64 }),
  encode: encodeStatementRequest,
  decode: decodeStatementRequest,
};

const bytesUpTo = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));

export const statements: Codec<StatementAnswer> = {
  name: 'statement',
  values: record({
    session: u64,
    client: u64,
    statement: bytesUpTo(512),
    signature: bytesUpTo(640),
  }),
  encode: encodeStatement,
  decode: decodeStatement,
};

export const lockeds: Codec<Locked> = {
  name: 'locked',
  values: record({ session: u64 }),
  encode: encodeLocked,
  decode: decodeLocked,
};

/** All of them; each is a codec of its own values, whatever those are. */
export const CODECS = [
  mapRequests,
  imageDescriptions,
  blockRequests,
  reports,
  statuses,
  farewells,
  notices,
  zeroRanges,
  blockChecks,
  probes,
  probeAnswers,
  statementRequests,
  statements,
  lockeds,
] as readonly Codec<unknown>[] as readonly Codec<object>[];
