/** Two servers on one network: never is one image mixed with the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimImage } from './image.js';
import { CALM } from './options.js';
import { Random } from './random.js';
import type { SimClient } from './sim-client.js';
import { World } from './world.js';

const OPTIONS = { ...CALM, imageChunks: 64 };

function twoServers(seed: number, otherName: string): { world: World; other: SimImage } {
  const world = new World({ ...OPTIONS, seed });
  const other = new SimImage(otherName, OPTIONS, new Random(77));
  world.addServer('server1').start(0);
  world.addServer('server2', other).start(0);
  return { world, other };
}

function assertAmbiguous({ failure }: SimClient, ...names: string[]): void {
  assert.equal(failure?.kind, 'otherImage');
  assert.equal(failure.code, 'SEVERAL_IMAGES');
  for (const name of names) assert.ok(failure.message.includes(name), failure.message);
}

for (const lateMs of [0, 100, 3000]) {
  test(`a client that may choose between two images fails, naming both (${lateMs} ms later)`, () => {
    const { world } = twoServers(31, 'other.img');
    const client = world.addClient();
    world.agenda.after(lateMs, () => client.start());
    world.runFor(lateMs + 2000);
    assertAmbiguous(client, 'disk.img', 'other.img');
  });
}

test('clients that name their image get it, side by side', () => {
  const { world, other } = twoServers(32, 'other.img');
  for (let i = 0; i < 4; i++) {
    const client = world.addClient(i < 2 ? world.image : other);
    client.settings.wantedName = i < 2 ? 'disk.img' : 'other.img';
    world.agenda.after(500 + i, () => client.start());
  }
  world.finishWithin(10_000);
});

for (const wantedName of ['disk.img', undefined]) {
  const how = wantedName === undefined ? 'no name is advised' : 'naming it does not choose';
  test(`two servers with images of one name: ${how}`, () => {
    const { world } = twoServers(33, 'disk.img');
    const client = world.addClient();
    client.settings.wantedName = wantedName;
    world.agenda.after(500, () => client.start());
    world.runFor(3000);
    assertAmbiguous(client, '10.0.0.1', '10.0.0.2', 'with -s HOST');
    assert.doesNotMatch(client.failure?.message ?? '', /--image/);
  });
}

test('a second server that starts later disturbs nobody', () => {
  const world = new World({ ...OPTIONS, seed: 34, clients: 5 });
  world.addServer('server1').start(0);
  for (let i = 0; i < 5; i++) world.addClient().start();
  world.runFor(60);
  assert.ok(!world.isFinished);
  world.addServer('server2', new SimImage('other.img', OPTIONS, new Random(77))).start(0);
  world.finishWithin(10_000);
});

test('a client whose image nobody serves gives up, naming what is served', () => {
  const { world } = twoServers(35, 'other.img');
  const client = world.addClient();
  client.settings.wantedName = 'missing.img';
  client.settings.giveUpMs = 3000;
  client.start();
  world.runFor(5000);
  assert.equal(client.failure?.kind, 'noServer');
  assert.match(client.failure.message, /disk\.img/);
  assert.match(client.failure.message, /other\.img/);
});

test('a client that no server answers gives up when it was told to', () => {
  const world = new World({ ...OPTIONS, seed: 36 });
  const client = world.addClient();
  client.settings.giveUpMs = 2000;
  client.start();
  world.runFor(3000);
  assert.equal(client.failure?.kind, 'noServer');
});

test('a client whose server went away gives up when it was told to', () => {
  const world = new World({ ...OPTIONS, seed: 37 });
  const server = world.addServer('server1');
  server.start(0);
  const client = world.addClient();
  client.settings.giveUpMs = 2000;
  client.start();
  world.runFor(60);
  server.crash();
  world.runFor(2500);
  assert.equal(client.failure?.kind, 'noServer');
});
