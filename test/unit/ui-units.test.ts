import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatExactBytes } from '../../src/sizes.js';
import { RateMeter } from '../../src/ui/rate-meter.js';
import { safeJson, safeText } from '../../src/ui/safe-text.js';
import {
  formatBytes,
  formatCount,
  formatElapsed,
  formatEndpoint,
  formatPercent,
  formatPlural,
  formatRate,
  formatRemaining,
} from '../../src/ui/units.js';

test('bytes and rates have three digits and decimal prefixes', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(999), '999 B');
  assert.equal(formatBytes(1000), '1.00 kB');
  assert.equal(formatBytes(1_345_000_000), '1.34 GB');
  assert.equal(formatBytes(13_450_000), '13.4 MB');
  assert.equal(formatBytes(999_499_999), '999 MB');
  assert.equal(formatBytes(999_500_000), '1.00 GB');
  assert.equal(formatBytes(9.996e6), '10.0 MB');
  assert.equal(formatRate(812e6), '812 Mbit/s');
  assert.equal(formatRate(0), '0 bit/s');
});

test('an exact size has its short form beside it where that helps', () => {
  assert.equal(formatExactBytes(999), '999 bytes');
  assert.equal(formatExactBytes(41_943_040), '41943040 bytes (41.9 MB)');
});

test('a size never takes more room than the status line keeps for it', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e17, noNaN: true }), (value) => {
      assert.ok(formatBytes(value).length <= 7, formatBytes(value));
      assert.ok(formatRate(value).length <= 11, formatRate(value));
    }),
  );
});

test('100.0 % means all of it', () => {
  assert.equal(formatPercent(0.9999999), '99.9 %');
  assert.equal(formatPercent(1), '100.0 %');
  assert.equal(formatPercent(0.423), '42.3 %');
  assert.equal(formatPercent(0), '0.0 %');
});

test('times', () => {
  assert.equal(formatElapsed(2340), '2.3 s');
  assert.equal(formatElapsed(9960), '10 s');
  assert.equal(formatElapsed(59_600), '1 min 00 s');
  assert.equal(formatElapsed(754_000), '12 min 34 s');
  assert.equal(formatElapsed(10_920_000), '3 h 02 min');
  assert.equal(formatRemaining(17_100), '0:18');
  assert.equal(formatRemaining(754_000), '12:34');
  assert.equal(formatRemaining(3_723_000), '1:02:03');
  assert.equal(formatRemaining(0), '0:00');
  assert.equal(formatRemaining(undefined), '-:--');
  assert.equal(formatRemaining(Number.POSITIVE_INFINITY), '-:--');
});

test('counts and addresses', () => {
  assert.equal(formatCount(999), '999');
  assert.equal(formatCount(1_234_567), '1,234,567');
  assert.equal(formatPlural(1, 'client'), '1 client');
  assert.equal(formatPlural(1000, 'client'), '1,000 clients');
  assert.equal(formatEndpoint('10.0.0.1', 7500), '10.0.0.1:7500');
  assert.equal(formatEndpoint('fe80::1', 7500), '[fe80::1]:7500');
});

test('a steady counter shows its rate, and a stopped one falls to nothing within the window', () => {
  const meter = new RateMeter(3000);
  assert.equal(meter.perSecond(0), undefined);
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 200) meter.add(nowMs, nowMs * 5);
  assert.equal(meter.perSecond(10_000), 5000);
  for (let nowMs = 10_200; nowMs <= 13_200; nowMs += 200) meter.add(nowMs, 50_000);
  assert.equal(meter.perSecond(13_200), 0);
});

test('a stopped counter falls even when nobody reports it', () => {
  const meter = new RateMeter(3000);
  meter.add(0, 0);
  meter.add(1000, 1000);
  assert.equal(meter.perSecond(1000), 1000);
  assert.equal(meter.perSecond(4000), 250);
});

test('a step is spread over the window, not shown as a peak', () => {
  const meter = new RateMeter(3000);
  for (let nowMs = 0; nowMs <= 6000; nowMs += 200) meter.add(nowMs, nowMs < 6000 ? 0 : 3_000_000);
  assert.equal(meter.perSecond(6000), 1_000_000);
});

test('a rate is never negative, endless or undefined for long, and little is kept', () => {
  const steps = fc.array(fc.record({ ms: fc.nat(5000), value: fc.nat(1e9) }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (list) => {
      const meter = new RateMeter(3000);
      let nowMs = 0;
      for (const { ms, value } of list) {
        nowMs += ms;
        meter.add(nowMs, value);
        const rate = meter.perSecond(nowMs);
        assert.ok(rate === undefined || (rate >= 0 && Number.isFinite(rate)));
      }
    }),
  );
});

test('text from the network cannot steer a terminal', () => {
  assert.equal(
    safeText('a\u001b[2Jb\r\nc\u009bd\u007f'),
    'a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}',
  );
  assert.equal(safeText('exe.\u202egnp'), 'exe.\u{fffd}gnp');
  assert.equal(safeText('Zürich 日本'), 'Zürich 日本');
  assert.equal(safeText('x'.repeat(500), 10), 'xxxxxxx...');
});

test('JSON stays JSON, on one line, of characters that a terminal shows', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = safeJson({ text });
      assert.equal(JSON.parse(json).text, text);
      assert.doesNotMatch(json, /[\p{Cc}\p{Cf}]/u);
    }),
  );
  assert.equal(safeJson('\u{e0001}\u009b'), '"\\udb40\\udc01\\u009b"');
});
