/** Every packet but block packets, with values to try: for the tests of codecs and of the document. */
import fc from 'fast-check';
import { SPACE_COUNT, type SpaceId } from '../../src/protocol/block.js';
import {
  type BlockChecks,
  decodeBlockChecks,
  encodeBlockChecks,
  MOST_BLOCK_CHECKS,
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
  MOST_SENTINELS,
  type Notice,
  NoticeCode,
  type NoticeCodeId,
  type Status,
  type ZeroRanges,
} from '../../src/protocol/from-server.js';
import type { PacketTypeName } from '../../src/protocol/packet.js';
import type { Run } from '../../src/protocol/run.js';

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

export const mapRequests: Codec<MapRequest> = {
  name: 'mapRequest',
  values: record({
    client: u64,
    machine: u64,
    isServer: fc.boolean(),
    isAtOnce: fc.boolean(),
    host: text(63),
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
  }),
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
    mapId: mapIds,
    reportIntervalMs: u16,
    requestWindowMs: fc.integer({ min: 0, max: 20_000 }),
    joinWindowMs: fc.integer({ min: 0, max: 20_000 }),
    sentinels: fc.array(u64, { maxLength: MOST_SENTINELS }),
  }),
  encode: encodeStatus,
  decode: decodeStatus,
};

export const farewells: Codec<Farewell> = {
  name: 'farewell',
  values: record({ session: u64, client: u64 }),
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
  values: record({ session: u64, position: u32, ranges: runs(0xffffffff) }),
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
    checks: fc.array(u32, { maxLength: MOST_BLOCK_CHECKS }),
  }),
  encode: encodeBlockChecks,
  decode: decodeBlockChecks,
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
] as readonly Codec<unknown>[] as readonly Codec<object>[];
