import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LagWatch } from '../../src/client/server-messages.js';

/** Looks every 100 ms for 20 s at counts that grow by so much each time. */
function told(lost: number, received: number, isCrowded: boolean): string[] {
  const watch = new LagWatch();
  const texts: string[] = [];
  for (let i = 0; i < 200; i++) {
    const counts = { packetsLost: i * lost, blocksReceived: i * received };
    const text = watch.note(counts, isCrowded, i * 100);
    if (text !== null) texts.push(text);
  }
  return texts;
}

test('a client that keeps up is told nothing', () => {
  assert.deepEqual(told(4, 10, false), []);
  assert.deepEqual(told(0, 10, true), []);
  assert.deepEqual(told(2, 1, false), [], 'so few packets say nothing');
});

test('a client that is left behind is told so once, with the reason', () => {
  const [network, ...more] = told(30, 10, false);
  assert.match(network!, /75 % of the packets .* its network or its receive buffer loses them/);
  assert.deepEqual(more, []);
  const [disk] = told(30, 10, true);
  assert.match(disk!, /its disk takes less than is sent/);
});
