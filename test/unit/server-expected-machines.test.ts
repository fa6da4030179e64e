import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeIdentity, encodeIdentity } from '../../src/protocol/identity.js';
import { ExpectedMachines, parseNames } from '../../src/server/clients/expected-machines.js';

test('a list has a name a line, and remarks', () => {
  const text = '# room 12\npc-01\n\n  52:54:00:00:00:02   # the teacher\r\npc-03#left\n#\n';
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

test('names are compared as far as they travel', () => {
  const serial = '\u00e9'.repeat(30);
  const label = `${'desk '.repeat(8)}and more`;
  const host = `${'h'.repeat(63)}.example`;
  const twins = ['1', '2'].map((end) => 's'.repeat(40) + end);
  const expected = new ExpectedMachines([serial, label, host, ...twins]);
  // What a client tells is cut as it is sent.
  const sent = encodeIdentity({ serial, label });
  const told = decodeIdentity(sent, 0, sent.length)!;
  expected.noteCopy(host.slice(0, 63), told);
  expected.noteCopy('other', { serial: 's'.repeat(40) });
  assert.deepEqual(expected.lacking, twins, 'which of the two it is cannot be known');
});

test('a host is known with and without its domain, where the list leaves no doubt', () => {
  const lackingOf = (list: string[], ...hosts: string[]) => {
    const expected = new ExpectedMachines(list);
    for (const host of hosts) expected.noteCopy(host, {});
    assert.deepEqual(expected.missing, expected.lacking);
    return expected.lacking;
  };
  assert.deepEqual(lackingOf(['vm.lab.example'], 'VM'), []);
  assert.deepEqual(lackingOf(['vm'], 'vm.lab.example'), []);
  assert.deepEqual(lackingOf(['vm.a', 'vm.b'], 'vm'), ['vm.a', 'vm.b']);
  assert.deepEqual(lackingOf(['vm.a', 'vm.b'], 'vm.b'), ['vm.a']);
  assert.deepEqual(lackingOf(['vm', 'vm.a'], 'vm.a'), ['vm']);
  assert.deepEqual(lackingOf(['vm', 'vm.a'], 'vm'), ['vm.a']);
  assert.deepEqual(lackingOf(['vm.a'], 'vm.b'), ['vm.a']);
  assert.deepEqual(lackingOf(['5254.0000.00cd'], '5254'), ['5254.0000.00cd']);
});

test('strangers change nothing', () => {
  const expected = new ExpectedMachines(['pc-01']);
  expected.noteCopy('pc-02', { mac: '52:54:00:00:00:01' });
  expected.noteAnew('pc-02', {});
  assert.deepEqual([expected.missing, expected.lacking], [['pc-01'], ['pc-01']]);
});
