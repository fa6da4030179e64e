/** A stranger on the network: nothing that he sends is thrown over, or ends up in a copy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_HEADER_BYTES } from '../../src/protocol/block.js';
import { encodeBlockRequest, encodeMapRequest } from '../../src/protocol/from-client.js';
import { writeBlockHeader } from '../unit/block-header.js';
import { STRANGER } from './hostile.js';
import { CALM, type SimOptions } from './options.js';
import { SERVER_PORT } from './sim-server.js';
import { simulate } from './simulate.js';
import { World } from './world.js';

const SMALL: SimOptions = { ...CALM, clients: 6, imageChunks: 64, zeros: 0.2, blank: 0.5 };

test('rubbish, replays and forgeries from strangers: every write is right, all get done', () => {
  for (let seed = 1; seed <= 8; seed++) {
    simulate({ ...SMALL, seed, hostile: 2000, loss: 0.01, prepareMs: seed % 2 === 0 ? 0 : 300 });
  }
});

test('strangers while clients crash and the server restarts', () => {
  for (let seed = 1; seed <= 6; seed++) {
    simulate({ ...SMALL, seed, hostile: 2000, crashes: 3, serverRestarts: 2, prepareMs: 200 });
  }
});

test("forgeries that bear the server's address: nothing wrong is ever proven", () => {
  for (let seed = 1; seed <= 8; seed++) {
    simulate({ ...SMALL, seed, hostile: 4000, spoof: true, prepareMs: seed % 2 === 0 ? 0 : 300 });
  }
});

test('an empty datagram does no harm', () => {
  const world = new World({ ...SMALL, seed: 51, clients: 1 });
  const server = world.addServer('server');
  server.start(0);
  const client = world.addClient();
  client.start();
  const empty = Buffer.alloc(0);
  for (let ms = 0; ms < 50; ms += 5) {
    world.runFor(5);
    server.take(empty, { address: STRANGER, port: 1 });
    client.takeUnicast(empty, STRANGER, 1);
    client.takeUnicast(empty, server.address, SERVER_PORT);
    client.takeGroup(empty, [0, 0], STRANGER);
    client.takeGroup(empty, [0, 0], server.address);
  }
  world.finishWithin(10_000);
});

for (const { name, isOwnSession, isServersAddress } of [
  { name: 'from a wrong address', isOwnSession: true, isServersAddress: false },
  { name: 'of a wrong session', isOwnSession: false, isServersAddress: true },
]) {
  test(`forged blocks ${name} are counted as bad, and not as blocks`, () => {
    const world = new World({ ...SMALL, seed: 52, clients: 1, zeros: 0 });
    const server = world.addServer('server');
    server.start(0);
    const client = world.addClient();
    client.start();
    world.runFor(40);
    const session = client.machine?.description?.session ?? 0n;
    const before = client.machine!.progress();
    const packet = Buffer.alloc(BLOCK_HEADER_BYTES + SMALL.blockSizeBytes, 0x66);
    for (let block = 0; block < 16; block++) {
      writeBlockHeader(
        packet,
        0,
        {
          session: isOwnSession ? session : session + 1n,
          chunk: 60,
          block,
          position: 1000 + block,
          encodedLength: SMALL.chunkSizeBytes,
          space: 0,
          encoding: 0,
          variant: 0,
        },
        SMALL.blockSizeBytes,
      );
      const address = isServersAddress ? server.address : STRANGER;
      client.takeGroup(packet, [0, packet.length], address);
    }
    const after = client.machine!.progress();
    assert.equal(after.packetsBad - before.packetsBad, 16);
    assert.equal(after.blocksReceived, before.blocksReceived);
    world.finishWithin(10_000);
    assert.equal(world.witness.blocksSent, world.image.dataBlocks);
  });
}

test('a chunk forged whole by somebody with the address of the server is refused by its digest', () => {
  const world = new World({ ...SMALL, seed: 53, clients: 1, zeros: 0, spoof: true });
  const server = world.addServer('server');
  server.start(0);
  const client = world.addClient();
  client.start();
  world.runFor(40);
  assert.ok((client.machine?.progress().provenBytes ?? 0) > 0, 'its map is in');
  const session = client.machine?.description?.session ?? 0n;
  const packet = Buffer.alloc(BLOCK_HEADER_BYTES + SMALL.blockSizeBytes, 0x66);
  for (let block = 0; block < 16; block++) {
    const header = { session, chunk: 60, block, position: 1000, space: 0, encoding: 0 } as const;
    writeBlockHeader(
      packet,
      0,
      { ...header, encodedLength: SMALL.chunkSizeBytes, variant: 0 },
      SMALL.blockSizeBytes,
    );
    client.takeGroup(packet, [0, packet.length], server.address);
  }
  const before = client.disk.bytes.toString('latin1');
  world.runFor(5);
  assert.ok(before.length > 0);
  assert.notEqual(client.disk.bytes[60 * SMALL.chunkSizeBytes], 0x66);
  world.finishWithin(10_000);
});

test(
  'one host invents clients that ask for everything again and again: it ends, and a real ' +
    'one is served',
  () => {
    // So many chunks that the last image asked for goes beyond the sum, by more than is forgiven
    // meanwhile.
    const imageChunks = 40;
    const world = new World({ ...SMALL, seed: 54, clients: 1, zeros: 0, imageChunks });
    const server = world.addServer('server');
    server.start(0);
    // Its first client tells the session to whoever listens.
    const first = world.addClient();
    first.start();
    world.runFor(40);
    const session = first.machine!.description!.session;
    world.finishWithin(10_000);
    const from = { address: STRANGER, port: 6666 };
    const ranges = [{ first: 0, count: imageChunks }];
    let invented = 0n;
    const attack = (): number => {
      for (let i = 0; i < 200; i++) {
        const client = ++invented;
        const asOfPosition = server.session!.progress(world.agenda.now).blocksSent;
        server.take(
          encodeMapRequest({ client, machine: client, isServer: false, host: 'h' }),
          from,
        );
        const request = { session, client, asOfPosition, space: 0 as const, ranges, halves: [] };
        server.take(encodeBlockRequest(request), from);
        world.runFor(20);
      }
      return world.witness.blocksSent / world.image.dataBlocks;
    };
    const images = attack();
    const mostImages = 1 + 8 + 64 / imageChunks;
    assert.ok(images > mostImages - 1 && images < mostImages + 2, `${images} images`);
    assert.ok(attack() < images + 0.2, 'no more comes of it');
    const late = world.addClient();
    late.start();
    world.finishWithin(10_000);
    assert.ok(attack() < images + 1.2, 'but what the real client lacks');
  },
);
