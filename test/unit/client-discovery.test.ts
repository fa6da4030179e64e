import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Discovery, type Offer } from '../../src/client/discovery.js';
import { Failure } from '../../src/failure.js';
import { decodeMapRequest } from '../../src/protocol/from-client.js';

function offerOf(name: string, address: string, otherSessions = 0, session = 1n): Offer {
  return {
    description: {
      session,
      client: 5n,
      imageSize: 1000,
      chunkSize: 64,
      blockSize: 16,
      mapId: null,
      group: '239.255.76.67',
      port: 9000,
      otherSessions,
      position: 1,
      sectorSizeBytes: 0,
      streamAddress: '',
      name,
    },
    address,
    port: 18_222,
  };
}

const discoveryOf = (wantedName?: string) =>
  new Discovery({ client: 5n, machine: 6n, host: 'pc', wantedName }, 0);

/** Lets time pass until the discovery decides or fails. */
function decideWithin(discovery: Discovery, untilMs: number): Offer | null {
  for (let now = 0; now <= untilMs; now += 10) {
    const offer = discovery.decide(now);
    if (offer !== null) return offer;
  }
  return null;
}

const isAmbiguous = (error: unknown) =>
  error instanceof Failure &&
  error.kind === 'otherImage' &&
  error.message.includes('10.0.0.1') &&
  error.message.includes('10.0.0.2');

test('a map request goes out at once, and then every second until somebody answers', () => {
  const discovery = discoveryOf();
  const times: number[] = [];
  for (let now = 0; now < 3500; now += 10) {
    if (now < discovery.dueMs) continue;
    const request = discovery.pollRequest(now)!;
    assert.deepEqual(decodeMapRequest(request), {
      client: 5n,
      machine: 6n,
      isServer: false,
      host: 'pc',
    });
    times.push(now);
  }
  assert.deepEqual(times, [0, 1000, 2000, 3000]);
});

test('the only server there is, is taken at once', () => {
  const discovery = discoveryOf();
  assert.equal(discovery.decide(0), null);
  const offer = offerOf('disk.img', '10.0.0.1');
  discovery.add(offer, 20);
  assert(discovery.dueMs <= 20);
  assert.equal(discovery.decide(20), offer);
});

test('a server that knows of others makes the client wait for them; of two images none is taken', () => {
  const discovery = discoveryOf();
  discovery.add(offerOf('a.img', '10.0.0.1', 1, 1n), 0);
  assert.equal(discovery.decide(0), null);
  discovery.add(offerOf('b.img', '10.0.0.2', 1, 2n), 100);
  assert.throws(() => decideWithin(discovery, 1000), isAmbiguous);
});

test('the other server does not answer: the one that did is taken', () => {
  const discovery = discoveryOf();
  const offer = offerOf('a.img', '10.0.0.1', 3);
  discovery.add(offer, 0);
  assert.equal(decideWithin(discovery, 1000), offer);
});

test('an image asked for by name is picked among many', () => {
  const discovery = discoveryOf('b.img');
  const wanted = offerOf('b.img', '10.0.0.2', 2, 2n);
  discovery.add(offerOf('a.img', '10.0.0.1', 2, 1n), 0);
  discovery.add(wanted, 50);
  discovery.add(offerOf('c.img', '10.0.0.3', 2, 3n), 60);
  assert.equal(decideWithin(discovery, 1000), wanted);
});

test('two servers of the image asked for: the operator has to choose', () => {
  const discovery = discoveryOf('a.img');
  discovery.add(offerOf('a.img', '10.0.0.1', 1, 1n), 0);
  discovery.add(offerOf('a.img', '10.0.0.2', 1, 2n), 50);
  assert.throws(() => decideWithin(discovery, 1000), isAmbiguous);
});

test('while only other images are served, the client waits, and can name them', () => {
  const discovery = discoveryOf('z.img');
  for (let second = 0; second < 5; second++) {
    discovery.add(offerOf('a.img', '10.0.0.1', 1, 1n), second * 1000);
    discovery.add(offerOf('b.img', '10.0.0.2', 1, 2n), second * 1000);
  }
  assert.equal(decideWithin(discovery, 6000), null);
  assert.deepEqual(discovery.heardNames.sort(), ['a.img', 'b.img']);
  const late = offerOf('z.img', '10.0.0.3', 2, 3n);
  discovery.add(late, 6000);
  assert.equal(decideWithin(discovery, 7000), late);
});

test('a server that answers twice is one server', () => {
  const discovery = discoveryOf();
  discovery.add(offerOf('a.img', '10.0.0.1', 1), 0);
  const again = offerOf('a.img', '10.0.0.1', 1);
  discovery.add(again, 10);
  assert.equal(decideWithin(discovery, 1000), again);
});

test('a flood of forged answers does not fill the memory', () => {
  const discovery = discoveryOf('z.img');
  for (let session = 0; session < 20_000; session++) {
    discovery.add(offerOf(`image ${session}`, '10.0.0.1', 1, BigInt(session)), 0);
  }
  assert(discovery.heardNames.length <= 1000);
});
