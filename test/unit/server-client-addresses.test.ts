import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientState } from '../../src/protocol/from-client.js';
import { Client } from '../../src/server/clients/client.js';
import { ClientAddresses } from '../../src/server/clients/client-addresses.js';
import { Clients } from '../../src/server/clients/clients.js';
import { blocksOf, ServerDriver } from './server-driver.js';

const chunks = 8;
const everything = [{ first: 0, count: chunks }];
/** 64 chunks, and 8 times the image. */
const initialChunks = 64 + 8 * chunks;
const minuteMs = 60_000;

const peerAt = (address: string) => ({ address, port: 40_000 });
const clientAt = (address: string, id = 1n) =>
  new Client(id, id, 'host', peerAt(address), chunks, 0, 0);
const geometryOf = (chunkCount: number, chunkSizeBytes = 64) => ({ chunkCount, chunkSizeBytes });

/** One client after the other comes from one address, asks for everything and is gone. */
function askAsManyClients(driver: ServerDriver, count: number, missingChunks?: number): number {
  let sentChunks = 0;
  for (let i = 0; i < count; i++) {
    const client = nextClient++;
    const asOfPosition = driver.session.progress(driver.now).blocksSent + 1;
    driver.join(client);
    if (missingChunks !== undefined) driver.report({ client, missingChunks });
    driver.ask({ client, ranges: everything, asOfPosition });
    sentChunks += blocksOf(driver.run(20)).length / 4;
  }
  return sentChunks;
}
let nextClient = 1000n;

const noticesOf = ({ events }: ServerDriver) =>
  events.flatMap((event) => (event.type === 'notice' ? [event.text] : []));

test('a host that invents clients makes the server send no more than one client could', () => {
  const driver = new ServerDriver({ chunks });
  const sent = askAsManyClients(driver, 300);
  assert.ok(sent >= initialChunks && sent <= initialChunks + 2 * chunks, `${sent} chunks`);
  assert.equal(noticesOf(driver).filter((text) => text.includes('10.0.0.5')).length, 1);
  const before = driver.session.progress(driver.now).packetsBad;
  askAsManyClients(driver, 10);
  assert.equal(driver.session.progress(driver.now).packetsBad, before + 10);
});

test('claims of invented clients do not add up: the most that one of them had counts', () => {
  const driver = new ServerDriver({ chunks });
  const sent = askAsManyClients(driver, 400, chunks / 2);
  const mostChunks = initialChunks + 64 * (chunks / 2);
  assert.ok(sent >= mostChunks && sent <= mostChunks + 2 * chunks, `${sent} chunks`);
});

test('a station that makes one copy after the other is never locked out', () => {
  const driver = new ServerDriver({ chunks, isOwnAddress: () => true });
  for (let copy = 0; copy < 300; copy++) {
    assert.equal(askAsManyClients(driver, 1), chunks, `copy ${copy}`);
    driver.report({ client: nextClient - 1n, state: ClientState.done });
  }
  assert.deepEqual(noticesOf(driver), []);
});

test('a client that says again and again that it is done gets an image back for it once', () => {
  const driver = new ServerDriver({ chunks });
  const sent = askAsManyClients(driver, 1);
  const client = nextClient - 1n;
  for (let i = 0; i < 200; i++) {
    driver.now += 1;
    driver.report({ client, state: ClientState.done });
    driver.now += 1;
    driver.report({ client, state: ClientState.receiving, missingChunks: chunks });
  }
  const more = askAsManyClients(driver, 300);
  assert.ok(sent + more <= initialChunks + 64 * chunks + 3 * chunks, `${sent + more} chunks`);
});

test('an address that has used up its budget leaves the others alone', () => {
  const driver = new ServerDriver({ chunks });
  askAsManyClients(driver, 300);
  const other = { address: '10.0.0.6', port: 40_000 };
  const asOfPosition = driver.session.progress(driver.now).blocksSent + 1;
  const spent = askAsManyClients(driver, 5);
  assert.equal(spent, 0);
  driver.join(7n, other);
  driver.ask({ client: 7n, ranges: everything, asOfPosition }, other);
  assert.equal(blocksOf(driver.run(20)).length, 4 * chunks);
});

test('a machine that is imaged every minute for weeks is never locked out', () => {
  const { budget } = new ClientAddresses(geometryOf(chunks)).enter('10.0.0.5');
  for (let run = 0; run < 20_000; run++) {
    const now = run * minuteMs;
    assert.equal(budget.isSpent(now), false, `run ${run}`);
    budget.noteHad(run % 2 === 0 ? chunks : 0);
    budget.spend(chunks, now);
  }
});

test('what was spent is forgotten at one image a minute, and no more than was spent', () => {
  const { budget } = new ClientAddresses(geometryOf(chunks)).enter('10.0.0.5');
  const spendAll = (now: number) => {
    let spent = 0;
    for (; !budget.isSpent(now); spent++) budget.spend(1, now);
    return spent;
  };
  assert.equal(spendAll(0), initialChunks);
  assert.equal(spendAll(minuteMs - 1), chunks);
  assert.equal(spendAll(minuteMs), 0);
  assert.equal(spendAll(1e12), initialChunks);
});

test('of a large image, what 64 Mbit/s carry is forgotten', () => {
  const chunkCount = 1e6;
  const chunkSizeBytes = 1_048_576;
  const { budget } = new ClientAddresses({ chunkCount, chunkSizeBytes }).enter('10.0.0.5');
  budget.spend(64 + 8 * chunkCount, 0);
  assert.equal(budget.isSpent(0), true);
  let spent = 0;
  for (; !budget.isSpent(minuteMs); spent++) budget.spend(1, minuteMs);
  const bitsPerSecond = (spent * chunkSizeBytes * 8) / 60;
  assert.ok(bitsPerSecond > 60e6 && bitsPerSecond < 70e6, `${bitsPerSecond} bit/s`);
});

test('an address stays the same for whoever comes from it, while it has clients and after', () => {
  const addresses = new ClientAddresses(geometryOf(chunks));
  const table = new Clients(addresses);
  const first = table.add(clientAt('10.0.0.5', 1n), 0)!;
  const second = table.add(clientAt('10.0.0.5', 2n), 0)!;
  const clientAddress = first.clientAddress!;
  assert.equal(second.clientAddress, clientAddress);
  table.move(second, peerAt('10.0.0.6'));
  assert.notEqual(second.clientAddress, clientAddress);
  table.move(second, { address: '10.0.0.6', port: 50_000 });
  table.move(first, peerAt('10.0.0.6'));
  assert.equal(first.clientAddress, second.clientAddress);
  table.move(first, peerAt('10.0.0.5'));
  assert.equal(first.clientAddress, clientAddress);
  // Neither was ever heard of again.
  table.hungry(minuteMs, 3000);
  assert.equal(table.size, 0);
  assert.equal(addresses.size, 2);
  assert.equal(table.add(clientAt('10.0.0.5', 3n), minuteMs)!.clientAddress, clientAddress);
});

test('addresses are bounded, and a flood of them pushes out none that has clients', () => {
  const addresses = new ClientAddresses(geometryOf(chunks));
  const inUse = addresses.enter('10.0.0.5');
  const left = addresses.enter('10.0.0.6');
  addresses.leave(left);
  for (let i = 0; i < 100_000; i++) addresses.leave(addresses.enter(`10.1.${i >>> 8}.${i & 255}`));
  assert.ok(addresses.size <= 20_000, `${addresses.size} addresses`);
  assert.equal(addresses.enter('10.0.0.5'), inUse);
  assert.notEqual(addresses.enter('10.0.0.6'), left);
});

test('a flood of invented clients from invented addresses keeps an honest one in its place', () => {
  const addresses = new ClientAddresses(geometryOf(chunks));
  const table = new Clients(addresses);
  const honest = table.add(clientAt('10.0.0.5'), 0)!;
  honest.report(
    {
      session: 1n,
      client: 1n,
      position: 0,
      packetsReceived: 0,
      packetsLost: 0,
      clockUs: 0,
      missingChunks: chunks,
      provenChunks: 0,
      receiveBufferBytes: 1000,
      state: ClientState.receiving,
    },
    0,
    0,
  );
  for (let i = 0; i < 60_000; i++) {
    table.add(clientAt(`10.2.${i >>> 8}.${i & 255}`, BigInt(100 + i)), 1);
  }
  assert.ok(addresses.size <= 2 * 16_384);
  assert.equal(table.find(1n)?.clientAddress, honest.clientAddress);
  assert.equal(addresses.enter('10.0.0.5'), honest.clientAddress);
});
