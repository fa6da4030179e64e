/** What the fleet page makes of what it hears, without a browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientRow, FleetChange, FleetState, LogEntry } from '../../src/node/web/api.js';
import { applyChange, countOf, modelOf, shownRows } from '../../src/page/model.js';
import { clockOf, factsOf, logWords, rowWords, runWords } from '../../src/page/words.js';

function rowOf(host: string, changes: Partial<ClientRow> = {}): ClientRow {
  return {
    id: host.padStart(16, '0'),
    machine: host.padStart(16, '0'),
    host,
    address: '10.0.0.7',
    label: null,
    mac: null,
    product: null,
    serial: null,
    diskModel: null,
    diskSerial: null,
    diskBytes: null,
    version: null,
    linkBitsPerSecond: null,
    isFullDuplex: null,
    state: 'receiving',
    progressRatio: 0.5,
    receivedBitsPerSecond: 0,
    lossRatio: 0,
    leftSeconds: null,
    isFollowed: true,
    isReleased: false,
    holdsCopy: false,
    silentSeconds: 0,
    trouble: 0,
    reason: null,
    ...changes,
  };
}

const entry = (number: number, event = 'notice'): LogEntry => ({
  number,
  time: '2030-01-01T00:00:00Z',
  event,
  details: { text: `entry ${number}` },
});

function stateOf(clients: ClientRow[]): FleetState {
  return {
    image: { name: 'lab.img', path: '/lab.img', sizeBytes: 1, chunkCount: 1, mapId: null },
    run: { state: 'sending', awaitedClients: null },
    cells: '..',
    clients,
    expected: { count: 2, missing: ['pc-99'], lacking: ['pc-99'] },
    history: { seconds: [1, 2], bitsPerSecond: [10, 20] },
    log: [entry(1), entry(2)],
  } as unknown as FleetState;
}

const hostsOf = (rows: readonly object[]) => rows.map((row) => (row as ClientRow).host);

test('a change is taken in once, however often it overlaps with what is known', () => {
  const model = modelOf(stateOf([rowOf('a'), rowOf('b')]));
  const change = {
    run: { state: 'paused', awaitedClients: 0 },
    mapId: 'ab',
    clients: [rowOf('b', { progressRatio: 0.75 }), rowOf('c')],
    gone: [rowOf('a').id],
    history: { seconds: [2, 3], bitsPerSecond: [20, 30] },
    log: [entry(2), entry(3)],
  } as unknown as FleetChange;
  assert.deepEqual(applyChange(model, change), [entry(3)]);
  assert.deepEqual(applyChange(model, change), []);
  assert.deepEqual([...model.rows.values()].map(({ host }) => host).sort(), ['b', 'c']);
  assert.deepEqual(model.state.history, { seconds: [1, 2, 3], bitsPerSecond: [10, 20, 30] });
  assert.equal(model.state.cells, '..');
  assert.equal(model.state.image.mapId, 'ab');
});

test('those that need a look are first, then those with least, then by name and number', () => {
  const rows = [
    rowOf('pc-10'),
    rowOf('pc-9'),
    rowOf('pc-1', { state: 'done', progressRatio: 1, holdsCopy: true }),
    rowOf('pc-2', { progressRatio: 0.1 }),
    rowOf('pc-3', { trouble: 1.3 }),
    rowOf('pc-4', { trouble: 5, state: 'failed' }),
  ];
  const model = modelOf(stateOf(rows));
  const all = ['pc-4', 'pc-3', 'pc-2', 'pc-9', 'pc-10', 'pc-1'];
  assert.deepEqual(hostsOf(shownRows(model, 'all', '')), all);
  assert.deepEqual(hostsOf(shownRows(model, 'trouble', '')), ['pc-4', 'pc-3']);
  assert.deepEqual(hostsOf(shownRows(model, 'done', '')), ['pc-1']);
  assert.deepEqual(shownRows(model, 'missing', ''), [{ missing: 'pc-99' }]);
  assert.deepEqual([countOf(model, 'busy'), countOf(model, 'missing')], [4, 1]);
});

test('machines are found by all that is known of them', () => {
  const mac = '52:54:00:12:34:56';
  const model = modelOf(stateOf([rowOf('a', { mac, product: 'OptiPlex' }), rowOf('b')]));
  assert.deepEqual(hostsOf(shownRows(model, 'all', 'opti 34:56')), ['a']);
  assert.deepEqual(hostsOf(shownRows(model, 'all', 'opti b')), []);
  assert.deepEqual(shownRows(model, 'missing', 'pc-9'), [{ missing: 'pc-99' }]);
});

test('states and events have words', () => {
  assert.equal(clockOf(65), '1:05');
  assert.equal(clockOf(3723), '1:02:03');
  const waiting = { state: 'waiting', awaitedClients: 3 } as FleetState['run'];
  assert.equal(runWords(waiting), 'Waiting for 3 more');
  assert.deepEqual(rowWords(rowOf('a', { state: 'failed', holdsCopy: true })).tone, 'good');
  assert.deepEqual(rowWords(rowOf('a', { isFollowed: false })).text, 'Left behind');
  assert.equal(rowWords(rowOf('a', { state: 'silent', silentSeconds: 75 })).text, 'Silent 1:15');
  const half = factsOf(rowOf('a', { linkBitsPerSecond: 1e8, isFullDuplex: false }));
  assert.deepEqual(half.find(([name]) => name === 'Link')?.[1], '100 Mbit/s · half duplex');
  assert.equal(logWords(entry(1))?.text, 'entry 1');
  const failed = { ...entry(1, 'client-failed'), host: 'pc-1', address: '10.0.0.7' };
  failed.details = { reason: 'failed', why: 'the disk is full' };
  assert.equal(logWords(failed)?.text, 'pc-1 (10.0.0.7) failed: the disk is full');
  const reason = factsOf(rowOf('a', { state: 'failed', reason: 'the disk is full' }));
  assert.deepEqual(reason[1], ['Why it failed', 'the disk is full']);
  assert.equal(logWords(entry(1, 'no-such-event')), null);
  const ended = (doneCount: number) => ({ ...entry(1, 'ended'), details: { doneCount } });
  assert.equal(logWords(ended(1))?.text, 'Ended with 1 copy');
  assert.equal(logWords(ended(0))?.text, 'Ended with 0 copies');
  const looked = { ...entry(1, 'client-looked'), host: 'pc-1', address: '10.0.0.7' };
  assert.deepEqual(logWords(looked), {
    text: 'pc-1 (10.0.0.7) left before it began a copy',
    tone: '',
  });
});
