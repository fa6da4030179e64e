/**
 * What the whole idea rests on: however many clients ask, the wire carries each block about once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectedSends } from './bounds.js';
import { CALM, passMs, type SimOptions } from './options.js';
import type { SimServer } from './sim-server.js';
import { World } from './world.js';

/** A pass of some seconds, beside which the first milliseconds do not count. */
const LONG: SimOptions = { ...CALM, imageChunks: 512, clients: 20 };

function begin(options: SimOptions): { world: World; server: SimServer } {
  const world = new World(options);
  const server = world.addServer('server');
  server.start(options.prepareMs);
  return { world, server };
}

function join(world: World, count: number, afterMs: (i: number) => number): void {
  for (let i = 0; i < count; i++) {
    const client = world.addClient();
    client.settings.openMs = 2;
    world.agenda.after(afterMs(i), () => client.start());
  }
}

/** Blocks sent over blocks that had to be. */
function assertBlocks(world: World, needed: number, most: number): void {
  const ratio = world.witness.blocksSent / needed;
  assert.ok(ratio <= most, `sent ${world.witness.blocksSent} for ${needed}: ${ratio.toFixed(3)}`);
}

test('20 clients that ask for everything at once cost one pass', () => {
  const { world } = begin({ ...LONG, seed: 21 });
  join(world, 20, () => 0);
  world.finishWithin(30_000);
  assertBlocks(world, world.image.dataBlocks, 1.02);
});

test('20 clients that ask for overlapping ranges cost one pass over what all of them lack', () => {
  const { world } = begin({ ...LONG, seed: 22 });
  join(world, 20, () => 0);
  // Each is cut off for a while, but all within a fifth of the pass.
  const longMs = passMs(world.options);
  let firstCut = 0;
  let lastCut = 0;
  const cutFrom = world.agenda.now + 0.3 * longMs;
  world.agenda.at(cutFrom, () => {
    firstCut = world.witness.blocksSent;
  });
  for (const [i, { down }] of world.clients.entries()) {
    const fromMs = cutFrom + 0.1 * longMs * (i / 20);
    world.agenda.at(fromMs, () => {
      down.isCut = true;
    });
    world.agenda.at(fromMs + 0.1 * longMs, () => {
      down.isCut = false;
      lastCut = world.witness.blocksSent;
    });
  }
  world.finishWithin(30_000);
  assertBlocks(world, world.image.dataBlocks + lastCut - firstCut, 1.02);
});

test('late joiners share one more partial pass', () => {
  const { world } = begin({ ...LONG, seed: 23 });
  const longMs = passMs(world.options);
  join(world, 20, (i) => (i < 10 ? 0 : longMs * (0.05 * i - 0.4)));
  world.finishWithin(30_000);
  const missed = Math.max(...world.clients.map((client) => client.blocksMissed));
  assert.ok(missed > 0.3 * world.image.dataBlocks, 'somebody was late');
  assertBlocks(world, world.image.dataBlocks + missed, 1.05);
});

test('a client that comes when all is over costs one pass', () => {
  const { world } = begin({ ...LONG, seed: 24 });
  join(world, 5, () => 0);
  world.finishWithin(30_000);
  join(world, 1, () => 2000);
  world.finishWithin(30_000);
  assertBlocks(world, 2 * world.image.dataBlocks, 1.02);
});

for (const { loss, clients } of [
  { loss: 0.01, clients: 1 },
  { loss: 0.01, clients: 5 },
  { loss: 0.01, clients: 20 },
]) {
  test(`${clients} clients that each lose ${100 * loss} % cost little more than they must`, () => {
    const { world } = begin({ ...LONG, seed: 25, loss });
    join(world, clients, () => 0);
    world.finishWithin(30_000);
    assertBlocks(world, world.image.dataBlocks * expectedSends(loss, clients), 1.1);
  });
}

test('repairs of chunks that must be read again slow the pass, which makes more of them', () => {
  // Too quick for the readers, with repairs of chunks that the server's memory has lost by then.
  const quick = { chunkSizeBytes: 16_384, rate: 900_000_000, clientSlots: 48, serverSlots: 24 };
  const { world } = begin({ ...LONG, ...quick, seed: 29, loss: 0.01, imageChunks: 1024 });
  join(world, 4, () => 0);
  world.finishWithin(30_000);
  assertBlocks(world, world.image.dataBlocks * expectedSends(0.01, 4), 1.3);
});

test('a client that lacks little is sent little', () => {
  const { world } = begin({ ...LONG, seed: 26 });
  join(world, 5, () => 0);
  const { down } = world.clients[0]!;
  let sentBefore = 0;
  let missed = 0;
  world.agenda.after(300, () => {
    down.isCut = true;
    sentBefore = world.witness.blocksSent;
  });
  world.agenda.after(330, () => {
    down.isCut = false;
    missed = world.witness.blocksSent - sentBefore;
  });
  world.finishWithin(30_000);
  assert.ok(missed > 50);
  // Chunks that it got in part may be sent whole, at either end of the gap.
  const most = world.image.dataBlocks + missed + 4 * 16;
  assert.ok(world.witness.blocksSent <= most, `sent ${world.witness.blocksSent}, most ${most}`);
});

test('zero chunks cost no blocks', () => {
  const { world } = begin({ ...LONG, seed: 27, zeros: 0.5, imageChunks: 256 });
  join(world, 5, () => 0);
  world.finishWithin(30_000);
  assertBlocks(world, world.image.dataBlocks, 1.02);
});

test('each block counts once', () => {
  const { world } = begin({ ...CALM, seed: 28, clients: 3 });
  join(world, 3, () => 0);
  const counts = new Map<string, number>();
  world.runUntil(world.agenda.now + 30_000, () => {
    for (const { name, machine } of world.clients) {
      if (machine !== null) counts.set(name, machine.progress().blocksReceived);
    }
    return world.isFinished;
  });
  for (const [name, count] of counts) assert.equal(count, world.image.dataBlocks, name);
});
