import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClientState, type Report } from '../../src/protocol/from-client.js';
import { MAX_SENTINELS } from '../../src/protocol/from-server.js';
import { Client, electSentinels } from '../../src/server/clients/client.js';
import { ClientAddresses } from '../../src/server/clients/client-addresses.js';
import { Clients } from '../../src/server/clients/clients.js';

const PEER = { address: '10.0.0.9', port: 40_000 };

const clientOf = (id: bigint, joinedMs = 0) => new Client(id, id, 'host', PEER, 100, 0, joinedMs);

/** One that was not only heard once. */
function reporterOf(id: bigint, nowMs = 0): Client {
  const client = clientOf(id, nowMs);
  client.report(reportOf({ client: id }), 0, nowMs);
  return client;
}

const newTable = () => new Clients(new ClientAddresses({ chunkCount: 100, chunkSizeBytes: 64 }));

/** A table with as many clients as it takes. */
function fullTable(clientOfId: (id: bigint) => Client): Clients {
  const table = newTable();
  for (let size = -1; table.size > size; ) {
    size = table.size;
    table.add(clientOfId(BigInt(size)), 0);
  }
  return table;
}

function reportOf(numbers: Partial<Report>): Report {
  return {
    session: 1n,
    client: 1n,
    position: 0,
    packetsReceived: 0,
    packetsLost: 0,
    clockUs: 0,
    missingChunks: 100,
    provenChunks: 0,
    receiveBufferBytes: 1000,
    state: ClientState.receiving,
    ...numbers,
  };
}

test('delivery and loss are averaged over what reports tell', () => {
  const client = clientOf(1n);
  for (let tick = 0; tick <= 200; tick++) {
    const position = tick * 100;
    const counts = { packetsReceived: tick * 75, packetsLost: tick * 25 };
    client.report(reportOf({ position, ...counts, clockUs: tick * 10_000 }), position, tick * 10);
  }
  assert(Math.abs(client.delivery.lossRatio - 0.25) < 0.01, `loss ${client.delivery.lossRatio}`);
  assert(
    Math.abs(client.delivery.packetsPerMs - 7.5) < 0.1,
    `delivered ${client.delivery.packetsPerMs}`,
  );
});

test(
  'packets that overtake each other are no loss: what one report misses is one if the next ' +
    'one misses it, too',
  () => {
    const client = clientOf(1n);
    let most = 0;
    for (let tick = 0; tick <= 100; tick++) {
      // Every second report finds 50 packets that the next one has got after all.
      const late = tick % 2 === 0 ? 0 : 50;
      const counts = { packetsReceived: tick * 100 - late, packetsLost: late };
      const position = tick * 100;
      client.report(reportOf({ position, ...counts, clockUs: tick * 10_000 }), position, tick * 10);
      most = Math.max(most, client.delivery.possibleLossRatio);
      assert.equal(client.delivery.lossRatio, 0);
      assert.equal(client.delivery.evidenceLossRatio, 0);
    }
    assert(most > 0.01, 'it was seen as a possible loss');
    assert(
      Math.abs(client.delivery.packetsPerMs - 10) < 1,
      `delivered ${client.delivery.packetsPerMs}`,
    );
  },
);

test('evidence begun anew is of packets sent since, however late the reports of older ones come', () => {
  const client = clientOf(1n);
  const { delivery } = client;
  let lost = 0;
  const hear = (position: number, newlyLost: number) => {
    lost += newlyLost;
    const counts = { packetsReceived: position - lost, packetsLost: lost };
    const report = reportOf({ position, ...counts, clockUs: position * 100 });
    client.report(report, position, position / 10);
  };
  hear(0, 0);
  hear(1000, 500);
  assert.deepEqual([delivery.evidencePackets, delivery.possibleLossRatio], [0, 0.5]);
  hear(1500, 0);
  assert.deepEqual([delivery.evidencePackets, delivery.evidenceLossRatio], [1000, 0.5]);
  delivery.beginEvidence(2500);
  hear(2000, 500);
  hear(3000, 500);
  hear(3500, 0);
  assert.equal(delivery.evidencePackets, 0, 'some of these were sent before');
  assert.equal(delivery.possibleLossRatio, 0, 'of what was sent since nothing is missed');
  hear(4000, 0);
  assert.deepEqual([delivery.evidencePackets, delivery.evidenceLossRatio], [500, 0]);
});

test('property: reports that come late or twice change nothing', () => {
  const order = fc.array(fc.nat({ max: 29 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(order, fc.constantFrom(0, 0xfffff000), (ticks, start) => {
      const client = clientOf(1n);
      let newest = -1;
      for (const tick of ticks) {
        const clockUs = (start + tick * 10_000) >>> 0;
        const position = start + tick * 10;
        const report = reportOf({ position, packetsReceived: tick * 10, clockUs });
        client.report(report, position, 300);
        newest = Math.max(newest, tick);
        assert.equal(client.position, start + newest * 10);
      }
      assert.equal(client.delivery.lossRatio, 0);
      assert.equal(client.lag(start + newest * 10 + 7), 7);
      assert.equal(client.lag(start + newest * 10 - 7), 0);
    }),
  );
});

test('a client has an budget of requests: a storm is cut, a pause restores it', () => {
  const client = clientOf(1n);
  const granted = (fromMs: number, forMs: number) => {
    let count = 0;
    for (let tenth = 0; tenth < forMs * 10; tenth++) {
      if (client.mayAsk(fromMs + tenth / 10)) count++;
    }
    return count;
  };
  const first = granted(0, 1000);
  const then = granted(1000, 1000);
  assert(then < 1000 && then > 50, `${then} requests a second`);
  assert(first <= 2 * then + 1);
  assert(granted(60_000, 1) >= 10);
});

test('a client is shown by what it last said, and as silent when it says no more', () => {
  const client = clientOf(0xabcn);
  assert.deepEqual(client.describe(0), {
    id: '0000000000000abc',
    machine: '0000000000000abc',
    host: 'host',
    label: '',
    address: '10.0.0.9',
    missingChunks: 100,
    provenChunks: 0,
    state: 'joined',
    lossRatio: 0,
    followed: true,
    receivedPacketsPerSecond: 0,
  });
  let clockUs = 0;
  const shown = (state: Report['state'], afterMs = 0) => {
    client.report(reportOf({ state, clockUs: ++clockUs }), 0, 0);
    return client.describe(afterMs).state;
  };
  assert.equal(shown(ClientState.receiving), 'receiving');
  assert.equal(shown(ClientState.receiving, 60_000), 'silent');
  assert.equal(shown(ClientState.proving), 'proving');
  assert.equal(shown(ClientState.done, 60_000), 'done');
  assert.equal(shown(ClientState.failed), 'failed');
  assert.equal(shown(ClientState.leaving), 'failed');
});

test('who ends before its target is open has nothing of the image', () => {
  const nothing = { missingChunks: 0, provenChunks: 0, receiveBufferBytes: 0 };
  for (const state of [ClientState.leaving, ClientState.failed]) {
    const client = clientOf(1n);
    client.report(reportOf({ ...nothing, state }), 0, 0);
    assert.equal(client.describe(0).missingChunks, 100);
    assert.equal(client.hasLeftUnbegun, state === ClientState.leaving);
  }
  const begun = clientOf(1n);
  begun.report(reportOf({ missingChunks: 30, provenChunks: 70 }), 0, 0);
  begun.report(reportOf({ ...nothing, state: ClientState.leaving, clockUs: 1 }), 0, 1);
  assert.equal(begun.describe(0).missingChunks, 30);
  assert.equal(begun.hasLeftUnbegun, false);
  const whole = clientOf(1n);
  whole.report(reportOf({ missingChunks: 0, state: ClientState.leaving }), 0, 0);
  assert.equal(whole.hasLeftUnbegun, false, 'all is at its place, and nothing proven yet');
});

test('those wait for packets who are not done, and were heard of lately', () => {
  const table = newTable();
  const states = Object.values(ClientState);
  for (const [index, state] of states.entries()) {
    const client = clientOf(BigInt(index));
    client.report(reportOf({ state }), 0, 0);
    table.add(client, 0);
  }
  const hungry = table.hungry(2999, 3000).map((client) => client.state);
  assert.deepEqual(hungry, [ClientState.receiving, ClientState.proving]);
  assert.deepEqual(table.hungry(3000, 3000), []);
});

test('the table is bounded: others are turned away until clients are long forgotten', () => {
  const table = fullTable(reporterOf);
  assert(table.size >= 10_000 && table.size <= 100_000, `${table.size} clients`);
  assert.notEqual(table.find(0n), undefined);
  assert.equal(table.add(clientOf(1_000_000n, 1000), 1000), null);
  const hourMs = 3_600_000;
  assert.notEqual(table.add(clientOf(1_000_000n, hourMs), hourMs), null);
  assert.equal(table.find(0n), undefined);
});

test('one host that fills the table, however it reports, locks out nobody but itself', () => {
  const table = fullTable(reporterOf);
  const { size } = table;
  for (let id = 1_000_000n; id < 1_000_200n; id++) {
    const peer = { address: `10.9.0.${id % 200n}`, port: 40_000 };
    const other = new Client(id, id, 'host', peer, 100, 0, 10);
    assert.notEqual(table.add(other, 10), null);
    other.report(reportOf({ client: id }), 0, 10);
    assert.equal(table.add(clientOf(2_000_000n), 10), null, 'it has enough');
  }
  assert.equal(table.size, size);
  assert.equal(table.find(0n), undefined);
  assert.notEqual(table.find(1_000_000n), undefined, 'the others stay');
});

test('who never reported makes room, the first to join first', () => {
  const table = fullTable((id) => (id < 2n ? reporterOf(id) : clientOf(id)));
  const { size } = table;
  assert.equal(table.find(2n), undefined, 'the last of them found the table full');
  table.find(3n)!.report(reportOf({ client: 3n }), 0, 5);
  for (let id = 1_000_000n; id < 1_000_010n; id++) {
    assert.notEqual(table.add(clientOf(id, 10), 10), null);
    assert.equal(table.size, size);
  }
  for (const id of [0n, 1n, 3n, 14n, 1_000_000n]) assert.notEqual(table.find(id), undefined);
  for (const id of [4n, 13n]) assert.equal(table.find(id), undefined);
});

test('few clients all report often; of many, those that lose most among the followed', () => {
  const clients = Array.from({ length: 40 }, (_, index) => {
    const client = reporterOf(BigInt(index));
    client.delivery.lossRatio = ((index * 7) % 40) / 100;
    return client;
  });
  clients[1]!.followed = false;
  clients[1]!.delivery.lossRatio = 0.99;
  const few = clients.slice(0, MAX_SENTINELS);
  assert.equal(electSentinels(few, 0).length, MAX_SENTINELS);
  for (const client of few) client.sentinelSinceMs = null;
  const elected = electSentinels(clients, 5);
  assert.equal(elected.length, MAX_SENTINELS);
  assert.equal(elected.includes(clients[1]!), false, 'nobody waits for it');
  const others = clients.filter((client) => client.followed && !elected.includes(client));
  const least = Math.min(...elected.map((client) => client.delivery.lossRatio));
  assert(others.every((client) => client.delivery.lossRatio <= least));
  assert(elected.every((client) => client.sentinelSinceMs === 5));
  assert(others.every((client) => client.sentinelSinceMs === null));
  // Figures of those who serve already are the best: small differences change nothing.
  others[0]!.delivery.lossRatio = least + 0.005;
  assert.deepEqual(new Set(electSentinels(clients, 9)), new Set(elected));
  others[0]!.delivery.lossRatio = 0.9;
  assert.equal(electSentinels(clients, 9).includes(others[0]!), true);
  // Clients that never reported, however many, push nobody out.
  const strangers = Array.from({ length: 1000 }, (_, index) => clientOf(BigInt(1000 + index)));
  const reporters = clients.slice(2, 5);
  assert.deepEqual(new Set(electSentinels([...strangers, ...reporters], 10)), new Set(reporters));
});

test('no client is another by naming its id', () => {
  const client = clientOf(1n);
  assert.equal(client.isAt(PEER), true);
  assert.equal(client.isAt({ ...PEER, port: 1 }), false);
  assert.equal(client.isAt({ ...PEER, address: '10.6.6.6' }), false);
});
