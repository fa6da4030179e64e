import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHUNKS_PER_PAGE, Geometry } from '../../src/image/geometry.js';
import { DIGEST_BYTES, encodeRoot, KIND_BITMAP_BYTES } from '../../src/image/map-format.js';
import {
  BLOCK_HEADER_BYTES,
  Encoding,
  type EncodingId,
  Space,
  type SpaceId,
} from '../../src/protocol/block.js';
import { MAX_BLOCK_CHECKS } from '../../src/protocol/block-checks.js';
import { ClientState, type HalfChunk, type MapRequest } from '../../src/protocol/from-client.js';
import { MAX_ZERO_RANGES, NoticeCode, type Status } from '../../src/protocol/from-server.js';
import { encodeIdentity, IdentityTag } from '../../src/protocol/identity.js';
import { MAGIC, PacketType, type PacketTypeName, VERSION } from '../../src/protocol/packet.js';
import { ProbeWish } from '../../src/protocol/probe.js';
import type { Run } from '../../src/protocol/run.js';
import { type BlockHeader, writeBlockHeader } from './block-header.js';
import { readCheckout, sourcePaths } from './checkout.js';
import { CODECS, type Codec, u8, u16, u24, u32, u64 } from './protocol-packets.js';
import { type Layout, parseLayouts, tableBelow, type Values, writeAs } from './protocol-tables.js';

const DOCUMENT = readCheckout('docs/PROTOCOL.md');
const layouts = parseLayouts(DOCUMENT);

function layoutOf(name: string): Layout {
  const layout = layouts.get(name);
  assert(layout !== undefined, `docs/PROTOCOL.md has no table of bytes for ${name}`);
  return layout;
}

const paddingOf = (usedBytes: number) => {
  const paddingLength = 360 - usedBytes;
  return { paddingLength, padding: Buffer.alloc(paddingLength) };
};

/** What the document calls the parts of a packet, where that is not just what the code does. */
const IN_WORDS: Partial<Record<PacketTypeName, (value: never) => Values>> = {
  mapRequest: (value: Required<MapRequest>) => ({
    isServer: Number(value.isServer),
    isAtOnce: Number(value.isAtOnce),
    hostLength: Buffer.byteLength(value.host),
    identityLength: encodeIdentity(value.identity).length,
    identity: encodeIdentity(value.identity),
    ...paddingOf(Buffer.byteLength(value.host) + encodeIdentity(value.identity).length),
  }),
  imageDescription: (value: {
    mapId: Buffer | null;
    group: string;
    streamAddress: string;
    name: string;
    isJoined: boolean;
    seal: { streamSalt: Buffer; groupSender: number; groupCount: number } | null;
  }) => ({
    isJoined: Number(value.isJoined),
    ...(value.seal ?? { streamSalt: Buffer.alloc(16), groupSender: 0, groupCount: 0 }),
    hasMap: Number(value.mapId !== null),
    mapId: value.mapId ?? Buffer.alloc(DIGEST_BYTES),
    groupLength: Buffer.byteLength(value.group),
    streamLength: Buffer.byteLength(value.streamAddress),
    nameLength: Buffer.byteLength(value.name),
  }),
  blockRequest: ({ ranges, halves }: { ranges: Run[]; halves: HalfChunk[] }) => ({
    rangeCount: ranges.length,
    halfCount: halves.length,
    halves: halves.map((half) => ({ ...half, runCount: half.runs.length })),
    halvesLength: halves.reduce((sum, { runs }) => sum + 6 + 4 * runs.length, 0),
  }),
  farewell: ({ isDropped }: { isDropped: boolean }) => ({ isDropped: Number(isDropped) }),
  status: (value: Status) => ({
    hasMap: Number(value.mapId !== null),
    isIdle: Number(value.isIdle),
    isHeld: Number(value.awaitedClients !== null),
    awaited: value.awaitedClients ?? 0,
    mapId: value.mapId ?? Buffer.alloc(DIGEST_BYTES),
    sentinelCount: value.sentinels.length,
    sentinels: value.sentinels.map((client) => ({ client })),
  }),
  report: ({ reason = '' }: { reason?: string }) => ({ reasonLength: Buffer.byteLength(reason) }),
  notice: ({ text }: { text: string }) => ({ textLength: Buffer.byteLength(text) }),
  blockChecks: ({ checks }: { checks: number[] }) => ({
    checkCount: checks.length,
    checks: checks.map((value) => ({ value })),
  }),
  probe: ({ paddingLength }: { paddingLength: number }) => ({
    padding: Buffer.alloc(paddingLength),
  }),
  probeAnswer: (value: {
    isDoctor: boolean;
    group: string;
    name: string;
    paddingLength: number;
  }) => ({
    isDoctor: Number(value.isDoctor),
    groupLength: Buffer.byteLength(value.group),
    nameLength: Buffer.byteLength(value.name),
    padding: Buffer.alloc(value.paddingLength),
  }),
  statementRequest: () => ({ paddingLength: 372, padding: Buffer.alloc(372) }),
  statement: ({ statement, signature }: { statement: Buffer; signature: Buffer }) => ({
    statementLength: statement.length,
    signatureLength: signature.length,
  }),
  zeroRanges: ({ isFree, ranges }: { isFree: boolean; ranges: Run[] }) => ({
    isFree: Number(isFree),
    rangeCount: ranges.length,
  }),
};

/** The header's fields as the document has them. */
const headerOf = (name: PacketTypeName, length: number, session: bigint): Values => ({
  magic: MAGIC,
  version: VERSION,
  type: PacketType[name],
  length,
  session,
});

/** Writes a packet by the document's tables alone. */
function byDocument({ name }: Codec<object>, value: object, length: number): Buffer {
  const inWords = IN_WORDS[name] as ((value: object) => Values) | undefined;
  const session = 'session' in value ? (value.session as bigint) : 0n;
  const values = { ...value, ...headerOf(name, length, session), ...inWords?.(value) };
  return writeAs([layoutOf('common header'), layoutOf(name)], values, layouts);
}

for (const codec of CODECS) {
  test(`property: ${codec.name} is, byte for byte, what the document says`, () => {
    fc.assert(
      fc.property(codec.values, (value) => {
        const bytes = codec.encode(value);
        assert.deepEqual(byDocument(codec, value, bytes.length), bytes);
      }),
    );
  });
}

test('property: a block packet is, byte for byte, what the document says', () => {
  const headers: fc.Arbitrary<BlockHeader> = fc.record({
    session: u64,
    chunk: u32,
    block: u16,
    position: u32,
    encodedLength: u24,
    space: fc.constantFrom(...(Object.values(Space) as SpaceId[])),
    encoding: fc.constantFrom(...(Object.values(Encoding) as EncodingId[])),
    variant: u8.map((variant) => variant & 15),
  });
  const payloads = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(headers, payloads, (header, payload) => {
      const bytes = Buffer.alloc(BLOCK_HEADER_BYTES + payload.length);
      writeBlockHeader(bytes, 0, header, payload.length);
      payload.copy(bytes, BLOCK_HEADER_BYTES);
      const common = headerOf('block', bytes.length, header.session);
      const values = { ...header, ...common, payload, payloadLength: payload.length };
      const written = writeAs([layoutOf('common header'), layoutOf('block')], values, layouts);
      assert.deepEqual(written, bytes);
    }),
  );
});

test('the root of a block map is, byte for byte, what the document says', () => {
  const geometry = new Geometry(3 * CHUNKS_PER_PAGE * 64 - 5, 64);
  const digest = Buffer.alloc(DIGEST_BYTES, 1);
  const written = writeAs(
    [layoutOf('map root')],
    {
      magic: Buffer.from('MCBMAP2\0'),
      imageSize: BigInt(geometry.sizeBytes),
      chunkSize: 64,
      pageCount: 3,
      pages: [digest, Buffer.alloc(DIGEST_BYTES), Buffer.alloc(DIGEST_BYTES, 0xff)].map(
        (entry) => ({ digest: entry }),
      ),
    },
    layouts,
  );
  assert.deepEqual(written, encodeRoot(geometry, [digest, 'zero', 'free']));
  const [data, free, digests] = layoutOf('map page').rows;
  assert.deepEqual([data!.size, free!.size].map(Number), [KIND_BITMAP_BYTES, KIND_BITMAP_BYTES]);
  assert.equal(Number(digests!.offset), 2 * KIND_BITMAP_BYTES);
});

/** The rows `| number | name | ... |` of the table below a heading. */
function numbersBelow(heading: string): Record<string, number> {
  const rows = tableBelow(DOCUMENT, heading);
  return Object.fromEntries(rows.map(([number, name]) => [name!, Number(number)]));
}

test('the document lists every packet, space, encoding, state and notice with its number', () => {
  assert.deepEqual(numbersBelow('Packets'), PacketType);
  assert.deepEqual(numbersBelow('Spaces'), Space);
  assert.deepEqual(numbersBelow('Encodings'), Encoding);
  assert.deepEqual(numbersBelow('States of a client'), ClientState);
  assert.deepEqual(numbersBelow('Codes of notices'), NoticeCode);
  assert.deepEqual(numbersBelow('Wishes of probes'), ProbeWish);
  assert.deepEqual(numbersBelow('Items of an identity'), IdentityTag);
  for (const [name, number] of Object.entries(PacketType)) {
    assert.match(DOCUMENT, new RegExp(`^### ${name} \\(type ${number}\\)`, 'm'));
  }
});

/** The number that a room (or one file of it) gives a constant, with products worked out. */
function constantIn(place: string, name: string): number {
  const definition = new RegExp(`const ${name}(?:: number)? = ([\\d_. *]+);`);
  const found = sourcePaths(`src/${place.split('/')[0]}`)
    .filter((path) => path.startsWith(`src/${place}`))
    .map((path) => definition.exec(readCheckout(path))?.[1])
    .filter((text) => text !== undefined);
  assert.equal(found.length, 1, `${place} defines ${name} ${found.length} times`);
  const factors = found[0]!.split('*').map((factor) => Number(factor.replaceAll('_', '')));
  return factors.reduce((product, factor) => product * factor, 1);
}

test('the times and limits that the document names are those of the code', () => {
  const rows = tableBelow(DOCUMENT, 'Times and limits');
  assert(rows.length >= 15);
  for (const [value, name, place] of rows) {
    assert.equal(Number.parseFloat(value!), constantIn(place!, name!), `${name} in ${place}`);
  }
  assert(DOCUMENT.includes(`at most ${MAX_ZERO_RANGES} |`), 'most zero ranges');
  assert(DOCUMENT.includes(`at most ${MAX_BLOCK_CHECKS} |`), 'most checks of blocks');
});
