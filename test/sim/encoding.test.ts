/** Chunks travel compressed, now more, now less: blocks of two encodings of one chunk never mix. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEVELS } from './image.js';
import { CALM, passMs, type SimOptions } from './options.js';
import { World } from './world.js';

const OPTIONS: SimOptions = { ...CALM, imageChunks: 48, compress: true, serverSlots: 4 };

test('compression costs fewer blocks', () => {
  const world = new World({ ...OPTIONS, seed: 81 });
  const server = world.addServer('server');
  server.levels = [9];
  server.start(0);
  for (let i = 0; i < 5; i++) world.addClient().start();
  world.finishWithin(10_000);
  assert.ok(world.witness.blocksSent < 0.9 * world.image.dataBlocks);
});

for (const before of LEVELS) {
  for (const after of LEVELS) {
    test(`halves of chunks at level ${before} give way when the server sends level ${after}`, () => {
      const world = new World({ ...OPTIONS, seed: 82 });
      const server = world.addServer('server');
      server.levels = [before];
      server.start(0);
      // It gets parts of most chunks, and cannot ask for the rest.
      const first = world.addClient();
      first.start();
      world.runFor(30);
      first.up.isCut = true;
      first.down.faults = { ...first.down.faults, lossRatio: 0.3 };
      world.runFor(2 * passMs(OPTIONS));
      first.down.isCut = true;
      // The other one has the server read all of it anew.
      server.levels = [after];
      const second = world.addClient();
      second.start();
      world.runFor(2 * passMs(OPTIONS) + 500);
      assert.ok(second.isFinished);
      world.heal();
      world.finishWithin(10_000);
    });
  }
}
