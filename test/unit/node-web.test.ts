/** Who may use the fleet page, what can be ordered there, and what Prometheus reads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientRow, FleetState } from '../../src/node/web/api.js';
import { metricsText } from '../../src/node/web/metrics.js';
import { ProgressMeter } from '../../src/node/web/progress-meter.js';
import { WebGuard } from '../../src/node/web/web-guard.js';
import { carryOut, type Orders } from '../../src/node/web/web-orders.js';

const TOKEN = 'abcdefghijklmnopqrstuv';
const alone = new WebGuard({ port: 8080, token: null, names: [''] });
const shared = new WebGuard({ port: 8080, token: TOKEN, names: ['lab-server'] });

test('on loopback, whoever calls it by a name of loopback is let in', () => {
  for (const host of ['localhost:8080', '127.0.0.1:8080', '[::1]:8080', 'LOCALHOST:8080']) {
    assert.equal(alone.judge({ host }, null), 'ok', host);
  }
  const foreign = ['evil.example:8080', 'localhost', 'localhost:81', '10.0.0.1:8080', '', 'a:b:c'];
  for (const host of foreign) assert.equal(alone.judge({ host }, null), 'foreign', host);
  assert.equal(alone.judge({}, null), 'foreign');
});

test('pages of others are not let in, whatever they know', () => {
  const host = 'localhost:8080';
  const foreign = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:81' },
    { origin: 'https://localhost:8080' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' },
  ];
  for (const headers of foreign) {
    assert.equal(alone.judge({ host, ...headers }, null), 'foreign', JSON.stringify(headers));
    assert.equal(shared.judge({ host, ...headers }, TOKEN), 'foreign', JSON.stringify(headers));
  }
  const own = { origin: 'http://localhost:8080', 'sec-fetch-site': 'same-origin' };
  assert.equal(alone.judge({ host, ...own }, null), 'ok');
  const visit = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
  assert.equal(alone.judge({ host, ...visit }, null), 'ok', 'a link that somebody follows');
});

test('elsewhere the token opens it, in the address, a cookie or a header', () => {
  for (const host of ['10.0.0.1:8080', '[fe80::1]:8080', 'lab-server:8080', 'localhost:8080']) {
    assert.equal(shared.judge({ host }, TOKEN), 'ok', host);
    assert.equal(shared.judge({ host }, null), 'no-token', host);
  }
  const host = '10.0.0.1:8080';
  assert.equal(shared.judge({ host, cookie: `x=1; multiserver-8080=${TOKEN}` }, null), 'ok');
  assert.equal(shared.judge({ host, authorization: `Bearer ${TOKEN}` }, null), 'ok');
  for (const wrong of ['', `${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase()]) {
    assert.equal(shared.judge({ host }, wrong), 'no-token', wrong);
    assert.equal(shared.judge({ host, cookie: `multiserver-8080=${wrong}` }, null), 'no-token');
  }
  assert.equal(shared.judge({ host, cookie: `multiserver-81=${TOKEN}` }, null), 'no-token');
  assert.equal(shared.judge({ host: 'evil.example:8080' }, TOKEN), 'foreign');
});

function recorder() {
  const done: unknown[][] = [];
  const note =
    (name: string, result?: boolean) =>
    (...args: unknown[]) => {
      done.push([name, ...args]);
      return result;
    };
  const orders = {
    start: note('start'),
    pause: note('pause'),
    resume: note('resume'),
    stop: note('stop'),
    setRate: note('setRate'),
    release: note('release', true),
    drop: note('drop', false),
  } as unknown as Orders;
  return { done, orders };
}

test('orders are carried out, and what is none is refused', () => {
  const { done, orders } = recorder();
  const id = '0123456789abcdef';
  for (const name of ['start', 'pause', 'resume', 'stop']) {
    assert.equal(carryOut(name, {}, orders), null);
  }
  assert.equal(carryOut('rate', { bitsPerSecond: 5e8 }, orders), null);
  assert.equal(carryOut('rate', { bitsPerSecond: null }, orders), null);
  assert.equal(carryOut('rate', null, orders), null);
  assert.equal(carryOut('release', { id }, orders), null);
  assert.equal(carryOut('drop', { id }, orders)?.status, 404);
  const rates = [5e8, null, null].map((rate) => ['setRate', rate]);
  const all = [['start'], ['pause'], ['resume'], ['stop'], ...rates];
  assert.deepEqual(done, [...all, ['release', id], ['drop', id]]);
  const wrong: [string, unknown][] = [
    ['rate', {}],
    ['rate', 5e8],
    ['rate', '5e8'],
    ['rate', true],
    ['rate', []],
    ['rate', [null]],
    ['rate', { bitspersecond: null }],
    ['rate', { bitsPerSecond: '5e8' }],
    ['rate', { bitsPerSecond: 0 }],
    ['rate', { bitsPerSecond: 1e99 }],
    ['release', { id: 'x' }],
    ['release', { id: 5 }],
    ['drop', null],
    ['drop', []],
  ];
  for (const [name, body] of wrong) {
    assert.equal(carryOut(name, body, orders)?.status, 400, `${name} ${JSON.stringify(body)}`);
  }
  for (const name of ['', 'constructor', '__proto__', 'setRate', 'format']) {
    assert.equal(carryOut(name, {}, orders), undefined, name);
  }
  assert.equal(done.length, 9);
});

test('what is left is told by how fast it became less', () => {
  const meter = new ProgressMeter();
  assert.equal(meter.leftSeconds(0, 100), null);
  for (let second = 0; second <= 4; second++) meter.note(second * 1000, 100 - 5 * second);
  assert.equal(meter.leftSeconds(4000, 80), 16);
  assert.equal(meter.leftSeconds(60_000, 100), null, 'nothing gets done any more');
  meter.note(61_000, 200);
  assert.equal(meter.leftSeconds(61_000, 200), null, 'it begins anew');
});

const row = {
  machine: '00000000000000aa',
  host: 'pc "1"\\\n',
  address: '10.0.0.7',
  label: null,
  state: 'receiving',
  progressRatio: 0.5,
  lossRatio: 0.25,
  receivedBitsPerSecond: 800,
  holdsCopy: false,
} as ClientRow;

test('metrics are text, in which no name ends a label', () => {
  const state = {
    version: '1.0',
    image: { name: 'lab.img', path: '/lab.img', sizeBytes: 1000, chunkCount: 10, mapId: null },
    network: { interface: 'eth0' },
    run: { state: 'sending', doneCount: 3, wantedCount: 5, rateBitsPerSecond: 8000 },
    clients: [row],
    expected: { count: 2, missing: ['x'], lacking: ['x', 'y'] },
  } as unknown as FleetState;
  const lines = metricsText(state).split('\n');
  assert.equal(lines.pop(), '');
  assert(lines.includes('multiserver_copies 3'));
  assert(lines.includes('multiserver_rate_bytes_per_second 1000'));
  assert(lines.includes('multiserver_lacking_machines 2'));
  assert(lines.includes('multiserver_clients{state="receiving"} 1'));
  const loss = lines.find((line) => line.startsWith('multiserver_client_loss_ratio{'));
  assert.match(loss!, /,host="pc \\"1\\"\\\\\\n",.*\} 0\.25$/);
  for (const line of lines)
    assert.match(line, /^(# (HELP|TYPE) |multiserver_[a-z_]+(\{.*\})? \S+$)/);
});
