/** A server without work is all but silent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM } from './options.js';
import { World } from './world.js';

test('a server that nobody asked names its map once, and is silent', () => {
  const world = new World({ ...CALM, seed: 41 });
  world.addServer('server').start(0);
  world.runFor(60_000);
  const { blocksSent, statusesSent } = world.witness;
  assert.deepEqual({ blocksSent, statusesSent }, { blocksSent: 0, statusesSent: 1 });
});

test('a server whose clients are all done falls silent', () => {
  const world = new World({ ...CALM, seed: 42, imageChunks: 32 });
  const server = world.addServer('server');
  server.start(0);
  for (let i = 0; i < 5; i++) world.addClient().start();
  world.finishWithin(10_000);
  assert.equal(server.doneCount, 5);
  world.runFor(1000);
  const { blocksSent, statusesSent } = world.witness;
  world.runFor(60_000);
  assert.equal(world.witness.blocksSent, blocksSent);
  assert.equal(world.witness.statusesSent, statusesSent);
});

test('a server that waits for a silent client sends keepalives, no more', () => {
  const world = new World({ ...CALM, seed: 43, imageChunks: 32 });
  world.addServer('server').start(0);
  const client = world.addClient();
  client.start();
  // It hears everything, but is not heard: there is nothing that the server could do for it.
  world.runFor(30);
  client.up.isCut = true;
  world.runFor(1000);
  const { blocksSent, statusesSent } = world.witness;
  world.runFor(60_000);
  assert.equal(world.witness.blocksSent, blocksSent);
  assert.ok(world.witness.statusesSent - statusesSent <= 10);
});
