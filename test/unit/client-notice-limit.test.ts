import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoticeLimit } from '../../src/client/server-messages.js';

test('a flood of notices becomes a few, and a count', () => {
  const limit = new NoticeLimit();
  const passed: string[] = [];
  for (let i = 0; i < 14_000; i++) passed.push(...limit.take(`notice ${i}`, i / 14));
  assert.equal(passed.length, 5);
  const later = limit.take('another', 20_000);
  assert.deepEqual(later, ['13995 more notices of the server were left out', 'another']);
});

test('the same notice is told once a minute', () => {
  const limit = new NoticeLimit();
  const times: number[] = [];
  for (let now = 0; now < 130_000; now += 2000) {
    if (limit.take('bytes 0 to 511 cannot be read', now).length > 0) times.push(now);
  }
  assert.deepEqual(times, [0, 60_000, 120_000]);
});
