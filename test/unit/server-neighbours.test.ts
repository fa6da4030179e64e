import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMapRequest } from '../../src/protocol/from-client.js';
import { encodeImageDescription } from '../../src/protocol/from-server.js';
import { Neighbours } from '../../src/server/neighbours.js';

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
  const neighbours = new Neighbours(OWN);
  const request = decodeMapRequest(neighbours.poll(0)!);
  assert.deepEqual(request, {
    client: OWN,
    machine: 0n,
    isServer: true,
    isAtOnce: false,
    host: '',
  });
  assert.equal(neighbours.poll(1), null);
  const dueMs = neighbours.dueMs;
  assert(dueMs >= 1000 && dueMs <= 60_000);
  assert.equal(neighbours.poll(dueMs - 1), null);
  assert.notEqual(neighbours.poll(dueMs), null);
});

test('others count that ask or answer, each once, until they fall silent; the own echo never', () => {
  const neighbours = new Neighbours(OWN);
  neighbours.poll(0);
  assert.equal(neighbours.hear(OWN, 0), false);
  assert.equal(neighbours.count(0), 0);
  assert.equal(neighbours.hear(8n, 0), true);
  assert.equal(neighbours.hear(8n, 10), true);
  assert.equal(neighbours.handleDescription(answer(9n), 10), true);
  assert.equal(neighbours.handleDescription(answer(OWN), 10), true);
  assert.equal(neighbours.count(10), 2);
  const silentMs = 3 * neighbours.dueMs + 60_000;
  neighbours.hear(8n, silentMs);
  assert.equal(neighbours.count(silentMs), 1);
});

test('answers to somebody else, and what is no answer, are refused', () => {
  const neighbours = new Neighbours(OWN);
  assert.equal(neighbours.handleDescription(answer(9n, 5n), 0), false);
  assert.equal(neighbours.handleDescription(answer(9n).subarray(0, 50), 0), false);
  assert.equal(neighbours.count(0), 0);
});

test('forged sessions fill neither the memory nor the byte that counts them', () => {
  const neighbours = new Neighbours(OWN);
  for (let session = 100n; session < 5000n; session++) neighbours.hear(session, 0);
  assert.equal(neighbours.count(0), 255);
});
