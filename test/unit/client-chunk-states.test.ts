import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkStates } from '../../src/client/copy/chunk-states.js';
import { Assembly } from '../../src/client/copy/partial-chunk.js';
import { TargetWrites } from '../../src/client/copy/target-writes.js';
import { Outbox } from '../../src/client/outputs.js';
import { StreamCounters } from '../../src/client/reports.js';
import { type BlockMap, BlockMapBuilder } from '../../src/image/block-map.js';
import {
  CHUNKS_PER_PAGE,
  Geometry,
  MAX_CHUNK_SIZE_BYTES,
  MAX_IMAGE_SIZE_BYTES,
} from '../../src/image/geometry.js';
import type { Run } from '../../src/protocol/run.js';
import { digestOf } from '../digest.js';
import { CHUNK_SIZE, contentOf } from './server-driver.js';

const CHUNKS = 12;
const geometry = new Geometry((CHUNKS - 1) * CHUNK_SIZE + 5, CHUNK_SIZE);
const FRESH = { holdsEarlierData: false, keepsDigests: false };

/** What a chunk's place on the target can hold. */
type Content = 'good' | 'bad' | 'zeros' | 'old';

const digestAs = (chunk: number, content: Content) =>
  digestOf(content === 'good' ? contentOf(chunk) : Buffer.from(`${content} ${chunk}`));

function mapOf(zeros: readonly boolean[], size = geometry): BlockMap {
  const builder = new BlockMapBuilder(size, digestOf);
  for (let chunk = 0; chunk < size.chunkCount; chunk++) {
    if (zeros[chunk] === true) builder.setZero(chunk);
    else builder.setData(chunk, digestAs(chunk, 'good'));
  }
  return builder.finish();
}

/** A copy, the target it speaks of, and what is on its way there. */
class Bench {
  readonly states = new ChunkStates(geometry, digestOf, FRESH);
  readonly target: Content[] = new Array(CHUNKS).fill('old');
  private readonly underway = new Map<number, Content>();
  private readonly map: BlockMap;

  constructor(readonly zeros: readonly boolean[]) {
    this.map = mapOf(zeros);
  }

  truth(chunk: number): Content {
    return this.zeros[chunk] === true ? 'zeros' : 'good';
  }

  arrive(chunk: number, content: 'good' | 'bad'): void {
    if (this.states.isSettled(chunk)) return;
    this.states.storing(chunk);
    this.underway.set(chunk, content);
  }

  arriveZeros(first: number, count: number): void {
    this.storeZeros(this.states.missingThatMayBe('zero', first, count));
  }

  storeZeros(runs: readonly Run[]): void {
    for (const { first, count } of runs) {
      for (let chunk = first; chunk < first + count; chunk++) {
        assert.equal(this.states.isSettled(chunk), false);
        this.states.storing(chunk);
        this.underway.set(chunk, 'zeros');
      }
    }
  }

  /** A write ends; as the driver does, nothing is written that has another digest than is known. */
  finish(chunk: number): void {
    const content = this.underway.get(chunk);
    if (content === undefined) return;
    this.underway.delete(chunk);
    if (content === 'zeros') {
      this.target[chunk] = content;
      this.states.storedBlank('zero', chunk, 1);
      return;
    }
    const digest = digestAs(chunk, content);
    const expected = this.states.expectedOf(chunk);
    if (expected?.equals(digest) !== false) this.target[chunk] = content;
    if (!this.states.stored(chunk, digest)) this.states.notStored(chunk);
  }

  learnRoot(): void {
    if (this.states.map !== null) return;
    this.states.beginMap(this.map.id);
    assert(this.states.map!.acceptRoot(this.map.root));
    this.states.proveWholePage(0);
    this.storeZeros(this.states.judgePage(0).zeros);
  }

  learnMap(): void {
    this.learnRoot();
    const map = this.states.map!;
    if (map.isComplete) return;
    assert(map.acceptPage(0, this.map.page(0)!));
    this.storeZeros(this.states.judgePage(0).zeros);
  }

  /** Holds the copy's own account against the target. */
  check(): void {
    const { states: copy } = this;
    const at = [...Array(CHUNKS).keys()].filter(
      (chunk) => copy.isSettled(chunk) && !this.underway.has(chunk),
    );
    assert.equal(copy.missingCount, CHUNKS - at.length);
    const bytes = at.reduce((sum, chunk) => sum + geometry.chunkLength(chunk), 0);
    assert.equal(copy.writtenBytes, bytes);
    assert.equal(copy.isWhole, at.length === CHUNKS);
    assert.equal(copy.isProven, copy.provenCount === CHUNKS);
    if (!copy.map?.isComplete) {
      assert.equal(copy.provenBytes, 0);
      return;
    }
    // With the map at hand, what is at its place is right, and proven.
    assert.equal(copy.provenBytes, bytes);
    for (const chunk of at) assert.equal(this.target[chunk], this.truth(chunk), `chunk ${chunk}`);
  }
}

const chunks = fc.nat({ max: CHUNKS - 1 });
const acts = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('good', 'bad', 'finish'), chunks) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('zeros'), chunks) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('root', 'map'), chunks) },
  ),
  { maxLength: 60 },
);
const zeroes = fc.array(fc.boolean(), { minLength: CHUNKS, maxLength: CHUNKS });

test(
  'property: whatever arrives, before the map or after it, nothing wrong is ever counted ' +
    'as proven',
  () => {
    fc.assert(
      fc.property(zeroes, acts, (zeros, list) => {
        const bench = new Bench(zeros);
        for (const [act, chunk] of list) {
          if (act === 'good' || act === 'bad') bench.arrive(chunk, act);
          if (act === 'zeros') bench.arriveZeros(chunk, Math.min(3, CHUNKS - chunk));
          if (act === 'finish') bench.finish(chunk);
          if (act === 'root') bench.learnRoot();
          if (act === 'map') bench.learnMap();
          bench.check();
        }
        // In the end everything arrives as it should, and the copy is whole.
        bench.learnMap();
        for (let round = 0; round < 2; round++) {
          for (let chunk = 0; chunk < CHUNKS; chunk++) {
            bench.finish(chunk);
            if (zeros[chunk] === true) bench.arriveZeros(chunk, 1);
            else bench.arrive(chunk, 'good');
            bench.finish(chunk);
          }
        }
        bench.check();
        assert.equal(bench.states.isProven, true);
      }),
    );
  },
);

for (const rootComes of ['after the last chunk', 'before it']) {
  test(`a page whose chunks are all here needs nothing but the root, which comes ${rootComes}`, () => {
    const zeros = [false, true, true, false, true];
    const bench = new Bench(zeros);
    const arrive = (chunk: number) => {
      if (zeros[chunk]) bench.arriveZeros(chunk, 1);
      else bench.arrive(chunk, 'good');
      bench.finish(chunk);
    };
    for (let chunk = 0; chunk < CHUNKS - 1; chunk++) arrive(chunk);
    if (rootComes === 'before it') bench.learnRoot();
    assert.equal(bench.states.provenCount, 0);
    arrive(CHUNKS - 1);
    bench.learnRoot();
    bench.check();
    assert.equal(bench.states.isProven, true);
    assert.equal(bench.states.map!.isComplete, true);
  });
}

test('one wrong chunk, and the root proves nothing of its page: the page tells which it is', () => {
  const bench = new Bench([]);
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    bench.arrive(chunk, chunk === 7 ? 'bad' : 'good');
    bench.finish(chunk);
  }
  bench.learnRoot();
  assert.deepEqual([bench.states.isWhole, bench.states.provenCount], [true, 0]);
  bench.learnMap();
  assert.deepEqual([bench.states.isWanted(7), bench.states.provenCount], [true, CHUNKS - 1]);
});

test('zeros where the map has data, and data where it has zeros, are refuted', () => {
  const bench = new Bench([true, false, true, false]);
  bench.arrive(0, 'bad');
  bench.arriveZeros(1, 2);
  bench.arrive(3, 'bad');
  for (const chunk of [0, 1, 2, 3]) bench.finish(chunk);
  assert.equal(bench.states.missingCount, CHUNKS - 4);
  bench.learnMap();
  assert.equal(bench.states.missingCount, CHUNKS - 1, 'only chunk 2 is what it should be');
  assert.equal(bench.states.provenCount, 1);
  assert.equal(bench.states.isWanted(1), true);
});

test('a page of zeros needs nothing but the root, and other pages are judged as they come', () => {
  const size = new Geometry((2 * CHUNKS_PER_PAGE + 2) * 16, 16);
  const zeros = Array.from(
    { length: size.chunkCount },
    (_, chunk) => Math.floor(chunk / CHUNKS_PER_PAGE) === 1,
  );
  const map = mapOf(zeros, size);
  const copy = new ChunkStates(size, digestOf, FRESH);
  copy.stored(0, digestAs(0, 'good'));
  copy.stored(1, digestAs(1, 'bad'));
  copy.stored(2 * CHUNKS_PER_PAGE, digestAs(2 * CHUNKS_PER_PAGE, 'good'));
  copy.beginMap(map.id);
  assert.deepEqual(copy.judgePage(1), { zeros: [], free: [], refuted: 0 });
  assert(copy.map!.acceptRoot(map.root));
  const zeroPage = [{ first: CHUNKS_PER_PAGE, count: CHUNKS_PER_PAGE }];
  assert.deepEqual(copy.judgePage(1).zeros, zeroPage);
  assert.equal(copy.provenCount, 0, 'pages 0 and 2 have still to come');
  assert(copy.map!.acceptPage(2, map.page(2)!));
  assert.deepEqual(copy.judgePage(2), { zeros: [], free: [], refuted: 0 });
  assert.equal(copy.provenCount, 1);
  assert(copy.map!.acceptPage(0, map.page(0)!));
  assert.deepEqual(copy.judgePage(0), { zeros: [], free: [], refuted: 1 });
  assert.equal(copy.provenCount, 2);
});

test('what the target held before is kept where it fits, and asked for where it does not', () => {
  const options = { holdsEarlierData: true, keepsDigests: false };
  const copy = new ChunkStates(geometry, digestOf, options);
  const map = mapOf([true, true]);
  copy.beginMap(map.id);
  copy.map!.acceptRoot(map.root);
  copy.map!.acceptPage(0, map.page(0)!);
  assert.deepEqual(copy.judgePage(0), { zeros: [], free: [], refuted: 0 });
  assert.deepEqual([copy.uncheckedCount, copy.wantedCount], [CHUNKS, 0]);
  assert.equal(copy.checked(0, null), true);
  assert.equal(copy.checked(1, digestAs(1, 'old')), false);
  assert.equal(copy.checked(2, digestAs(2, 'good')), true);
  assert.equal(copy.checked(3, null), false);
  assert.equal(copy.provenCount, 2);
  assert.deepEqual([copy.isWanted(1), copy.isWanted(2), copy.isWanted(3)], [true, false, true]);
  // A chunk that came from the network while it was looked at: what was seen may be torn.
  copy.storing(4);
  assert.equal(copy.checked(4, digestAs(4, 'good')), true);
  assert.equal(copy.provenCount, 2);
  assert.equal(copy.isUnchecked(4), false);
  copy.stopChecking();
  assert.deepEqual([copy.uncheckedCount, copy.wantedCount], [0, CHUNKS - 2]);
});

test('a chunk that is read back as something else is proven no more, until it fits again', () => {
  const copy = new ChunkStates(geometry, digestOf, { holdsEarlierData: false, keepsDigests: true });
  const map = mapOf([]);
  copy.beginMap(map.id);
  copy.map!.acceptRoot(map.root);
  copy.map!.acceptPage(0, map.page(0)!);
  for (let chunk = 0; chunk < CHUNKS; chunk++) copy.stored(chunk, digestAs(chunk, 'good'));
  assert.equal(copy.isProven, true);
  for (let chunk = 0; chunk < CHUNKS; chunk++) copy.doubt(chunk);
  assert.deepEqual([copy.provenCount, copy.provenBytes, copy.writtenBytes], [0, 0, 0]);
  assert.equal(copy.wantedCount, 0, 'nothing is asked for before it was looked at');
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    assert.equal(copy.checked(chunk, digestAs(chunk, chunk === 7 ? 'bad' : 'good')), chunk !== 7);
  }
  assert.deepEqual([copy.provenCount, copy.wantedCount], [CHUNKS - 1, 1]);
  copy.storing(7);
  assert.equal(copy.stored(7, digestAs(7, 'good')), true);
  assert.equal(copy.isProven, true);
});

test('chunks that the source cannot give are not asked for, but count when they come after all', () => {
  const bench = new Bench([]);
  const { states: copy } = bench;
  bench.arrive(5, 'good');
  copy.giveUp(4, 3);
  const given: number[][] = [];
  copy.forEachUnreadable((first, count) => given.push([first, count]) > 0);
  assert.deepEqual(given, [
    [4, 1],
    [6, 1],
  ]);
  assert.deepEqual([copy.isWanted(4), copy.lacksOnlyUnreadable], [false, false]);
  for (const chunk of [0, 1, 2, 3, 5, 7, 8, 9, 10, 11]) {
    bench.arrive(chunk, 'good');
    bench.finish(chunk);
  }
  assert.equal(copy.lacksOnlyUnreadable, true);
  for (const chunk of [4, 6]) {
    bench.arrive(chunk, 'good');
    bench.finish(chunk);
  }
  assert.deepEqual([copy.isWhole, copy.lacksOnlyUnreadable], [true, false]);
});

test('the zeros of the largest image are one run, and cost no list of their chunks', () => {
  const huge = new Geometry(MAX_IMAGE_SIZE_BYTES, MAX_CHUNK_SIZE_BYTES);
  const copy = new ChunkStates(huge, digestOf, FRESH);
  const all = [{ first: 0, count: huge.chunkCount }];
  assert.deepEqual(copy.missingThatMayBe('zero', 0, huge.chunkCount), all);
  const storing = new TargetWrites(
    copy,
    new Assembly([], () => {}),
    new StreamCounters(0),
    false,
    false,
    new Outbox(),
  );
  storing.blank('zero', all);
  const first = storing.poll();
  assert(first?.kind === 'store-zeros' && first.first === 0 && first.lengthBytes === 64 * 2 ** 20);
  const second = storing.poll();
  assert(second?.kind === 'store-zeros' && second.first === first.count);
});

test('what is free counts as had and proven, unasked and unseen, before and behind the map', () => {
  const builder = new BlockMapBuilder(geometry, digestOf);
  builder.setFreeRange(1, 3);
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    if (!builder.isFree(chunk)) builder.setData(chunk, digestAs(chunk, 'good'));
  }
  const map = builder.finish();
  for (const holdsEarlierData of [false, true]) {
    const copy = new ChunkStates(geometry, digestOf, { holdsEarlierData, keepsDigests: false });
    const heard = copy.missingThatMayBe('free', 1, 2);
    assert.deepEqual(heard, holdsEarlierData ? [] : [{ first: 1, count: 2 }]);
    for (const { first, count } of heard) copy.storedBlank('free', first, count);
    // What was said before the map came, and was not true.
    if (!holdsEarlierData) copy.storedBlank('free', 5, 1);
    copy.beginMap(map.id);
    assert(copy.map!.acceptRoot(map.root));
    assert(copy.map!.acceptPage(0, map.page(0)!));
    const verdict = copy.judgePage(0);
    assert.deepEqual(verdict, {
      zeros: [],
      free: [holdsEarlierData ? { first: 1, count: 3 } : { first: 3, count: 1 }],
      refuted: holdsEarlierData ? 0 : 1,
    });
    for (const { first, count } of verdict.free) copy.storedBlank('free', first, count);
    assert.equal(copy.freeBytes, geometry.rangeLength(1, 3));
    assert.equal(copy.provenBytes, copy.freeBytes);
    assert.equal(copy.uncheckedCount, holdsEarlierData ? CHUNKS - 3 : 0);
    assert.equal(copy.isSettled(5), false);
    assert.deepEqual(copy.missingThatMayBe('zero', 0, CHUNKS), []);
  }
});
