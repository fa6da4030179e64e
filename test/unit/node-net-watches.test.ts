import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SilenceWatch } from '../../src/node/net/membership.js';
import { sendTroubleText, Trouble } from '../../src/node/net/trouble.js';

test('silence makes a membership doubtful, each time after longer, until something is heard', () => {
  const watch = new SilenceWatch(3000, 0);
  const due: number[] = [];
  for (let now = 0; now <= 100_000; now += 1000) if (watch.isDue(now)) due.push(now);
  assert.deepEqual(due, [3000, 9000, 21_000, 45_000, 93_000]);
  watch.hear(100_000);
  assert.equal(watch.isDue(102_000), false);
  assert.equal(watch.isDue(103_000), true);
});

test('a server that hears no request for a minute doubts its membership each minute', () => {
  const watch = new SilenceWatch(60_000, 0);
  const due: number[] = [];
  for (let now = 0; now <= 250_000; now += 2000) if (watch.isDue(now)) due.push(now);
  assert.deepEqual(due, [60_000, 120_000, 180_000, 240_000]);
});

test('sends that fail for a second are told once, mended again and again, and told to be over', () => {
  const trouble = new Trouble();
  assert.equal(trouble.failed('EPERM', 1400, 0), null);
  assert.equal(trouble.failed('EPERM', 1400, 900), null);
  assert.deepEqual(trouble.failed('EPERM', 1400, 1000), {
    kind: 'failing',
    code: 'EPERM',
    isNew: true,
  });
  assert.equal(trouble.failed('EPERM', 1400, 2000), null);
  assert.equal(trouble.succeeded(80), null, 'a short packet says nothing of long ones');
  const again = trouble.failed('EPERM', 1400, 3000);
  assert.deepEqual(again, { kind: 'failing', code: 'EPERM', isNew: false });
  assert.deepEqual(trouble.succeeded(1400), { kind: 'over' });
  assert.equal(trouble.succeeded(1400), null);
});

test('what the system says of a send becomes a sentence, whatever it is', () => {
  assert.match(sendTroubleText('group x', 'EDESTADDRREQ'), /cannot be sent: there is no way there/);
  assert.match(sendTroubleText('group x', 'EWHATEVER'), /the system refuses them \(EWHATEVER\)/);
});

test('a name that cannot be resolved is told at once', () => {
  const trouble = new Trouble();
  assert.equal(trouble.failed('ENOTFOUND', 400, 5)?.kind, 'failing');
  assert.match(
    sendTroubleText('lab-server', 'ENOTFOUND'),
    /lab-server: the name cannot be resolved/,
  );
});
