/**
 * However many clients there are, the wire carries no more than 2,500 control packets in any
 * second: the witness of each world counts them, in both directions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM, type SimOptions } from './options.js';
import { simulate } from './simulate.js';
import { World } from './world.js';

/** A pass of about a second, with so few packets that thousands of clients can be simulated. */
const TINY: SimOptions = {
  ...CALM,
  seed: 5,
  imageChunks: 8,
  chunkSizeBytes: 1024,
  blockSizeBytes: 1024,
  rate: 64_000,
  serverRestarts: 1,
  healMs: 60_000,
};

for (const [clients, options] of [
  [40, { imageChunks: 32, rate: 256_000 }],
  [300, { imageChunks: 32, rate: 256_000 }],
  [300, { imageChunks: 32, rate: 256_000, loss: 0.05, late: 0.3 }],
  [1000, { imageChunks: 4, rate: 32_000 }],
  [3000, { imageChunks: 2, rate: 16_000 }],
] as [number, Partial<SimOptions>][]) {
  const faults = (options.loss ?? 0) > 0 ? ', some of them late, with loss,' : '';
  test(`${clients} clients at once${faults} and a restart of the server`, () => {
    const result = simulate({ ...TINY, ...options, clients });
    assert.equal(result.serverRestarts, 1);
    assert.ok(result.controlPeakPerSecond <= 2500);
  });
}

/** @param openMs how long a client takes to open its disk; each another time if not given */
function firstBlockMs(seed: number, openMs?: number): number {
  const world = new World({ ...CALM, seed, clients: 40 });
  world.addServer('server').start(0);
  for (let i = 0; i < 40; i++) {
    const client = world.addClient();
    if (openMs !== undefined) client.settings.openMs = openMs;
    client.start();
  }
  const startMs = world.agenda.now;
  world.runUntil(startMs + 1000, () => world.witness.blocksSent > 0);
  return world.agenda.now - startMs;
}

test('of 40 clients that start at once, one gets the first block as soon as a disk is open', () => {
  for (let seed = 1; seed <= 20; seed++) {
    assert.ok(firstBlockMs(seed, 2) < 5, `seed ${seed}: ${firstBlockMs(seed, 2)} ms`);
    assert.ok(firstBlockMs(seed) < 10, `seed ${seed}: ${firstBlockMs(seed)} ms`);
  }
});

test('a client that comes alone to a server that has hundreds does not wait its turn for long', () => {
  const world = new World({ ...TINY, clients: 300, serverRestarts: 0, imageChunks: 64 });
  world.addServer('server').start(0);
  for (let i = 0; i < 300; i++) world.addClient().start();
  world.runFor(5000);
  assert.ok(!world.isFinished);
  const late = world.addClient();
  late.settings.openMs = 2;
  late.start();
  const startMs = world.agenda.now;
  world.runUntil(startMs + 5000, () => late.machine?.description != null);
  assert.ok(world.agenda.now - startMs < 50, `${world.agenda.now - startMs} ms`);
});
