/** The server goes away and comes back: with the same image, or with another one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimImage } from './image.js';
import { CALM, passMs, type SimOptions } from './options.js';
import { Random } from './random.js';
import type { SimServer } from './sim-server.js';
import { World } from './world.js';

/** Some clients, half a pass into an image. */
function halfWay(options: SimOptions, prepareMs: number): { world: World; server: SimServer } {
  const world = new World(options);
  const server = world.addServer('server');
  server.start(prepareMs);
  for (let i = 0; i < options.clients; i++) {
    const client = world.addClient();
    client.settings.openMs = 2;
    client.start();
  }
  world.runUntil(world.agenda.now + 4 * passMs(options), () => {
    return world.witness.blocksSent > world.image.dataBlocks / 2;
  });
  assert.ok(!world.isFinished);
  return { world, server };
}

for (const [before, after] of [
  [0, 0],
  [5000, 0],
  [0, 5000],
  [5000, 5000],
] as const) {
  const maps =
    `the map ${before > 0 ? 'unfinished' : 'known'} before, ` +
    `${after > 0 ? 'unfinished' : 'known'} after`;

  test(`a restarted server carries on with the same image (${maps})`, () => {
    const options = { ...CALM, clients: 8, seed: 11, zeros: 0.1, imageChunks: 256 };
    const { world, server } = halfWay(options, before);
    server.crash();
    world.runFor(300);
    server.start(after);
    world.finishWithin(8000);
    const ratio = world.witness.blocksSent / world.image.dataBlocks;
    assert.ok(ratio < 1.1, `sent ${ratio} times the image`);
  });

  test(`a server that comes back with another image ends every client (${maps})`, () => {
    const options = { ...CALM, clients: 8, seed: 12 };
    const { world, server } = halfWay(options, before);
    server.stop();
    world.runFor(300);
    server.changeImage(new SimImage('other.img', options, new Random(99)));
    server.start(after);
    world.runFor(10_000);
    for (const { name, failure } of world.clients) {
      assert.equal(failure?.kind, 'otherImage', name);
      assert.match(failure.message, /other\.img/);
    }
  });

  test(`a server that comes back with other content ends no client as done (${maps})`, () => {
    // Same name, same size: only digests can tell.
    const options = { ...CALM, clients: 8, seed: 13 };
    const { world, server } = halfWay(options, before);
    server.crash();
    world.runFor(300);
    const other = new SimImage(world.image.name, options, new Random(98));
    server.changeImage(other);
    const knewNothing = world.clients.filter(({ machine }) => machine?.mapId === null);
    for (const client of knewNothing) client.expect(other);
    server.start(after);
    world.runFor(15_000);
    for (const client of world.clients) {
      // Who knew the first map must fail; who knew none ends up with the new image, proven.
      if (knewNothing.includes(client)) assert.ok(client.isFinished, `${client.name} is not done`);
      else assert.equal(client.failure?.kind, 'otherImage', client.name);
    }
  });
}

test('with a key, a server that was started again is found as soon as without one', () => {
  const options = { ...CALM, clients: 8, seed: 14, imageChunks: 256, sealed: true };
  const { world, server } = halfWay(options, 0);
  server.crash();
  world.runFor(300);
  server.start(0);
  world.finishWithin(8000);
});
