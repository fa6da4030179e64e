import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Discovery, type Offer } from '../../src/client/discovery.js';
import { Spread } from '../../src/client/spread.js';
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
      requestWindowMs: 0,
      reportIntervalMs: 20,
      name,
    },
    address,
    port: 18_222,
  };
}

const discoveryOf = (wantedName?: string) =>
  new Discovery(
    { client: 5n, machine: 6n, host: 'pc', wantedName, spread: new Spread(() => 0) },
    0,
  );

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

test('a map request goes out at once, and then less and less often until somebody answers', () => {
  const discovery = discoveryOf();
  const times: number[] = [];
  for (let now = 0; now < 12_000; now += 10) {
    if (now < discovery.dueMs) continue;
    const request = discovery.pollRequest(now)!;
    assert.deepEqual(decodeMapRequest(request), {
      client: 5n,
      machine: 6n,
      isServer: false,
      isAtOnce: times.length === 0,
      host: 'pc',
    });
    times.push(now);
  }
  assert.deepEqual(times, [0, 750, 2250, 5250, 8250, 11_250]);
});

/** When each of many clients asks first, if statuses tell a window for joining from `toldMs` on. */
function firstRequests(joinMs: number, toldMs: number, before = 0): number[] {
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  return Array.from({ length: 800 }, () => {
    const spread = new Spread(random);
    const options = { client: 5n, machine: 6n, host: 'pc', wantedName: undefined, spread };
    const discovery = new Discovery(options, 0);
    if (before > 0) discovery.pollRequest(before);
    for (let now = before; ; now++) {
      if (now >= toldMs) {
        spread.tellJoin(joinMs, now);
        discovery.hurry(now);
      }
      if (discovery.pollRequest(now) !== null) return now;
    }
  });
}

test('few of many clients ask at once; the others join over the time that the server tells', () => {
  const times = firstRequests(4000, 2);
  const atOnce = times.filter((ms) => ms <= 2).length;
  assert(atOnce > 50 && atOnce < 150, `${atOnce} of 800`);
  for (let fromMs = 0; fromMs < 4000; fromMs += 500) {
    const count = times.filter((ms) => ms > 2 && ms >= fromMs && ms < fromMs + 500).length;
    assert(count > 50 && count < 130, `${count} from ${fromMs} ms on`);
  }
  assert(times.every((ms) => ms <= 4010));
});

test('with few clients at a server, all ask within some milliseconds', () => {
  assert(firstRequests(0, 2).every((ms) => ms <= 10));
  // Also those that waited for it.
  assert(firstRequests(0, 600, 10).every((ms) => ms >= 600 && ms <= 610));
});

test('what a server tells holds for its time, whatever one that was just started says', () => {
  const spread = new Spread(() => 0.5);
  spread.tellJoin(4000, 0);
  spread.tellJoin(0, 3000);
  assert.equal(spread.joinMs, 4000);
  spread.tellJoin(0, 4000);
  assert.equal(spread.joinMs, 0);
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
