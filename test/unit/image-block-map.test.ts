import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockMap, BlockMapBuilder, type Kind, VerifiedMap } from '../../src/image/block-map.js';
import { CHUNKS_PER_PAGE, Geometry } from '../../src/image/geometry.js';
import { digestOf } from '../digest.js';

const CHUNK_SIZE_BYTES = 16;

/** A digest for a chunk: what it is made of doesn't matter here. */
function digestFor(chunk: number): Buffer {
  const digest = Buffer.alloc(32, 0xd1);
  digest.writeUInt32BE(chunk);
  return digest;
}

function geometryOf(chunkCount: number): Geometry {
  return new Geometry(chunkCount * CHUNK_SIZE_BYTES - 5, CHUNK_SIZE_BYTES);
}

/** A map of runs that are data and zero in turn, beginning with zero. */
function mapOf(runs: readonly number[]): { map: BlockMap; kinds: boolean[] } {
  const kinds = runs.flatMap((count, index) => new Array<boolean>(count).fill(index % 2 === 1));
  const builder = new BlockMapBuilder(geometryOf(kinds.length), digestOf);
  for (const [chunk, isData] of kinds.entries()) {
    assert(isData ? builder.setData(chunk, digestFor(chunk)) : builder.setZero(chunk));
  }
  return { map: builder.finish(), kinds };
}

/** Runs for images of one to a few pages. */
const runs = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 6000 }),
    fc.constantFrom(4095, 4096, 4097),
  ),
  { minLength: 1, maxLength: 4 },
);

test('property: what the server builds, the client verifies, whatever order pages come in', () => {
  const order = fc.infiniteStream(fc.nat());
  fc.assert(
    fc.property(runs, order, (list, random) => {
      const { map, kinds } = mapOf(list);
      const { geometry } = map;
      const client = new VerifiedMap(geometry, map.id, digestOf);
      assert.equal(client.kindOf(0), 'unknown');
      assert.equal(client.rootBytes, map.root.length);
      assert(client.acceptRoot(map.root));
      let missing = [...client.missingPages()];
      while (missing.length > 0) {
        const page = missing[random.next().value! % missing.length]!;
        assert.equal(client.kindOf(geometry.firstChunkOf(page)), 'unknown');
        assert.equal(client.digestOf(geometry.firstChunkOf(page)), null);
        const bytes = map.page(page);
        assert(bytes !== null && bytes.length <= client.largestPageBytes);
        assert(client.acceptPage(page, bytes));
        assert(client.hasPage(page));
        missing = missing.filter((other) => other !== page);
        assert.deepEqual([...client.missingPages()], missing);
      }
      assert(client.isComplete);
      for (const [chunk, isData] of kinds.entries()) {
        const expected = isData ? digestFor(chunk) : null;
        if ((map.kindOf(chunk) === 'zero') === isData)
          assert.fail(`server: kind of chunk ${chunk}`);
        if (!same(map.digestOf(chunk), expected)) assert.fail(`server: digest of chunk ${chunk}`);
        if (client.kindOf(chunk) !== (isData ? 'data' : 'zero')) assert.fail(`kind of ${chunk}`);
        if (!same(client.digestOf(chunk), expected)) assert.fail(`digest of chunk ${chunk}`);
      }
      assert.equal(map.dataCount, kinds.filter(Boolean).length);
    }),
    { seed: 1, numRuns: 25 },
  );
});

function same(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}

test('property: the order in which chunks become known does not change the map', () => {
  const kinds = fc.array(fc.boolean(), { minLength: 1, maxLength: 100 });
  fc.assert(
    fc.property(kinds, fc.infiniteStream(fc.nat()), (list, random) => {
      const make = (order: number[]): BlockMap => {
        const builder = new BlockMapBuilder(geometryOf(list.length), digestOf);
        for (const chunk of order) {
          assert(!builder.isKnown(chunk) && !builder.isZero(chunk));
          assert(list[chunk] ? builder.setData(chunk, digestFor(chunk)) : builder.setZero(chunk));
          assert.equal(builder.isZero(chunk), !list[chunk]);
          assert(same(builder.digestOf(chunk), list[chunk] ? digestFor(chunk) : null));
        }
        return builder.finish();
      };
      const order = list.map((_, chunk) => chunk);
      const shuffled = order
        .map((chunk) => ({ chunk, key: random.next().value! }))
        .sort((a, b) => a.key - b.key)
        .map(({ chunk }) => chunk);
      assert.deepEqual(make(shuffled).encode(), make(order).encode());
    }),
    { seed: 1, numRuns: 50 },
  );
});

test('the bytes of a small map, to the letter', () => {
  const builder = new BlockMapBuilder(new Geometry(16 * 10 + 3, 16), digestOf);
  builder.setZeroRange(0, 11);
  const zeros = builder.finish();
  const header = '4d43424d4150320000000000000000a30000001000000001';
  assert.equal(zeros.root.toString('hex'), header + '00'.repeat(32));
  assert.equal(zeros.page(0), null);

  const other = new BlockMapBuilder(new Geometry(16 * 10 + 3, 16), digestOf);
  other.setData(9, digestFor(9));
  other.setZeroRange(2, 7);
  other.setData(0, digestFor(0));
  other.setZero(1);
  other.setZero(10);
  const map = other.finish();
  const page = Buffer.concat([
    Buffer.from([0b0000_0001, 0b0000_0010]),
    Buffer.alloc(510 + 512),
    digestFor(0),
    digestFor(9),
  ]);
  assert.deepEqual(map.page(0), page);
  assert.equal(map.root.toString('hex'), header + digestOf(page).toString('hex'));
  assert.deepEqual(map.id, digestOf(map.root));
  const file = Buffer.concat([
    Buffer.from('MCBMAPF1'),
    map.id,
    Buffer.from([0, 0, 0, 56]),
    map.root,
    Buffer.from([0, 0, 4, 64]),
    page,
  ]);
  assert.deepEqual(Buffer.concat(map.encode()), file);
});

test('a chunk learnt twice: the answer says whether it agrees, and the first stands', () => {
  const builder = new BlockMapBuilder(geometryOf(CHUNKS_PER_PAGE + 10), digestOf);
  const check = (): void => {
    assert.equal(builder.setData(3, digestFor(3)), true);
    assert.equal(builder.setData(3, digestFor(4)), false);
    assert.equal(builder.setZero(3), false);
    assert.equal(builder.setZero(4), true);
    assert.equal(builder.setData(4, digestFor(4)), false);
    assert.deepEqual(builder.digestOf(3), digestFor(3));
    assert.equal(builder.isZero(4), true);
    assert.equal(builder.isZero(3), false);
  };
  assert.equal(builder.setData(3, digestFor(3)), true);
  assert.equal(builder.setZero(4), true);
  assert.equal(builder.knownCount, 2);
  check();
  // A range over the page's border, with a data chunk in it.
  assert.equal(builder.setZeroRange(0, CHUNKS_PER_PAGE + 5), false);
  assert.equal(builder.knownCount, CHUNKS_PER_PAGE + 5);
  assert.equal(builder.nextUnknown(0), CHUNKS_PER_PAGE + 5);
  check();
  assert.throws(() => builder.finish());
  assert.equal(builder.setZeroRange(CHUNKS_PER_PAGE, 10), true);
  assert(builder.isComplete);
  const map = builder.finish();
  assert.equal(builder.finish(), map);
  check();
  assert.deepEqual(
    [0, 1].map((page) => map.page(page)?.length ?? null),
    [1056, null],
  );
});

test('the builder keeps its own copy of a digest', () => {
  const builder = new BlockMapBuilder(geometryOf(1), digestOf);
  const digest = digestFor(0);
  builder.setData(0, digest);
  digest.fill(0);
  assert.deepEqual(builder.finish().digestOf(0), digestFor(0));
});

test('an image of zeros is described by its root alone', () => {
  const geometry = geometryOf(20_000_000);
  const builder = new BlockMapBuilder(geometry, digestOf);
  assert(builder.setZeroRange(0, geometry.chunkCount));
  const map = builder.finish();
  const client = new VerifiedMap(geometry, map.id, digestOf);
  assert(client.acceptRoot(map.root));
  assert(client.isComplete);
  assert.equal(client.kindOf(geometry.chunkCount - 1), 'zero');
  assert.equal(map.kindOf(geometry.chunkCount - 1) === 'zero', true);
});

test('chunks and pages that the image lacks are a bug of the caller', () => {
  const { map } = mapOf([3, 3]);
  for (const chunk of [-1, 6, 0.5, Number.NaN]) {
    assert.throws(() => map.kindOf(chunk) === 'zero', RangeError);
    assert.throws(() => map.digestOf(chunk), RangeError);
  }
  assert.throws(() => map.page(1), RangeError);
  const builder = new BlockMapBuilder(map.geometry, digestOf);
  assert.throws(() => builder.setZeroRange(4, 3), RangeError);
  assert.throws(() => builder.setData(6, digestFor(6)), RangeError);
  assert.throws(() => builder.setData(0, Buffer.alloc(31)), RangeError);
  assert.equal(builder.knownCount, 0);
});

test('property: a map file reads back as the same map', () => {
  fc.assert(
    fc.property(runs, (list) => {
      const { map, kinds } = mapOf(list);
      const file = Buffer.concat(map.encode());
      const read = BlockMap.decode(file, digestOf);
      assert(read !== null);
      assert.deepEqual(read.id, map.id);
      assert.deepEqual(read.geometry, map.geometry);
      assert.equal(read.dataCount, map.dataCount);
      for (const chunk of kinds.keys()) {
        if (!same(read.digestOf(chunk), map.digestOf(chunk))) assert.fail(`chunk ${chunk}`);
      }
      assert.deepEqual(Buffer.concat(read.encode()), file);
    }),
    { seed: 1, numRuns: 15 },
  );
});

test('a map file that was cut, grown or changed anywhere is refused', () => {
  const { map } = mapOf([2, 5, CHUNKS_PER_PAGE, 3]);
  const file = Buffer.concat(map.encode());
  for (let length = 0; length < file.length; length += 1) {
    if (BlockMap.decode(file.subarray(0, length), digestOf)) assert.fail(`cut to ${length} bytes`);
  }
  assert.equal(BlockMap.decode(Buffer.concat([file, Buffer.alloc(1)]), digestOf), null);
  const changed = Buffer.from(file);
  for (let offset = 0; offset < file.length; offset += 1) {
    changed[offset]! ^= 1 << (offset & 7);
    if (BlockMap.decode(changed, digestOf)) assert.fail(`byte ${offset} changed`);
    changed[offset] = file[offset]!;
  }
  assert.notEqual(BlockMap.decode(changed, digestOf), null);
});

test('a map file whose root is sound by its digest, but of another length, is refused', () => {
  const { map } = mapOf([3]);
  const fileOf = (root: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from('MCBMAPF1'),
      digestOf(root),
      Buffer.from([0, 0, 0, root.length]),
      root,
    ]);
  assert.notEqual(BlockMap.decode(fileOf(map.root), digestOf), null);
  assert.equal(
    BlockMap.decode(fileOf(Buffer.concat([map.root, Buffer.alloc(32)])), digestOf),
    null,
  );
  for (let length = 0; length < map.root.length; length += 1) {
    assert.equal(BlockMap.decode(fileOf(map.root.subarray(0, length)), digestOf), null);
  }
});

test('property: no bytes make reading a map file throw', () => {
  const magic = Buffer.from('MCBMAPF1');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withMagic) => {
      const file = withMagic ? Buffer.concat([magic, bytes]) : Buffer.from(bytes);
      assert.equal(BlockMap.decode(file, digestOf), null);
    }),
    { seed: 1 },
  );
});

test('property: data, zeros and what is free come out as they went in, in any order', () => {
  const kinds: fc.Arbitrary<Kind[]> = fc.array(fc.constantFrom('data', 'zero', 'free'), {
    minLength: 1,
    maxLength: 200,
  });
  const places = fc.constantFrom(0, CHUNKS_PER_PAGE - 100, CHUNKS_PER_PAGE);
  const others = fc.constantFrom<Kind>('data', 'zero', 'free');
  fc.assert(
    fc.property(kinds, places, others, (list, place, other) => {
      const geometry = geometryOf(2 * CHUNKS_PER_PAGE + 7);
      const kindAt = (chunk: number): Kind => list[chunk - place] ?? other;
      const builder = new BlockMapBuilder(geometry, digestOf);
      for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
        if (kindAt(chunk) === 'free') builder.setFreeRange(chunk, 1);
      }
      for (let chunk = geometry.chunkCount - 1; chunk >= 0; chunk--) {
        if (kindAt(chunk) === 'data') assert(builder.setData(chunk, digestFor(chunk)));
      }
      // What is free reads as zeros, and stays free.
      builder.setZeroRange(0, geometry.chunkCount);
      const built = builder.finish();
      const decoded = BlockMap.decode(Buffer.concat(built.encode()), digestOf);
      const client = new VerifiedMap(geometry, built.id, digestOf);
      assert(decoded !== null && client.acceptRoot(built.root));
      for (const page of client.missingPages()) assert(client.acceptPage(page, built.page(page)!));
      assert(client.isComplete);
      for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
        for (const map of [built, decoded, client]) {
          if (map.kindOf(chunk) !== kindAt(chunk)) assert.fail(`kind of chunk ${chunk}`);
        }
        const digest = client.digestOf(chunk);
        assert.equal(digest === null, kindAt(chunk) !== 'data');
        if (digest !== null) assert.deepEqual(digest, digestFor(chunk));
      }
    }),
    { numRuns: 25 },
  );
});

test('a page of free chunks costs nothing, and nothing is free that is known', () => {
  const geometry = geometryOf(2 * CHUNKS_PER_PAGE);
  const builder = new BlockMapBuilder(geometry, digestOf);
  builder.setFreeRange(CHUNKS_PER_PAGE, CHUNKS_PER_PAGE);
  builder.setZeroRange(0, CHUNKS_PER_PAGE);
  assert.throws(() => builder.setFreeRange(CHUNKS_PER_PAGE - 1, 1), /known/);
  const map = builder.finish();
  assert.deepEqual([map.page(0), map.page(1)], [null, null]);
  assert.deepEqual(map.root.subarray(-64, -32), Buffer.alloc(32));
  assert.deepEqual(map.root.subarray(-32), Buffer.alloc(32, 0xff));
  assert.equal(map.kindOf(CHUNKS_PER_PAGE - 1), 'zero');
  assert.equal(map.kindOf(CHUNKS_PER_PAGE), 'free');
});
