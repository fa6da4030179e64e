import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServedClient, ServerProgress } from '../../src/server/events.js';
import { ClientTable } from '../../src/ui/client-table.js';
import { displayWidth } from '../../src/ui/display-width.js';

let made = 0;

function served(host: string, changes: Partial<ServedClient> = {}): ServedClient {
  const id = String(++made).padStart(16, '0');
  return {
    id,
    machine: id,
    host,
    label: '',
    address: '10.0.0.7',
    missingChunks: 50,
    provenChunks: 50,
    state: 'receiving',
    lossRatio: 0,
    followed: true,
    receivedPacketsPerSecond: 10_000,
    ...changes,
  };
}

function tableOf(clients: ServedClient[]) {
  const clock = { nowMs: 0 };
  const table = new ClientTable(() => clock.nowMs);
  table.begin(1250);
  const take = () => table.take({ clients, chunkCount: 100 } as unknown as ServerProgress);
  take();
  return { clock, table, take };
}

test('those that need a look are first, those that are done last', () => {
  const { table } = tableOf([
    served('done', { state: 'done', missingChunks: 0 }),
    served('well'),
    served('behind', { missingChunks: 90 }),
    served('lossy', { lossRatio: 0.3 }),
    served('slow', { followed: false }),
    served('both', { followed: false, lossRatio: 0.3 }),
    served('silent', { state: 'silent' }),
    served('failed', { state: 'failed' }),
  ]);
  const names = table.render(80, 20).map((line) => line.split(' ')[0]);
  const expected = ['failed', 'silent', 'both', 'lossy', 'slow', 'behind', 'well', 'done'];
  assert.deepEqual(names, expected);
});

test('a machine that came again has one line, of its latest client', () => {
  const first = served('pc-1', { state: 'failed' });
  const second = { ...served('pc-1'), machine: first.machine };
  const { table } = tableOf([first, second]);
  assert.equal(table.render(80, 20).length, 1);
  assert.match(table.render(80, 20)[0]!, /receiving/);
});

test('what does not fit the window is counted', () => {
  const done = Array.from({ length: 9 }, (_, i) => {
    return served(`d${i}`, { state: 'done', missingChunks: 0 });
  });
  const { table } = tableOf([...done, served('a'), served('b')]);
  const lines = table.render(80, 5);
  assert.equal(lines.length, 5);
  assert.equal(lines[4], 'and 7 more, 7 of them done');
  assert.deepEqual(table.render(80, 0), []);
});

test('a wide window has more in it, and no line is wider than the window', () => {
  const clients = [served('pc-07', { lossRatio: 0.02 }), served('x'.repeat(80))];
  const { clock, table, take } = tableOf(clients);
  for (clock.nowMs = 500; clock.nowMs <= 2500; clock.nowMs += 500) {
    clients[0]!.missingChunks -= 2;
    take();
  }
  clock.nowMs = 2500;
  const [wide] = table.render(140, 10);
  assert.match(wide!, /pc-07 +10\.0\.0\.7 +\[#+-+\] +60\.0 % +100 Mbit\/s +2\.0 % lost +receiving/);
  assert.match(wide!, / 0:10$/);
  for (let columns = 10; columns < 140; columns++) {
    for (const line of table.render(columns, 10)) assert(line.length < columns, `${columns}`);
  }
});

test('names in wide letters and with marks keep the columns in line', () => {
  const names = ['\u6559\u5ba4'.repeat(20), '\u6559\u5ba4-07', 'Bu\u0308ro', 'pc-07'];
  const { table } = tableOf(names.map((name) => served(name)));
  for (let columns = 10; columns < 140; columns++) {
    for (const line of table.render(columns, 10)) assert(displayWidth(line) < columns, line);
  }
  const begins = table.render(140, 10).map((line) => line.slice(0, line.indexOf('10.0.0.7')));
  assert.deepEqual(
    begins.map((begin) => displayWidth(begin)),
    [30, 30, 30, 30],
  );
});

test('a name that a terminal would obey is made harmless', () => {
  const { table } = tableOf([served('\u001b[2Jpc\n')]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  assert.doesNotMatch(table.render(120, 10).join(''), /[\u0000-\u001f]/);
});
