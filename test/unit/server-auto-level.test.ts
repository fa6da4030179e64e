import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AutoLevel } from '../../src/server/source/auto-level.js';

const CHUNK_BYTES = 1_048_576;

/** A server's chunks at each level: image bytes per ms that cores and network allow. */
interface Scene {
  level: AutoLevel;
  /** How fast the cores read and compress. */
  coresPerMs: (level: number) => number;
  /** How fast the network takes image bytes at a level. */
  networkPerMs: (level: number) => number;
}

/** Plays `ms` of a pass. @returns image bytes moved, by level */
function play(scene: Scene, fromMs: number, ms: number): Map<number, number> {
  const moved = new Map<number, number>();
  for (let now = fromMs; now < fromMs + ms; ) {
    const { level } = scene.level;
    const cores = scene.coresPerMs(level);
    const network = scene.networkPerMs(level);
    now += CHUNK_BYTES / Math.min(cores, network);
    const note = { lengthBytes: CHUNK_BYTES, isBehind: cores < network, hasShrunk: level > 0 };
    scene.level.note(note, now);
    moved.set(level, (moved.get(level) ?? 0) + CHUNK_BYTES);
  }
  return moved;
}

const shareOf = (moved: Map<number, number>, level: number): number =>
  (moved.get(level) ?? 0) / [...moved.values()].reduce((sum, bytes) => sum + bytes, 0);

const ratioOf = (level: number): number => ({ 0: 1, 1: 2.3, 3: 2.5 })[level]!;
const oneCore = (level: number): number => ({ 0: 1_500_000, 1: 300_000, 3: 200_000 })[level]!;

test('a network slower than the cores gets everything at the best level', () => {
  for (const wirePerMs of [1250, 12_500, 60_000]) {
    const scene: Scene = {
      level: new AutoLevel(null),
      coresPerMs: oneCore,
      networkPerMs: (level) => wirePerMs * ratioOf(level),
    };
    assert.equal(shareOf(play(scene, 0, 20_000), 3), 1);
  }
});

test('where the best level holds the network back, a faster one takes over', () => {
  const scene: Scene = {
    level: new AutoLevel(118_000),
    coresPerMs: oneCore,
    networkPerMs: (level) => 118_000 * ratioOf(level),
  };
  assert.ok(shareOf(play(scene, 0, 10_000), 1) > 0.8);
});

test('raw takes over on a network that is known to be faster than the cores', () => {
  const scene: Scene = {
    level: new AutoLevel(1_250_000),
    coresPerMs: oneCore,
    networkPerMs: (level) => 1_100_000 * ratioOf(level),
  };
  // A copy of a second or two is over before: no byte more than need be is on its way.
  assert.equal(shareOf(play(scene, 0, 1500), 0), 0);
  play(scene, 1500, 4000);
  assert.equal(scene.level.level, 0);
  assert.ok(shareOf(play(scene, 4000, 60_000), 0) > 0.9);
});

test('raw is found in the end on a fast network of unknown speed', () => {
  const scene: Scene = {
    level: new AutoLevel(null),
    coresPerMs: oneCore,
    networkPerMs: (level) => 1_100_000 * ratioOf(level),
  };
  assert.equal(shareOf(play(scene, 0, 5000), 0), 0);
  play(scene, 5000, 15_000);
  assert.ok(shareOf(play(scene, 20_000, 60_000), 0) > 0.9);
});

test('raw is not tried on a link that is known to be slower than what compressing moves', () => {
  const scene: Scene = {
    level: new AutoLevel(125_000),
    coresPerMs: oneCore,
    networkPerMs: (level) => 118_000 * ratioOf(level),
  };
  assert.equal(shareOf(play(scene, 0, 60_000), 0), 0);
});

test('tries that are in vain get rare', () => {
  // Raw is slower than level 1, but the speed of the link is not known.
  const scene: Scene = {
    level: new AutoLevel(null),
    coresPerMs: (level) => (level === 3 ? 100_000 : oneCore(level)),
    networkPerMs: (level) => (level === 0 ? 150_000 : 400_000),
  };
  const moved = play(scene, 0, 600_000);
  assert.ok(shareOf(moved, 1) > 0.95);
});

test('comes back to compressing when the network becomes slow', () => {
  let wirePerMs = 1_100_000;
  const scene: Scene = {
    level: new AutoLevel(1_250_000),
    coresPerMs: oneCore,
    networkPerMs: (level) => wirePerMs * ratioOf(level),
  };
  play(scene, 0, 6000);
  assert.equal(scene.level.level, 0);
  wirePerMs = 50_000;
  play(scene, 6000, 140_000);
  assert.equal(scene.level.level, 3);
});

test('learns nothing from chunks that do not shrink, nor across pauses', () => {
  const level = new AutoLevel(1_250_000);
  for (let now = 0; now < 20_000; now++) {
    level.note({ lengthBytes: CHUNK_BYTES, isBehind: true, hasShrunk: false }, now);
  }
  assert.equal(level.level, 3);
  for (let now = 20_000; now < 60_000; now += 150) {
    level.note({ lengthBytes: CHUNK_BYTES, isBehind: true, hasShrunk: true }, now);
  }
  assert.equal(level.level, 3);
});
