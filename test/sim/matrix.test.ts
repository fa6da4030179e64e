/** Many small worlds with all kinds of faults, from fixed seeds: in each, everybody gets done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM, type SimOptions } from './options.js';
import { simulate } from './simulate.js';
import { swarmOptions } from './swarm.js';

const SMALL: SimOptions = { ...CALM, clients: 8, imageChunks: 64, zeros: 0.2, blank: 0.5 };

const ALL: Partial<SimOptions> = {
  loss: 0.01,
  burst: 0.0005,
  reorder: 0.01,
  duplicate: 0.01,
  late: 0.3,
  early: 0.2,
  slow: 0.2,
  crashes: 3,
  serverRestarts: 2,
  regrain: true,
  partitions: 2,
  prepareMs: 400,
  resume: 0.3,
  edits: 0.5,
  verify: 0.2,
  compress: true,
};

const CASES: Record<string, Partial<SimOptions>> = {
  'no faults': { blank: 1 },
  'no client has a blank target': { blank: 0 },
  'the map is prepared while serving': { prepareMs: 400 },
  'hardly anything but zeros': { zeros: 0.9 },
  'much that nothing uses': { free: 0.6 },
  'one client': { clients: 1, loss: 0.02 },
  'one chunk': { imageChunks: 1, loss: 0.05 },
  'some loss': { loss: 0.01 },
  'heavy loss': { loss: 0.1 },
  'bursts of loss': { burst: 0.002 },
  'packets overtake and repeat each other': { reorder: 0.1, duplicate: 0.1 },
  'bits change on the way': { damage: 0.01, compress: true },
  'bits change on the way while the map is prepared': { damage: 0.03, prepareMs: 300 },
  'most clients join late': { late: 0.8, loss: 0.005 },
  'most clients wait for the server': { early: 0.8, prepareMs: 300 },
  'clients crash': { crashes: 6, loss: 0.005 },
  'the server restarts': { serverRestarts: 3, loss: 0.005 },
  'the server restarts while it prepares the map': { serverRestarts: 3, prepareMs: 600 },
  'the server restarts, and sends blocks of another size': {
    serverRestarts: 4,
    regrain: true,
    resume: 0.7,
    edits: 0.5,
    slow: 0.4,
    damage: 0.005,
  },
  'the network falls apart': { partitions: 4, loss: 0.005 },
  'slow disks, links and processors': { slow: 0.5, loss: 0.005 },
  'the server waits for the slow': { slow: 0.3, wait: true },
  'targets that hold some of the image': { resume: 0.6, loss: 0.005, prepareMs: 200 },
  'clients crash and resume': { resume: 1, crashes: 6, loss: 0.005 },
  'copies are read back': { verify: 0.7, loss: 0.005 },
  'chunks are compressed, more or less': { compress: true, loss: 0.02 },
  'few slots at the clients': { clientSlots: 4, loss: 0.02, slow: 0.3 },
  'few slots at the server': { serverSlots: 3, loss: 0.02 },
  'many pages of the map': {
    imageChunks: 9000,
    chunkSizeBytes: 128,
    blockSizeBytes: 64,
    clients: 3,
    loss: 0.01,
    prepareMs: 300,
    serverRestarts: 1,
  },
  'all at once': ALL,
  'all at once, with the server waiting for the slow': { ...ALL, wait: true },
};

for (const [name, options] of Object.entries(CASES)) {
  test(name, () => {
    for (let seed = 1; seed <= (name === 'many pages of the map' ? 1 : 3); seed++) {
      simulate({ ...SMALL, ...options, seed });
    }
  });
}

test('worlds picked by their seeds', () => {
  for (let seed = 1; seed <= 40; seed++) simulate(swarmOptions(seed, {}));
});

test('chunks of which a block in a hundred comes damaged are mended, not sent again and again', () => {
  const long = { chunkSizeBytes: 65_536, imageChunks: 16, zeros: 0, clients: 4 };
  for (let seed = 1; seed <= 3; seed++) {
    const options = { ...SMALL, ...long, damage: 0.01, faultMs: 60_000, seed };
    const { blockRatio } = simulate(options);
    // Twice, where a page of the map came late; without mending, a chunk would need a dozen tries.
    assert.ok(blockRatio < 2.6, `${blockRatio} times the image's blocks`);
  }
});

test('200 clients', () => {
  const { blockRatio } = simulate({ ...SMALL, clients: 200, loss: 0.01, late: 0.1, seed: 7 });
  assert.ok(blockRatio < 4);
});

test('the same seed gives the same run', () => {
  const options = { ...SMALL, ...ALL, seed: 5 };
  assert.deepEqual(simulate(options), simulate(options));
});
