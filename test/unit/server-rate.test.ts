import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Network, PACKET_BYTES } from './server-network.js';

const CEILING_PACKETS_PER_MS = 500;
const ceilingBytesPerMs = CEILING_PACKETS_PER_MS * PACKET_BYTES;

test('without loss the rate rises to the ceiling, and stays there', () => {
  const network = new Network({ ceilingBytesPerMs }, {}, {});
  const before = network.rate.bytesPerMs;
  network.run(100);
  assert(network.rate.bytesPerMs > before);
  network.run(1900);
  assert.equal(network.rate.bytesPerMs, ceilingBytesPerMs);
});

test('the ceiling holds from the first packet on', () => {
  const network = new Network({ ceilingBytesPerMs: 100 }, {});
  assert.equal(network.rate.bytesPerMs, 100);
  network.run(2000);
  assert.equal(network.rate.bytesPerMs, 100);
});

test('the ceiling holds where it is below any rate that would be chosen, and packets are lost', () => {
  const network = new Network({ ceilingBytesPerMs: 200 }, { ownLoss: 0.2 });
  for (let second = 0; second < 60; second++) {
    network.run(1000);
    assert(network.rate.bytesPerMs <= 200, `${network.rate.bytesPerMs} bytes/ms`);
  }
});

for (const packetsPerMs of [1, 4, 20, 55, 120]) {
  const name = `a path of ${packetsPerMs} packets/ms is found and filled, with little loss`;
  test(name, () => {
    const network = new Network({}, { packetsPerMs });
    network.run(3000);
    const sent = network.measure(3000);
    assert(sent > 0.8 * packetsPerMs, `${sent} packets/ms sent`);
    assert(sent < 1.1 * packetsPerMs, `${sent} packets/ms sent`);
  });
}

test('a path that becomes slow is followed down, and up again when it recovers', () => {
  const network = new Network({ ceilingBytesPerMs }, { packetsPerMs: 100 });
  const [path] = network.paths;
  network.run(3000);
  path!.options.packetsPerMs = 20;
  network.run(2000);
  const slow = network.measure(2000);
  assert(slow < 25 && slow > 15, `${slow} packets/ms on the slow path`);
  path!.options.packetsPerMs = 100;
  network.run(4000);
  const recovered = network.measure(2000);
  assert(recovered > 80 && recovered < 115, `${recovered} packets/ms after it recovered`);
});

for (const ownLoss of [0.01, 0.05, 0.15]) {
  test(`loss of ${ownLoss * 100} % that is the path's own is learnt, and does not slow the server`, () => {
    const network = new Network({ ceilingBytesPerMs: 200 * PACKET_BYTES }, { ownLoss });
    network.run(6000);
    const sent = network.measure(4000);
    assert(sent > 150, `${sent} packets/ms sent`);
  });
}

for (const outageMs of [50, 200]) {
  for (const paths of [1, 4]) {
    test(
      `a path that carries nothing for ${outageMs} ms of each second, of ${paths}, sets no ` +
        `rate`,
      () => {
        const others = Array<object>(paths - 1).fill({});
        const network = new Network(
          { ceilingBytesPerMs: 20 * PACKET_BYTES },
          { outageMs },
          ...others,
        );
        network.run(4000);
        const sent = network.measure(10_000);
        assert(sent > 0.95 * 20, `${sent} packets/ms sent`);
        assert(network.clients()[0]!.followed);
      },
    );
  }
}

test('a path that carries nothing at times, and is full at others, is still filled', () => {
  const network = new Network({ ceilingBytesPerMs }, { outageMs: 50, packetsPerMs: 40 });
  network.run(6000);
  const sent = network.measure(6000);
  assert(sent > 0.7 * 40 && sent < 1.15 * 40, `${sent} packets/ms sent`);
});

test('one client with loss of its own does not slow the others down for good', () => {
  const options = { ceilingBytesPerMs: 200 * PACKET_BYTES };
  const network = new Network(options, { ownLoss: 0.08 }, {}, {});
  network.run(6000);
  assert(network.measure(4000) > 150);
});

test('a client far slower than the others is left behind, and served as it comes', () => {
  const network = new Network({ ceilingBytesPerMs }, { packetsPerMs: 100 }, { packetsPerMs: 5 });
  network.run(4000);
  const sent = network.measure(3000);
  assert(sent > 80, `${sent} packets/ms sent`);
  assert.deepEqual(
    network.clients().map((client) => client.followed),
    [true, false],
  );
});

test('asked to wait for slow clients, the server does', () => {
  const options = { ceilingBytesPerMs, waitForSlow: true };
  const network = new Network(options, { packetsPerMs: 100 }, { packetsPerMs: 5 });
  network.run(4000);
  const sent = network.measure(3000);
  assert(sent < 6 && sent > 3.5, `${sent} packets/ms sent`);
  assert(network.clients().every((client) => client.followed));
});

test('a client that was left behind is followed again when it keeps up', () => {
  const network = new Network({ ceilingBytesPerMs }, { packetsPerMs: 100 }, { packetsPerMs: 5 });
  network.run(4000);
  assert.equal(network.clients()[1]!.followed, false);
  network.paths[1]!.options.packetsPerMs = 1e6;
  network.run(3000);
  assert.equal(network.clients()[1]!.followed, true);
});

test('clients that are slow together are all followed: nobody is left behind', () => {
  const network = new Network({}, { packetsPerMs: 10 }, { packetsPerMs: 9 }, { packetsPerMs: 11 });
  network.run(4000);
  assert(network.clients().every((client) => client.followed));
  const sent = network.measure(2000);
  assert(sent < 11 && sent > 7, `${sent} packets/ms sent`);
});

test('a rate that nothing makes use of does not rise: it would say nothing', () => {
  const network = new Network({ ceilingBytesPerMs: 1e9 }, {});
  const before = network.rate.bytesPerMs;
  network.run(5000, 0.1);
  assert(network.rate.bytesPerMs <= before * 2);
});

test('a rate that only short bursts make use of counts as tried only as far as was sent', () => {
  const network = new Network({ ceilingBytesPerMs }, {});
  network.run(3000);
  assert.equal(network.rate.triedBytesPerMs, ceilingBytesPerMs, 'steadily used, it is');
  for (let burst = 0; burst < 50; burst++) {
    network.run(40, 1);
    network.run(160, 0);
  }
  assert.equal(network.rate.bytesPerMs, ceilingBytesPerMs);
  const sentBytesPerMs = (network.measure(40) * PACKET_BYTES) / 5;
  assert(network.rate.triedBytesPerMs < 2.5 * sentBytesPerMs, `${network.rate.triedBytesPerMs}`);
});

test('clients behind one full link tell its speed together, whoever of them was busy', () => {
  const path = { packetsPerMs: 100 };
  const network = new Network({ ceilingBytesPerMs }, path, path, path, path, path);
  network.run(3000);
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 60; turn++) {
    network.paths[turn % 5]!.pause(60);
    network.run(60);
    least = Math.min(least, network.packetsPerMs);
  }
  assert(least > 80, `the rate fell to ${least} packets/ms`);
});

test('with no client to follow the rate stays as it is', () => {
  const network = new Network({});
  const before = network.rate.bytesPerMs;
  network.run(2000);
  assert.equal(network.rate.bytesPerMs, before);
});

test('the window follows the smallest receive buffer among those that are followed', () => {
  const large = new Network({ ceilingBytesPerMs: 1000 }, { receiveBufferBytes: 32 * 1024 * 1024 });
  const small = new Network(
    { ceilingBytesPerMs: 1000 },
    { receiveBufferBytes: 32 * 1024 * 1024 },
    { receiveBufferBytes: 2 * 1024 * 1024 },
  );
  large.run(100);
  small.run(100);
  const windowBytes = (network: Network) => network.rate.windowPackets * PACKET_BYTES;
  assert(windowBytes(large) < 32 * 1024 * 1024);
  assert(windowBytes(small) < 2 * 1024 * 1024);
  assert(windowBytes(large) > 4 * windowBytes(small));
});

test('a client not heard of no longer holds the window, unless the operator waits for it', () => {
  for (const waitForSlow of [false, true]) {
    const network = new Network({ waitForSlow }, {});
    const [client] = network.clients();
    assert.equal(network.rate.holdsWindow(client!, 0), false, 'it has not reported yet');
    network.run(100);
    assert.equal(network.rate.holdsWindow(client!, network.now), true);
    assert.equal(network.rate.holdsWindow(client!, network.now + 5000), waitForSlow);
  }
});

test('property: whatever clients claim, rate and window stay numbers to work with', () => {
  const claim = fc.record({
    position: fc.nat({ max: 0xffffffff }),
    packetsReceived: fc.nat({ max: 0xffffffff }),
    packetsLost: fc.nat({ max: 0xffffffff }),
    clockUs: fc.nat({ max: 0xffffffff }),
    receiveBufferBytes: fc.constantFrom(0, 1, 0xffffffff),
    afterMs: fc.nat({ max: 60 }),
  });
  fc.assert(
    fc.property(fc.array(claim, { maxLength: 40 }), fc.boolean(), (claims, waitForSlow) => {
      const network = new Network({ ceilingBytesPerMs, waitForSlow }, {}, {});
      const [liar] = network.clients();
      for (const { afterMs, ...numbers } of claims) {
        network.run(afterMs);
        const zero = { session: 1n, missingChunks: 0, provenChunks: 0, state: 0 as const };
        liar!.report({ ...zero, client: liar!.id, ...numbers }, network.position, network.now);
        const { bytesPerMs, windowPackets } = network.rate;
        assert(bytesPerMs > 0 && bytesPerMs <= ceilingBytesPerMs, `${bytesPerMs} bytes/ms`);
        assert(windowPackets >= 1 && Number.isInteger(windowPackets), `${windowPackets} packets`);
      }
    }),
  );
});
