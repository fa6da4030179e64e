import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hearsay, type Offer, ServerSearch } from '../../src/client/choice/server-search.js';
import { Spread } from '../../src/client/timing.js';
import { Failure } from '../../src/failure.js';
import { decodeMapRequest } from '../../src/protocol/from-client.js';
import { PacketType } from '../../src/protocol/packet.js';

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

const searchOf = (wantedName?: string) =>
  new ServerSearch(
    { client: 5n, machine: 6n, host: 'pc', identity: {}, wantedName, spread: new Spread(() => 0) },
    0,
  );

/** Lets time pass until the search decides or fails. */
function decideWithin(search: ServerSearch, untilMs: number): Offer | null {
  for (let now = 0; now <= untilMs; now += 10) {
    const offer = search.decide(now);
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
  const search = searchOf();
  const times: number[] = [];
  for (let now = 0; now < 12_000; now += 10) {
    if (now < search.dueMs) continue;
    const request = search.pollRequest(now)!;
    assert.deepEqual(decodeMapRequest(request), {
      client: 5n,
      machine: 6n,
      isServer: false,
      isAtOnce: times.length === 0,
      host: 'pc',
      identity: {},
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
    const machine = { client: 5n, machine: 6n, host: 'pc', identity: {} };
    const options = { ...machine, wantedName: undefined, spread };
    const search = new ServerSearch(options, 0);
    if (before > 0) search.pollRequest(before);
    for (let now = before; ; now++) {
      if (now >= toldMs) {
        spread.tellJoin(joinMs, now);
        search.hurry(now);
      }
      if (search.pollRequest(now) !== null) return now;
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
  const search = searchOf();
  assert.equal(search.decide(0), null);
  const offer = offerOf('disk.img', '10.0.0.1');
  search.add(offer, 20);
  assert(search.dueMs <= 20);
  assert.equal(search.decide(20), offer);
});

test('a server that knows of others makes the client wait for them; of two images none is taken', () => {
  const search = searchOf();
  search.add(offerOf('a.img', '10.0.0.1', 1, 1n), 0);
  assert.equal(search.decide(0), null);
  search.add(offerOf('b.img', '10.0.0.2', 1, 2n), 100);
  assert.throws(() => decideWithin(search, 1000), isAmbiguous);
});

test('the other server does not answer: the one that did is taken', () => {
  const search = searchOf();
  const offer = offerOf('a.img', '10.0.0.1', 3);
  search.add(offer, 0);
  assert.equal(decideWithin(search, 1000), offer);
});

test('an image asked for by name is picked among many', () => {
  const search = searchOf('b.img');
  const wanted = offerOf('b.img', '10.0.0.2', 2, 2n);
  search.add(offerOf('a.img', '10.0.0.1', 2, 1n), 0);
  search.add(wanted, 50);
  search.add(offerOf('c.img', '10.0.0.3', 2, 3n), 60);
  assert.equal(decideWithin(search, 1000), wanted);
});

test('two servers of the image asked for: the operator has to choose', () => {
  const search = searchOf('a.img');
  search.add(offerOf('a.img', '10.0.0.1', 1, 1n), 0);
  search.add(offerOf('a.img', '10.0.0.2', 1, 2n), 50);
  assert.throws(() => decideWithin(search, 1000), isAmbiguous);
});

test('while only other images are served, the client waits, and can name them', () => {
  const search = searchOf('z.img');
  for (let second = 0; second < 5; second++) {
    search.add(offerOf('a.img', '10.0.0.1', 1, 1n), second * 1000);
    search.add(offerOf('b.img', '10.0.0.2', 1, 2n), second * 1000);
  }
  assert.equal(decideWithin(search, 6000), null);
  assert.deepEqual(search.heardNames.sort(), ['a.img', 'b.img']);
  const late = offerOf('z.img', '10.0.0.3', 2, 3n);
  search.add(late, 6000);
  assert.equal(decideWithin(search, 7000), late);
});

test('a server that answers twice is one server', () => {
  const search = searchOf();
  search.add(offerOf('a.img', '10.0.0.1', 1), 0);
  const again = offerOf('a.img', '10.0.0.1', 1);
  search.add(again, 10);
  assert.equal(decideWithin(search, 1000), again);
});

test('a flood of forged answers does not fill the memory', () => {
  const search = searchOf('z.img');
  for (let session = 0; session < 20_000; session++) {
    search.add(offerOf(`image ${session}`, '10.0.0.1', 1, BigInt(session)), 0);
  }
  assert(search.heardNames.length <= 1000);
});

test('a client that finds nobody says what it asks, once, and again when other images are heard', () => {
  const options = { group: '225.0.20.10', port: 16000, serverPort: 7500, elsewhere: null };
  const hearsay = new Hearsay({ ...options, wantedName: 'lab' }, 0);
  assert.equal(hearsay.pollStillLooking([], 9_999), null);
  assert.equal(hearsay.dueMs, 10_000);
  const first = hearsay.pollStillLooking([], 10_000);
  assert.match(
    first!,
    /group 225\.0\.20\.10 is asked, port 7500 for requests and 16000 for blocks/,
  );
  assert.equal(hearsay.pollStillLooking([], 20_000), null);
  const others = hearsay.pollStillLooking(['lab.img', 'old.img'], 30_000);
  assert.equal(others, "'lab' is not served; --image can name one of these: lab.img, old.img");
  assert.equal(hearsay.pollStillLooking(['lab.img', 'old.img'], 40_000), null);
});

test('a stream of an image that is not wanted is not blamed on a firewall', () => {
  const options = { group: '225.0.20.10', port: 16000, serverPort: 7500, elsewhere: null };
  const hearsay = new Hearsay({ ...options, wantedName: 'smal.img' }, 0);
  assert.equal(hearsay.hear(PacketType.block, 0), null);
  assert.equal(
    hearsay.handleTimeout(['small.img'], 3000),
    "'smal.img' is not served; --image can name one of these: small.img",
  );
  const other = new Hearsay({ ...options, wantedName: undefined }, 0);
  other.hear(PacketType.block, 0);
  assert.match(other.handleTimeout([], 3000)!, /none answers: .* firewall/);
});

test('the host that is named is what is said to be asked, and who is heard instead', () => {
  const options = { group: '225.0.20.10', port: 16000, serverPort: 7500, elsewhere: null };
  const named = { ...options, wantedName: undefined, serverHost: '10.9.0.77' };
  const silent = new Hearsay(named, 0);
  assert.match(silent.pollStillLooking([], 10_000)!, /^no server answers: 10\.9\.0\.77 is asked/);
  const hearsay = new Hearsay(named, 0);
  hearsay.hear(PacketType.block, 0);
  hearsay.sender = '10.9.0.1';
  const instead = /77 is asked.* but a server at 10\.9\.0\.1 sends .* -s 10\.9\.0\.1/;
  assert.match(hearsay.handleTimeout([], 3000)!, instead);
  assert.equal(hearsay.pollStillLooking([], 10_000), null, 'it is said already');
});

test('where a server was passed over, nobody says that none answers', () => {
  const options = { group: '225.0.20.10', port: 16000, serverPort: 7500, elsewhere: null };
  const hearsay = new Hearsay({ ...options, wantedName: undefined }, 0);
  hearsay.hear(PacketType.block, 0);
  hearsay.hasAnswered = true;
  assert.equal(hearsay.handleTimeout([], 3000), null);
  assert.equal(hearsay.pollStillLooking([], 10_000), null);
  assert.equal(hearsay.dueMs, 20_000, 'and nothing is due at once');
});
