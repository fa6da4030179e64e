import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pacer } from '../../src/server/pacer.js';

const RATE_BYTES_PER_MS = 1000;

/** A sender that always has something to send, and timers that may come late. */
class Sender {
  now = 0;
  sentBytes = 0;
  /** Bytes that went at one moment, at most. */
  largestBurstBytes = 0;
  private readonly pacer = new Pacer();

  constructor(private readonly trainBytes: number) {
    this.pacer.rest(0);
  }

  /** Sends all that may go now. */
  send(): void {
    let burst = 0;
    while (this.pacer.nextMs <= this.now) {
      this.pacer.sent(this.now, this.trainBytes, RATE_BYTES_PER_MS);
      burst += this.trainBytes;
      assert(burst < 1e6, 'a burst has an end');
    }
    this.sentBytes += burst;
    this.largestBurstBytes = Math.max(this.largestBurstBytes, burst);
  }

  /** Waits for the next due time, wakes `lateMs` after it, and sends. */
  wake(lateMs: number): void {
    this.now = Math.max(this.now, this.pacer.nextMs) + lateMs;
    this.send();
  }

  /** Nothing to send until `untilMs`. */
  rest(untilMs: number): void {
    this.now = untilMs;
    this.pacer.rest(untilMs);
  }

  /** How far what went is behind the schedule, in ms; negative when ahead. */
  get behindMs(): number {
    return this.now - this.sentBytes / RATE_BYTES_PER_MS;
  }
}

const trains = fc.integer({ min: 10, max: RATE_BYTES_PER_MS });
/** Timers on a busy machine: mostly a little late. */
const lateness = fc.array(
  fc.integer({ min: 0, max: 90 }).map((hundredths) => hundredths / 100),
  {
    minLength: 200,
    maxLength: 200,
  },
);

test('property: with timers up to a millisecond late, the rate is kept', () => {
  fc.assert(
    fc.property(trains, lateness, (trainBytes, late) => {
      const sender = new Sender(trainBytes);
      for (const lateMs of late) {
        sender.wake(lateMs);
        // Never ahead of the schedule by more than the train that went last.
        assert(sender.behindMs >= -trainBytes / RATE_BYTES_PER_MS - 1e-6);
      }
      assert(sender.behindMs <= 2, `${sender.behindMs} ms behind`);
    }),
  );
});

test('property: however late the timers, no burst is longer than the few milliseconds allowed', () => {
  const anyLateness = fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 60 });
  fc.assert(
    fc.property(trains, anyLateness, (trainBytes, late) => {
      const sender = new Sender(trainBytes);
      for (const lateMs of late) sender.wake(lateMs);
      assert(sender.largestBurstBytes <= 2 * RATE_BYTES_PER_MS + trainBytes);
    }),
  );
});

test('a short stall is made up for, at no more than twice the rate', () => {
  const sender = new Sender(250);
  for (let i = 0; i < 100; i++) sender.wake(0);
  const stalledFrom = sender.now;
  sender.wake(15);
  const sentBefore = sender.sentBytes;
  while (sender.behindMs > 0.5) {
    sender.wake(0);
    const elapsedMs = sender.now - stalledFrom - 15;
    assert(sender.sentBytes - sentBefore <= (elapsedMs + 1) * 2 * RATE_BYTES_PER_MS);
    assert(elapsedMs < 40, 'caught up');
  }
});

test('a long stall is forgiven: a machine that slept does not flood the network', () => {
  const sender = new Sender(250);
  for (let i = 0; i < 100; i++) sender.wake(0);
  const before = sender.sentBytes;
  const woke = sender.now + 10_000;
  sender.wake(10_000);
  while (sender.now < woke + 1000) sender.wake(0);
  const extraMs = (sender.sentBytes - before) / RATE_BYTES_PER_MS - (sender.now - woke);
  assert(extraMs <= 25, `${extraMs} ms worth too much`);
});

test('a pause with nothing to send is not made up for', () => {
  const sender = new Sender(250);
  for (let i = 0; i < 100; i++) sender.wake(0);
  const before = sender.sentBytes;
  const resumed = sender.now + 5000;
  sender.rest(resumed);
  sender.send();
  while (sender.now < resumed + 100) sender.wake(0);
  const extraMs = (sender.sentBytes - before) / RATE_BYTES_PER_MS - (sender.now - resumed);
  assert(extraMs <= 1, `${extraMs} ms worth too much`);
});

test('a train longer than a millisecond carries is paid for before the next goes', () => {
  const pacer = new Pacer();
  pacer.rest(0);
  pacer.sent(0, 5000, RATE_BYTES_PER_MS);
  assert.equal(pacer.nextMs, 5);
  pacer.sent(5, 5000, RATE_BYTES_PER_MS);
  assert.equal(pacer.nextMs, 10);
});
