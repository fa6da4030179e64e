/** The same worlds with a key: nothing is harder to get done, and strangers get nowhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMapRequest } from '../../src/protocol/from-client.js';
import { NoticeCode } from '../../src/protocol/from-server.js';
import { PacketType, packetLength, packetType } from '../../src/protocol/packet.js';
import { CALM, type SimOptions } from './options.js';
import { Random } from './random.js';
import { simulate } from './simulate.js';
import { swarmOptions } from './swarm.js';
import { World } from './world.js';

const SMALL: SimOptions = {
  ...CALM,
  clients: 8,
  imageChunks: 64,
  zeros: 0.2,
  blank: 0.5,
  sealed: true,
};

const CASES: Record<string, Partial<SimOptions>> = {
  'no faults': {},
  'heavy loss': { loss: 0.1 },
  'packets overtake and repeat each other': { reorder: 0.1, duplicate: 0.1 },
  'bits change on the way': { damage: 0.01, compress: true },
  'the map is prepared while serving': { prepareMs: 400, damage: 0.01 },
  'clients crash, and the server restarts': { crashes: 4, serverRestarts: 3, loss: 0.005 },
  'the network falls apart': { partitions: 4, loss: 0.005 },
  'targets that hold some of the image': { resume: 0.6, verify: 0.3, prepareMs: 200 },
  'much that nothing uses': { free: 0.6, loss: 0.01, prepareMs: 200, resume: 0.4 },
  'only a signed image is taken': { signed: true, loss: 0.02, prepareMs: 200, resume: 0.3 },
  'few slots': { clientSlots: 4, serverSlots: 3, loss: 0.02, compress: true },
  'many pages of the map': {
    imageChunks: 9000,
    chunkSizeBytes: 128,
    blockSizeBytes: 64,
    clients: 3,
    loss: 0.01,
    prepareMs: 300,
  },
};

for (const [name, options] of Object.entries(CASES)) {
  test(`sealed: ${name}`, () => {
    const seeds = name === 'many pages of the map' ? 1 : 3;
    for (let seed = 1; seed <= seeds; seed++) simulate({ ...SMALL, ...options, seed });
  });
}

test("sealed: forgeries and replays that bear the server's address", () => {
  for (let seed = 1; seed <= 6; seed++) {
    simulate({ ...SMALL, seed, hostile: 4000, spoof: true, prepareMs: seed % 2 === 0 ? 0 : 300 });
  }
});

test('sealed: worlds picked by their seeds', () => {
  for (let seed = 101; seed <= 120; seed++) simulate(swarmOptions(seed, { sealed: true }));
});

test('sealed: bits that change cost no more than without a key', () => {
  const long = { chunkSizeBytes: 65_536, imageChunks: 16, zeros: 0, clients: 4 };
  const options = { ...SMALL, ...long, damage: 0.01, faultMs: 60_000, seed: 2 };
  const { blockRatio } = simulate(options);
  assert.ok(blockRatio < 2.6, `${blockRatio} times the image's blocks`);
});

/** Changes a byte of one packet in three, or so: of each type the next one, until all were. */
class Flipper {
  /** By type: the place of the next change, and the length of the shortest packet of it. */
  private readonly places = new Map<number, { next: number; shortest: number }>();
  changed = 0;
  /** Not by turns: what is said again and again, in turns as well, would never come through. */
  private readonly random = new Random(1, 'flipper');

  readonly tamper = (train: Buffer, packetBytes: number): Buffer => {
    const copy = Buffer.from(train);
    for (let offset = 0; offset < copy.length; offset += packetBytes) {
      const length = packetLength(train, offset, train.length);
      if (length > 0 && this.random.chance(0.3)) this.flip(copy, offset, length);
    }
    return copy;
  };

  private flip(bytes: Buffer, offset: number, length: number): void {
    const type = packetType(bytes, offset);
    const place = this.places.get(type) ?? { next: 0, shortest: length };
    this.places.set(type, place);
    place.shortest = Math.min(place.shortest, length);
    // Without changed blocks, nobody asks for their checks.
    if (this.isWhole(type === PacketType.block ? PacketType.blockChecks : type)) return;
    bytes[offset + (place.next++ % length)]! ^= 1 << (this.changed++ % 8);
  }

  /** Whether every byte of a type has had its turn. */
  isWhole(type: number): boolean {
    const place = this.places.get(type);
    return place !== undefined && place.next >= place.shortest;
  }
}

/** Has a server say what it seldom says: notices to all, and to each in turn that it is locked. */
function provoke(world: World, turn = 0): void {
  const server = world.servers[0]!;
  server.session?.notify(NoticeCode.leaving, 0, 0, 'in an hour');
  const { address, port } = world.clients[turn % world.clients.length]!;
  const client = 5n;
  const request = encodeMapRequest({ client, machine: client, isServer: false, host: 'no key' });
  server.take(request, { address, port });
  world.agenda.after(20, () => provoke(world, turn + 1));
}

test('sealed: every byte of every type is changed on its way, and all get exact copies', () => {
  const flipper = new Flipper();
  const { probe, probeAnswer, ...spoken } = PacketType;
  const wanted = Object.values(spoken);
  const left = () => wanted.filter((type) => !flipper.isWhole(type));
  for (let seed = 1; left().length > 0; seed++) {
    assert.ok(seed < 150, `after 150 worlds, not every byte of types ${left()}`);
    // Where the image is signed, zeros are known from its map, and no packet tells of them.
    const options = { clients: 24, imageChunks: 24, compress: true, signed: seed % 4 > 0 };
    const world = new World({ ...SMALL, ...options, seed });
    world.tamper = flipper.tamper;
    const server = world.addServer('server');
    server.start(0);
    for (let i = 0; i < 24; i++) world.addClient().start();
    world.agenda.after(20, () => provoke(world));
    world.finishWithin(60_000);
  }
  assert.ok(flipper.changed > 1000, `${flipper.changed} packets were changed`);
});
