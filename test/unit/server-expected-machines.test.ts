import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpectedMachines, parseNames } from '../../src/server/clients/expected-machines.js';

test('a list has a name a line, and remarks', () => {
  const text = '# room 12\npc-01\n\n  52:54:00:00:00:02   # the teacher\r\npc-03\n';
  assert.deepEqual(parseNames(text), ['pc-01', '52:54:00:00:00:02', 'pc-03']);
});

test('machines are known by name, by MAC however it is written, by label and serial', () => {
  const names = ['PC-01', '52-54-00-00-00-AB', '5254.0000.00cd', 'desk 4', 'SN-5', 'pc-06'];
  const expected = new ExpectedMachines(names);
  assert.equal(expected.count, 6);
  expected.noteHere('pc-01.lab.example', {});
  expected.noteHere('a', { mac: '52:54:00:00:00:ab' });
  expected.noteCopy('b', { mac: '52:54:00:00:00:cd' });
  expected.noteCopy('c', { label: 'Desk 4' });
  expected.noteHere('d', { serial: 'sn-5' });
  assert.deepEqual(expected.missing, ['pc-06']);
  assert.deepEqual(expected.lacking, ['PC-01', '52-54-00-00-00-AB', 'SN-5', 'pc-06']);
  expected.noteAnew('c', { label: 'Desk 4' });
  assert(expected.lacking.includes('desk 4'));
  assert.deepEqual(expected.missing, ['pc-06']);
});

test('strangers change nothing', () => {
  const expected = new ExpectedMachines(['pc-01']);
  expected.noteCopy('pc-02', { mac: '52:54:00:00:00:01' });
  expected.noteAnew('pc-02', {});
  assert.deepEqual([expected.missing, expected.lacking], [['pc-01'], ['pc-01']]);
});
