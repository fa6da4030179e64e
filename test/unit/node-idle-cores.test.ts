import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdleCores } from '../../src/node/system/idle-cores.js';

/** The first line of /proc/stat: user, nice, system, idle, iowait, and what follows. */
const line = (idleTicks: number, waitingTicks = 0): string =>
  `cpu  5000 10 3000 ${idleTicks} ${waitingTicks} 0 20 7 0 0\ncpu0 1 2 3`;

test('idle cores are what the counters gained in the time', () => {
  let text = line(1000);
  const idle = new IdleCores(0, () => text);
  text = line(1015);
  assert.equal(idle.count(100), 1.5);
  text = line(1015);
  assert.equal(idle.count(200), 0);
});

test('a core that waits for a disk has time for others', () => {
  let text = line(1000, 50);
  const idle = new IdleCores(0, () => text);
  text = line(1000, 60);
  assert.equal(idle.count(100), 1);
});

test('before a window is over, what was known counts', () => {
  let text = line(1000);
  const idle = new IdleCores(0, () => text);
  text = line(1004);
  assert.equal(idle.count(40), 0);
  text = line(1020);
  assert.equal(idle.count(100), 2);
  text = line(1020);
  assert.equal(idle.count(150), 2);
});

test('where the system does not tell, every core may be idle', () => {
  for (const text of [null, '', 'intr 17', 'cpu  a b c d e']) {
    const idle = new IdleCores(0, () => text);
    assert.equal(idle.count(100), Number.POSITIVE_INFINITY);
    assert.equal(idle.count(200), Number.POSITIVE_INFINITY);
  }
});

test('this machine has no more idle cores than cores', () => {
  const idle = new IdleCores(0);
  const count = idle.count(1e9);
  assert(count >= 0 && count < 1, `${count}`);
});
