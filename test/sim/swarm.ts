/**
 * A world picked by its seed: each fault is there or not, mild or harsh. Mixtures that nobody
 * thought of find what lists of cases do not.
 */
import { CALM, type SimOptions } from './options.js';
import { Random } from './random.js';

/** @param given options that are not left to chance */
export function swarmOptions(seed: number, given: Partial<SimOptions>): SimOptions {
  const random = new Random(seed, 'swarm');
  const share = (most: number): number => Number((random.next() ** 2 * most).toFixed(4));
  const maybe = (most: number): number => (random.chance(0.4) ? share(most) : 0);
  const count = (most: number): number => (random.chance(0.4) ? 1 + random.below(most) : 0);
  const some = (least: number, most: number): number =>
    Math.round(Math.exp(random.between(Math.log(least), Math.log(most))));
  const chunkSizeBytes = 1 << (7 + random.below(7));
  const imageBytes = some(chunkSizeBytes, 400_000);
  return {
    ...CALM,
    seed,
    clients: some(1, 30),
    chunkSizeBytes,
    blockSizeBytes: Math.max(24, Math.floor(chunkSizeBytes / some(1, 20))),
    imageChunks: Math.max(1, Math.ceil(imageBytes / chunkSizeBytes)),
    rate: some(4_000_000, 64_000_000),
    zeros: random.chance(0.5) ? share(1) : 0,
    blank: share(1),
    loss: maybe(0.15),
    burst: maybe(0.003),
    reorder: maybe(0.2),
    duplicate: maybe(0.2),
    late: maybe(1),
    early: maybe(1),
    slow: maybe(1),
    crashes: count(6),
    serverRestarts: count(4),
    partitions: count(4),
    hostile: random.chance(0.3) ? some(50, 3000) : 0,
    prepareMs: random.chance(0.5) ? some(1, 3000) : 0,
    resume: maybe(1),
    verify: maybe(1),
    compress: random.chance(0.3),
    wait: random.chance(0.3),
    edits: new Random(seed, 'edits').chance(0.7) ? new Random(seed, 'edited').next() : 0,
    regrain: new Random(seed, 'regrain').chance(0.5),
    sealed: new Random(seed, 'sealed').chance(0.5),
    clientSlots: some(4, 40),
    serverSlots: some(1, 60),
    ...given,
  };
}
