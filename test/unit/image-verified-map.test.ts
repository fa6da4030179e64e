import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type BlockMap, BlockMapBuilder, VerifiedMap } from '../../src/image/block-map.js';
import { CHUNKS_PER_PAGE, Geometry } from '../../src/image/geometry.js';
import { digestOf } from '../digest.js';

function digestFor(chunk: number): Buffer {
  const digest = Buffer.alloc(32, 0xd1);
  digest.writeUInt32BE(chunk);
  return digest;
}

/** Three pages: some data, all zero, and a short one with data in its last chunk. */
const GEOMETRY = new Geometry((2 * CHUNKS_PER_PAGE + 37) * 16, 16);
const LAST_CHUNK = GEOMETRY.chunkCount - 1;
const DATA_CHUNKS = [0, 31, 32, 4095, LAST_CHUNK];

function makeMap(): BlockMap {
  const builder = new BlockMapBuilder(GEOMETRY, digestOf);
  for (const chunk of DATA_CHUNKS) builder.setData(chunk, digestFor(chunk));
  builder.setZeroRange(0, GEOMETRY.chunkCount);
  return builder.finish();
}

const map = makeMap();
const pages = [map.page(0)!, null, map.page(2)!] as const;

function clientWithRoot(): VerifiedMap {
  const client = new VerifiedMap(GEOMETRY, map.id, digestOf);
  assert(client.acceptRoot(map.root));
  return client;
}

/** A client of a map that is sound by its digests, but was written by an enemy. */
function hostile(geometry: Geometry, root: Buffer): VerifiedMap {
  return new VerifiedMap(geometry, digestOf(root), digestOf);
}

function rootFor(geometry: Geometry, pageBytes: readonly Buffer[]): Buffer {
  const header = Buffer.from('MCBMAP2\0'.padEnd(24, '\0'), 'latin1');
  header.writeBigUInt64BE(BigInt(geometry.sizeBytes), 8);
  header.writeUInt32BE(geometry.chunkSizeBytes, 16);
  header.writeUInt32BE(pageBytes.length, 20);
  return Buffer.concat([header, ...pageBytes.map(digestOf)]);
}

test('nothing is known, and no page is taken, before the root', () => {
  const client = new VerifiedMap(GEOMETRY, map.id, digestOf);
  assert.equal(client.hasRoot, false);
  assert.equal(client.isComplete, false);
  assert.equal(client.acceptPage(0, pages[0]), false);
  assert.equal(client.hasPage(1), false);
  assert.equal(client.kindOf(5000), 'unknown');
  assert.deepEqual([...client.missingPages()], [0, 1, 2]);
});

test('the root tells which pages are all zero; the others are waited for', () => {
  const client = clientWithRoot();
  assert.equal(client.hasRoot, true);
  assert.deepEqual([...client.missingPages()], [0, 2]);
  assert.equal(client.nextMissingPage(1), 2);
  assert.equal(client.kindOf(5000), 'zero');
  assert.equal(client.kindOf(0), 'unknown');
  assert(client.acceptPage(2, pages[2]));
  assert.equal(client.kindOf(LAST_CHUNK), 'data');
  assert.deepEqual(client.digestOf(LAST_CHUNK), digestFor(LAST_CHUNK));
  assert.equal(client.kindOf(LAST_CHUNK - 1), 'zero');
  assert.equal(client.digestOf(LAST_CHUNK - 1), null);
  assert.equal(client.pagesHad, 2);
  assert(client.acceptPage(0, pages[0]));
  assert.deepEqual(
    DATA_CHUNKS.map((chunk) => client.digestOf(chunk)),
    DATA_CHUNKS.map(digestFor),
  );
  assert(client.isComplete);
  assert.equal(client.nextMissingPage(0), -1);
});

test('a root that was changed, cut or grown anywhere is refused', () => {
  const client = new VerifiedMap(GEOMETRY, map.id, digestOf);
  const changed = Buffer.from(map.root);
  for (let offset = 0; offset < changed.length; offset += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      changed[offset]! ^= 1 << bit;
      if (client.acceptRoot(changed)) assert.fail(`byte ${offset} changed`);
      changed[offset] = map.root[offset]!;
    }
    if (client.acceptRoot(map.root.subarray(0, offset))) assert.fail(`cut to ${offset} bytes`);
  }
  assert.equal(client.acceptRoot(Buffer.concat([map.root, Buffer.alloc(1)])), false);
  assert.equal(client.hasRoot, false);
  assert(client.acceptRoot(map.root));
  // And later ones do no harm.
  assert.equal(client.acceptRoot(Buffer.alloc(map.root.length)), false);
  assert(client.acceptRoot(map.root));
  assert(client.hasRoot);
});

test('a page that was changed, cut or grown anywhere is refused', () => {
  const client = clientWithRoot();
  for (const number of [0, 2]) {
    const page = pages[number]!;
    const changed = Buffer.from(page);
    for (let offset = 0; offset < page.length; offset += 1) {
      changed[offset]! ^= 1 << (offset & 7);
      if (client.acceptPage(number, changed)) assert.fail(`byte ${offset} changed`);
      changed[offset] = page[offset]!;
      const cut = page.subarray(0, offset);
      if (client.acceptPage(number, cut)) assert.fail(`cut to ${offset} bytes`);
    }
    assert.equal(client.acceptPage(number, Buffer.concat([page, Buffer.alloc(32)])), false);
  }
  assert.equal(client.pagesHad, 1);
});

test('a page is taken only in its own place', () => {
  const client = clientWithRoot();
  for (const number of [1, 2, 3, -1, 0.5, Number.NaN, 2 ** 32]) {
    assert.equal(client.acceptPage(number, pages[0]), false);
  }
  assert.equal(client.acceptPage(1, Buffer.alloc(1024)), false);
  assert.deepEqual([...client.missingPages()], [0, 2]);
});

test('an oversized part is refused before it is hashed', () => {
  let hashedBytes = 0;
  const client = new VerifiedMap(GEOMETRY, map.id, (bytes) => {
    hashedBytes += bytes.length;
    return digestOf(bytes);
  });
  assert.equal(client.acceptRoot(Buffer.alloc(map.root.length + 1)), false);
  assert.equal(hashedBytes, 0);
  assert(client.acceptRoot(map.root));
  hashedBytes = 0;
  assert.equal(client.acceptPage(0, Buffer.alloc(client.largestPageBytes + 1)), false);
  assert.equal(hashedBytes, 0);
});

test('a root with the right digest but other sizes or no sense is refused', () => {
  const small = new Geometry(160, 16);
  const page = Buffer.alloc(1024 + 32, 1).fill(0, 1, 1024);
  const good = rootFor(small, [page]);
  assert(hostile(small, good).acceptRoot(good));
  const spoil = (change: (root: Buffer) => void): void => {
    const root = Buffer.from(good);
    change(root);
    assert.equal(hostile(small, root).acceptRoot(root), false, change.toString());
  };
  spoil((root) => root.write('MCBMAP1', 0));
  spoil((root) => root.writeUInt8(1, 7));
  spoil((root) => root.writeBigUInt64BE(159n, 8));
  spoil((root) => root.writeBigUInt64BE(0n, 8));
  spoil((root) => root.writeBigUInt64BE(2n ** 64n - 1n, 8));
  spoil((root) => root.writeBigUInt64BE(2n ** 53n + 160n, 8));
  spoil((root) => root.writeUInt32BE(32, 16));
  spoil((root) => root.writeUInt32BE(0, 16));
  spoil((root) => root.writeUInt32BE(0, 20));
  spoil((root) => root.writeUInt32BE(2, 20));
});

test('a page with the right digest but no sense is refused', () => {
  const small = new Geometry(160, 16);
  const accepts = (page: Buffer): boolean => {
    const root = rootFor(small, [page]);
    const client = hostile(small, root);
    assert(client.acceptRoot(root));
    const taken = client.acceptPage(0, page);
    assert.equal(client.hasPage(0), taken);
    return taken;
  };
  const pageOf = (bits: readonly number[], digests: number): Buffer => {
    const page = Buffer.alloc(1024 + digests * 32, 7).fill(0, 0, 1024);
    for (const bit of bits) page[bit >> 3]! |= 1 << (bit & 7);
    return page;
  };
  assert(accepts(pageOf([9], 1)));
  assert(accepts(pageOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 10)));
  // Bits of chunks that the image does not have.
  for (const bit of [10, 15, 16, 31, 32, 63, 4095]) {
    assert.equal(accepts(pageOf([bit], 1)), false, `bit ${bit}`);
    assert.equal(accepts(pageOf([0, bit], 2)), false, `bits 0 and ${bit}`);
  }
  assert.equal(accepts(pageOf([], 0)), false, 'a page of zeros does not travel');
  assert.equal(accepts(pageOf([], 1)), false);
  assert.equal(accepts(pageOf([0], 0)), false);
  assert.equal(accepts(pageOf([0, 1], 1)), false);
  assert.equal(accepts(pageOf([0], 2)), false);
  assert.equal(accepts(pageOf([0], 2).subarray(0, 1024 + 33)), false);
  assert.equal(accepts(Buffer.alloc(0)), false);
  assert.equal(accepts(Buffer.alloc(511)), false);
});

test('parts are copied: the receive buffer may be used again', () => {
  const client = new VerifiedMap(GEOMETRY, Buffer.from(map.id), digestOf);
  const buffer = Buffer.from(map.root);
  assert(client.acceptRoot(buffer));
  buffer.fill(0);
  const part = Buffer.from(pages[0]);
  assert(client.acceptPage(0, part));
  part.fill(0);
  assert.equal(client.kindOf(4095), 'data');
  assert.deepEqual(client.digestOf(4095), digestFor(4095));
  assert(client.acceptPage(2, pages[2]));
});

test('a released page keeps its kinds and gives up its digests for good', () => {
  const client = clientWithRoot();
  client.releasePage(0);
  client.releasePage(1);
  assert(client.acceptPage(0, pages[0]));
  const view = client.digestOf(31);
  client.releasePage(0);
  client.releasePage(0);
  assert.deepEqual(view, digestFor(31));
  assert.equal(client.hasPage(0), true);
  assert.equal(client.kindOf(31), 'data');
  assert.equal(client.kindOf(30), 'zero');
  assert.equal(client.digestOf(31), null);
  // A late copy of the page, on its way to someone else, must not fill the memory again.
  assert.equal(client.acceptPage(0, pages[0]), true);
  assert.equal(client.digestOf(31), null);
});

test('chunks that the image lacks are a bug of the caller', () => {
  const client = clientWithRoot();
  for (const chunk of [-1, LAST_CHUNK + 1, 0.5, Number.NaN]) {
    assert.throws(() => client.kindOf(chunk), RangeError);
    assert.throws(() => client.digestOf(chunk), RangeError);
  }
  assert.throws(() => client.hasPage(3), RangeError);
  assert.throws(() => client.releasePage(3), RangeError);
  assert.throws(() => new VerifiedMap(GEOMETRY, Buffer.alloc(31), digestOf), RangeError);
});

test('property: no bytes make a part accepted, or throw', () => {
  const fresh = new VerifiedMap(GEOMETRY, map.id, digestOf);
  const client = clientWithRoot();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), fc.integer(), (bytes, page) => {
      assert.equal(fresh.acceptRoot(Buffer.from(bytes)), false);
      assert.equal(client.acceptPage(page % 4, Buffer.from(bytes)), false);
    }),
    { seed: 1 },
  );
});
