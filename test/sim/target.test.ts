/**
 * What is on the target already, and what the target and the source make of what they are given.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALM, type SimOptions } from './options.js';
import type { SimClient } from './sim-client.js';
import type { SimServer } from './sim-server.js';
import { World } from './world.js';

const SMALL: SimOptions = { ...CALM, imageChunks: 64, zeros: 0.2 };
const BLOCKS_PER_CHUNK = SMALL.chunkSizeBytes / SMALL.blockSizeBytes;

function begin(options: Partial<SimOptions> & { seed: number }): {
  world: World;
  server: SimServer;
} {
  const world = new World({ ...SMALL, ...options });
  const server = world.addServer('server');
  server.start(world.options.prepareMs);
  return { world, server };
}

/** A client whose target holds a share of the image already, and rubbish elsewhere. */
function addHolder(world: World, share: number): SimClient {
  const client = world.addClient(world.image, false);
  client.disk.fillPartly(share);
  client.settings.resumes = true;
  return client;
}

function dataChunksWrong(world: World, { disk }: SimClient): number {
  let count = 0;
  for (let chunk = 0; chunk < world.image.geometry.chunkCount; chunk++) {
    const isData = !world.image.isZero(chunk) && !world.image.isFree(chunk);
    if (isData && !disk.isRight(chunk)) count++;
  }
  return count;
}

for (const prepareMs of [0, 400]) {
  const map = prepareMs > 0 ? 'the map comes later' : 'the map is there';

  test(`a target that holds the image already costs no block (${map})`, () => {
    const { world } = begin({ seed: 71, prepareMs });
    addHolder(world, 1).start();
    world.finishWithin(20_000);
    assert.equal(world.witness.blocksSent, 0);
  });

  test(`a target that holds most of the image costs what differs (${map})`, () => {
    const { world } = begin({ seed: 72, prepareMs });
    const client = addHolder(world, 0.9);
    const wrong = dataChunksWrong(world, client);
    assert.ok(wrong > 0);
    client.start();
    world.finishWithin(20_000);
    assert.ok(world.witness.blocksSent <= wrong * BLOCKS_PER_CHUNK);
  });
}

test('a client that crashes and resumes is sent what it lacks, no more', () => {
  const { world } = begin({ seed: 73, imageChunks: 256 });
  const client = addHolder(world, 0);
  client.start();
  world.runFor(250);
  client.crash();
  const lacked = dataChunksWrong(world, client) * BLOCKS_PER_CHUNK;
  assert.ok(lacked > 0 && lacked < world.image.dataBlocks);
  world.runFor(4000);
  const before = world.witness.blocksSent;
  client.start();
  world.finishWithin(20_000);
  assert.ok(world.witness.blocksSent - before <= lacked);
});

test('clients that hold different parts are sent each block once', () => {
  const { world } = begin({ seed: 74, imageChunks: 256 });
  for (let i = 0; i < 10; i++) {
    const client = addHolder(world, 0.5);
    client.settings.openMs = 2;
    client.start();
  }
  world.finishWithin(20_000);
  const ratio = world.witness.blocksSent / world.image.dataBlocks;
  assert.ok(ratio <= 1.1, `sent ${ratio} times the image`);
});

for (const share of [1, 0.7]) {
  test(`a comparison changes nothing and costs no block (${100 * share} % are right)`, () => {
    const { world } = begin({ seed: 75, prepareMs: 300 });
    const client = world.addClient(world.image, false);
    client.disk.fillPartly(share);
    client.settings.checksOnly = true;
    const before = Buffer.from(client.disk.bytes);
    client.start();
    // That it finds as many chunks to differ as there are is checked where it ends.
    world.finishWithin(20_000);
    assert.ok(client.disk.bytes.equals(before));
    assert.equal(world.witness.blocksSent, 0);
  });
}

test('a disk that loses a write is found out by reading back, and mended', () => {
  const { world } = begin({ seed: 76 });
  const client = world.addClient();
  client.settings.verifies = true;
  client.disk.badWrites.set(5, 1);
  client.disk.badWrites.set(40, 1);
  client.start();
  world.finishWithin(20_000);
  assert.ok(client.disk.isImage);
});

test('a disk that never keeps what is written ends the copy with a failure', () => {
  const { world } = begin({ seed: 77, zeros: 0 });
  const client = world.addClient();
  client.settings.verifies = true;
  client.disk.badWrites.set(5, Number.POSITIVE_INFINITY);
  client.start();
  world.runFor(20_000);
  assert.equal(client.failure?.kind, 'target');
  assert.equal(client.failure.code, 'VERIFY_FAILED');
});

for (const prepareMs of [0, 400]) {
  test(`a chunk that cannot be read fails the copy, with all else in place (map: ${prepareMs} ms)`, () => {
    const { world, server } = begin({ seed: 78, zeros: 0, prepareMs, loss: 0.01 });
    server.unreadable.add(7).add(8).add(63);
    for (let i = 0; i < 4; i++) world.addClient().start();
    world.runFor(20_000);
    for (const { name, failure, disk } of world.clients) {
      assert.equal(failure?.kind, 'source', name);
      assert.match(failure.message, /28672-36863/, 'names the bytes');
      assert.equal(disk.wrongChunks, 3, name);
    }
  });
}

test('a chunk that can be read after all ends well', () => {
  const { world, server } = begin({ seed: 79, zeros: 0, prepareMs: 400 });
  server.unreadable.add(7);
  world.runFor(600);
  server.unreadable.clear();
  // So long nobody's asking makes a disk try again.
  world.runFor(5000);
  for (let i = 0; i < 4; i++) world.addClient().start();
  world.finishWithin(20_000);
});

for (const prepareMs of [0, 400]) {
  test(`what nothing uses is neither sent nor written nor looked at (map: ${prepareMs} ms)`, () => {
    const { world } = begin({ seed: 80, free: 0.5, imageChunks: 256, prepareMs, loss: 0.01 });
    for (const isBlank of [true, false]) world.addClient(world.image, isBlank).start();
    const holders = [0, 0.6, 1].map((share) => addHolder(world, share));
    for (const holder of holders) holder.start();
    const clearing = world.addClient(world.image, false);
    clearing.settings.clearsFree = true;
    clearing.settings.verifies = true;
    clearing.start();
    const before = holders.map(({ disk }) => Buffer.from(disk.bytes));
    // What is sent, written and cleared is judged as it happens.
    world.finishWithin(20_000);
    const { image } = world;
    let freeCount = 0;
    for (let chunk = 0; chunk < image.geometry.chunkCount; chunk++) {
      if (!image.isFree(chunk)) continue;
      freeCount++;
      const start = image.geometry.chunkOffset(chunk);
      const end = start + image.geometry.chunkLength(chunk);
      const cleared = clearing.disk.bytes.subarray(start, end);
      assert.ok(cleared.equals(Buffer.alloc(end - start)), `chunk ${chunk} is not cleared`);
      for (const [index, { disk }] of holders.entries()) {
        assert.equal(disk.bytes.compare(before[index]!, start, end, start, end), 0);
      }
    }
    assert.ok(freeCount > 20);
  });
}

test('a comparison passes over what nothing uses', () => {
  const { world } = begin({ seed: 81, free: 0.5, prepareMs: 100 });
  const client = world.addClient(world.image, false);
  client.disk.fillPartly(0.5);
  client.settings.checksOnly = true;
  client.start();
  world.finishWithin(20_000);
  assert.equal(world.witness.blocksSent, 0);
});

for (const [prepareMs, sealed] of [
  [0, false],
  [400, false],
  [0, true],
  [400, true],
] as const) {
  test(
    `an older version costs the blocks that changed, however many have it (map: ` +
      `${prepareMs} ms${sealed ? ', sealed' : ''})`,
    () => {
      const loss = 0.005;
      const { world } = begin({ seed: 82, zeros: 0, imageChunks: 256, prepareMs, loss, sealed });
      const changed = 24;
      for (let count = 0; count < 6; count++) {
        const client = addHolder(world, 1);
        for (let i = 0; i < changed; i++) {
          const at = world.image.geometry.chunkOffset(i * 10) + 300 * (i % 12);
          client.disk.write(at, Buffer.from([i, count, 0xee]));
        }
        client.start();
      }
      world.finishWithin(20_000);
      // A change may lie in two blocks, a tag too; what is lost is sent again.
      const most = (sealed ? 5 : 3) * changed;
      assert.ok(world.witness.blocksSent <= most, `${world.witness.blocksSent} blocks`);
    },
  );
}

for (const sealed of [false, true]) {
  const how = sealed ? ', sealed' : '';
  test(`clients with an older version and clients with nothing share what is sent${how}`, () => {
    const options = { zeros: 0, imageChunks: 256, loss: 0.01, compress: true, sealed };
    const { world } = begin({ seed: 83, ...options });
    for (let count = 0; count < 3; count++) {
      world.addClient().start();
      const client = addHolder(world, 1);
      for (let chunk = 0; chunk < 256; chunk += 3) {
        client.disk.write(world.image.geometry.chunkOffset(chunk) + 17, Buffer.from([count]));
      }
      client.start();
    }
    world.finishWithin(20_000);
  });
}

test('an older version that is being read while the server comes back is no half of a chunk', () => {
  // Blocks of the next server are smaller, then larger.
  for (const starts of [1, 2]) {
    const { world, server } = begin({ seed: 84, zeros: 0, imageChunks: 128, regrain: true });
    if (starts === 2) {
      server.crash();
      server.start(0);
    }
    const client = addHolder(world, 1);
    for (let chunk = 0; chunk < 128; chunk++) {
      client.disk.write(world.image.geometry.chunkOffset(chunk) + 17, Buffer.from([chunk]));
    }
    client.disk.storeMs = 40;
    client.start();
    world.runUntil(world.agenda.now + 20_000, () => world.witness.blocksSent > 20);
    server.crash();
    world.runFor(5);
    server.start(0);
    world.finishWithin(30_000);
    assert.ok(client.disk.isImage);
  }
});
