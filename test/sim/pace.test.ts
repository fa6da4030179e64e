/**
 * How long things take, in virtual time: the rate is the operator's, and nobody alone spoils it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM, passMs, type SimOptions } from './options.js';
import type { SimClient } from './sim-client.js';
import { World } from './world.js';

/** A pass of a second, since what is averaged and bounded is so over parts of a second. */
const LONG: SimOptions = {
  ...CALM,
  imageChunks: 128,
  chunkSizeBytes: 16_384,
  blockSizeBytes: 1024,
  rate: 16_000_000,
};

/** Worlds over which a mean is taken. */
const SEEDS = 8;

/** The same with little data: the disks of many clients have to fit into memory. */
const MANY: SimOptions = { ...CALM, imageChunks: 128, rate: 4_800_000 };

function start(options: SimOptions): World {
  const world = new World(options);
  world.addServer('server').start(options.prepareMs);
  for (let i = 0; i < options.clients; i++) {
    const client = world.addClient();
    client.settings.openMs = 2;
    client.start();
  }
  return world;
}

/** Passes that it took until the last of `clients` was done. */
function passesOf(world: World, clients: readonly SimClient[] = world.clients): number {
  const startMs = world.agenda.now;
  world.runUntil(startMs + 60_000, () => clients.every((client) => client.isFinished));
  const finishedMs = Math.max(...clients.map((client) => client.finishedMs));
  return (finishedMs - startMs) / passMs(world.options);
}

for (const clients of [1, 20, 60, 200]) {
  test(`without faults, ${clients} clients are done after one pass`, () => {
    const passes = passesOf(start({ ...MANY, seed: 61, clients }));
    assert.ok(passes < 1.3, `took ${passes} passes`);
  });
}

for (const [clients, loss] of [
  [1, 0.01],
  [20, 0.01],
  [100, 0.01],
  [20, 0.05],
] as const) {
  test(`${clients} clients that lose ${100 * loss} % at random do not make the server slow`, () => {
    const world = start({ ...MANY, seed: 62, clients, loss });
    const passes = passesOf(world);
    const sent = world.witness.blocksSent / world.image.dataBlocks;
    assert.ok(passes < 1.6 * sent + 0.5, `took ${passes} passes for ${sent} times the image`);
  });
}

for (const outage of [50, 200]) {
  for (const clients of [1, 4]) {
    test(
      `outages of ${outage} ms in each second, ${clients} clients: little slower than they ` +
        `must`,
      () => {
        for (let seed = 1; seed <= 4; seed++) {
          const world = start({ ...LONG, seed, clients, imageChunks: 512 });
          // One client behind such a path: the others are as ever.
          world.clients[0]!.down.faults = { ...world.clients[0]!.down.faults, outageMs: outage };
          const passes = passesOf(world);
          const least = 1 / (1 - outage / 1000);
          assert.ok(passes < least / 0.8 + 0.1, `seed ${seed}: took ${passes} passes of ${least}`);
        }
      },
    );
  }
}

test('clients that join one after the other do not make the server slow', () => {
  const world = start({ ...LONG, seed: 63, clients: 1 });
  for (let i = 0; i < 20; i++) {
    const client = world.addClient();
    // As on a machine that takes its time to open the target.
    client.settings.openMs = 150;
    world.agenda.after((i * passMs(LONG)) / 25, () => client.start());
  }
  const passes = passesOf(world, world.clients.slice(0, 1));
  assert.ok(passes < 1.3, `took ${passes} passes`);
});

for (const [name, hinder] of [
  [
    'a slow link',
    (client: SimClient) => {
      client.down.bytesPerMs = LONG.rate / 8000 / 5;
      client.down.queueBytes = 8192;
    },
  ],
  [
    'a slow disk',
    (client: SimClient) => {
      client.disk.storeMs = 60;
    },
  ],
  [
    'a stuttering processor',
    (client: SimClient) => {
      client.inbox.stutterMs = 400;
    },
  ],
  [
    'no way back to the server',
    (client: SimClient) => {
      client.up.isCut = true;
    },
  ],
] as const) {
  test(`one client with ${name} does not hold up the others`, () => {
    // Which packets the one misses decides much: single worlds take 1.1 to 2.3 passes.
    let sum = 0;
    for (let seed = 64; seed < 64 + SEEDS; seed++) {
      const world = start({ ...LONG, seed, clients: 8 });
      world.runFor(100);
      const [slow, ...others] = world.clients;
      hinder(slow!);
      sum += passesOf(world, others);
      world.heal();
      world.finishWithin(20_000);
    }
    assert.ok(sum / SEEDS < 1.6, `took ${sum / SEEDS} passes`);
  });
}

test('a server that waits goes as slowly as the slowest link, and wastes little', () => {
  const world = start({ ...LONG, seed: 65, clients: 5, wait: true });
  world.clients[0]!.down.bytesPerMs = LONG.rate / 8000 / 2;
  const passes = passesOf(world);
  const sent = world.witness.blocksSent / world.image.dataBlocks;
  assert.ok(passes < 3.5, `took ${passes} passes`);
  assert.ok(sent < 1.3, `sent ${sent} times the image`);
});

test('the first block comes within a second of the first request, however long the map takes', () => {
  const world = start({ ...LONG, seed: 66, clients: 1, prepareMs: 100_000 });
  world.runFor(1000);
  assert.ok(world.witness.blocksSent > 0);
});

for (const queueBytes of [8192, 65_536, 400_000]) {
  test(
    `a link of 2 Mbit/s with a queue of ${queueBytes} bytes is found without sending much ` +
      `twice`,
    () => {
      const options = { ...LONG, imageChunks: 32, chunkSizeBytes: 65_536, blockSizeBytes: 1444 };
      const world = start({ ...options, seed: 67, clients: 1, rate: 10_000_000_000 });
      const [client] = world.clients;
      client!.down.bytesPerMs = 250;
      client!.down.queueBytes = queueBytes;
      const startMs = world.agenda.now;
      world.runUntil(startMs + 60_000, () => client!.isFinished);
      const idealMs = (options.imageChunks * options.chunkSizeBytes) / client!.down.bytesPerMs;
      const sent = world.witness.blocksSent / world.image.dataBlocks;
      assert.ok(sent < 1.5, `sent ${sent} times the image`);
      assert.ok(
        client!.finishedMs - startMs < 1.25 * idealMs,
        `${client!.finishedMs - startMs} ms`,
      );
    },
  );
}

test('a ceiling of 1 Mbit/s holds, and little is sent twice, where 2 % are lost', () => {
  const options = { ...LONG, imageChunks: 32, chunkSizeBytes: 65_536, blockSizeBytes: 1444 };
  const world = start({ ...options, seed: 68, clients: 1, rate: 1_000_000, loss: 0.02 });
  const [client] = world.clients;
  const startMs = world.agenda.now;
  world.runUntil(startMs + 60_000, () => client!.isFinished);
  const sent = world.witness.blocksSent / world.image.dataBlocks;
  assert.ok(sent < 1.1, `sent ${sent} times the image`);
  const bytesPerMs = (world.witness.blocksSent * 1444) / (client!.finishedMs - startMs);
  assert.ok(bytesPerMs < 125, `${bytesPerMs} bytes a ms`);
});
