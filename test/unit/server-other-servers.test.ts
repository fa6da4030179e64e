import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMapRequest } from '../../src/protocol/from-client.js';
import { encodeImageDescription } from '../../src/protocol/from-server.js';
import { OtherServers } from '../../src/server/other-servers.js';

const OWN = 7n;

const answer = (session: bigint, client = OWN) =>
  encodeImageDescription({
    session,
    client,
    imageSize: 1000,
    chunkSize: 64,
    blockSize: 16,
    mapId: null,
    group: '239.255.76.67',
    port: 9000,
    otherSessions: 0,
    position: 1,
    sectorSizeBytes: 0,
    streamAddress: '',
    requestWindowMs: 0,
    reportIntervalMs: 20,
    name: 'other.img',
  });

test('a server asks for others at once, and then now and then', () => {
  const otherServers = new OtherServers(OWN);
  const request = decodeMapRequest(otherServers.poll(0)!);
  assert.deepEqual(request, {
    client: OWN,
    machine: 0n,
    isServer: true,
    isAtOnce: false,
    host: '',
    identity: {},
  });
  assert.equal(otherServers.poll(1), null);
  const dueMs = otherServers.dueMs;
  assert(dueMs >= 1000 && dueMs <= 60_000);
  assert.equal(otherServers.poll(dueMs - 1), null);
  assert.notEqual(otherServers.poll(dueMs), null);
});

test('others count that ask or answer, each once, until they fall silent; the own echo never', () => {
  const otherServers = new OtherServers(OWN);
  otherServers.poll(0);
  assert.equal(otherServers.hear(OWN, 0), false);
  assert.equal(otherServers.count(0), 0);
  assert.equal(otherServers.hear(8n, 0), true);
  assert.equal(otherServers.hear(8n, 10), true);
  assert.equal(otherServers.handleDescription(answer(9n), 10), true);
  assert.equal(otherServers.handleDescription(answer(OWN), 10), true);
  assert.equal(otherServers.count(10), 2);
  const silentMs = 3 * otherServers.dueMs + 60_000;
  otherServers.hear(8n, silentMs);
  assert.equal(otherServers.count(silentMs), 1);
});

test('answers to somebody else, and what is no answer, are refused', () => {
  const otherServers = new OtherServers(OWN);
  assert.equal(otherServers.handleDescription(answer(9n, 5n), 0), false);
  assert.equal(otherServers.handleDescription(answer(9n).subarray(0, 50), 0), false);
  assert.equal(otherServers.count(0), 0);
});

test('forged sessions fill neither the memory nor the byte that counts them', () => {
  const otherServers = new OtherServers(OWN);
  for (let session = 100n; session < 5000n; session++) otherServers.hear(session, 0);
  assert.equal(otherServers.count(0), 255);
});
