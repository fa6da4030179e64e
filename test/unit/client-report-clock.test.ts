import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReportClock } from '../../src/client/reports.js';
import type { Status } from '../../src/protocol/from-server.js';

const CLIENT = 5n;

function statusOf(numbers: Partial<Status>): Status {
  return {
    session: 1n,
    position: 1,
    cursor: 0,
    pendingChunks: 0,
    isIdle: false,
    awaitedClients: null,
    mapId: null,
    reportIntervalMs: 100,
    requestWindowMs: 0,
    joinWindowMs: 0,
    sentinels: [],
    ...numbers,
  };
}

/** Reports whenever one is due, at positions that `positionAt` tells. @returns the times */
function runReports(
  clock: ReportClock,
  fromMs: number,
  untilMs: number,
  positionAt: (now: number) => number,
): number[] {
  const times: number[] = [];
  for (let now = fromMs; now < untilMs; now++) {
    if (positionAt(now) !== positionAt(now - 1)) clock.moved(now);
    if (now < clock.dueMs) continue;
    times.push(now);
    clock.reported(now, positionAt(now));
  }
  return times;
}

test('the first report goes at once, and others often until the server says how often', () => {
  const clock = new ReportClock(CLIENT, 1000, true);
  assert.equal(clock.dueMs, 1000);
  const times = runReports(clock, 1000, 1100, (now) => now);
  assert(times.length >= 5 && times.length <= 20, `${times.length} reports in 100 ms`);
});

test('a client reports as often as the server grants; one named in the status much more often', () => {
  const clock = new ReportClock(CLIENT, 0, true);
  clock.follow(statusOf({ reportIntervalMs: 200 }), 0, 0.5);
  const usual = runReports(clock, 0, 4000, (now) => now).length;
  assert(usual >= 18 && usual <= 21, `${usual} reports in 4 s`);
  clock.follow(statusOf({ reportIntervalMs: 200, sentinels: [1n, CLIENT] }), 4000, 0.5);
  const often = runReports(clock, 4000, 5000, (now) => now).length;
  assert(often >= 50 && often <= 101, `${often} reports in 1 s`);
});

test('property: clients that get a new interval spread their reports over it', () => {
  const randoms = fc.integer({ min: 0, max: 999 }).map((thousandths) => thousandths / 1000);
  fc.assert(
    fc.property(randoms, fc.integer({ min: 20, max: 5000 }), (random, reportIntervalMs) => {
      const clock = new ReportClock(CLIENT, 0, true);
      clock.reported(0, 1);
      clock.follow(statusOf({ reportIntervalMs }), 10, random);
      assert.equal(clock.dueMs, 10 + random * reportIntervalMs);
    }),
  );
});

test('a status that changes nothing does not put a report off', () => {
  const clock = new ReportClock(CLIENT, 0, true);
  clock.follow(statusOf({}), 0, 0);
  clock.reported(0, 1);
  const dueMs = clock.dueMs;
  for (let now = 0; now < 90; now++) clock.follow(statusOf({}), now, 0.9);
  assert.equal(clock.dueMs, dueMs);
});

test('with nothing new to tell, reports thin out, but never cease', () => {
  const clock = new ReportClock(CLIENT, 0, true);
  clock.follow(statusOf({ reportIntervalMs: 20 }), 0, 0);
  const times = runReports(clock, 0, 20_000, () => 7);
  assert(times.length < 60, `${times.length} reports in 20 s`);
  const gaps = times.slice(1).map((time, index) => time - times[index]!);
  assert(Math.max(...gaps) <= 1000, 'the server would think that the client is gone');
});

test('when the stream moves again, reports are back at once', () => {
  const clock = new ReportClock(CLIENT, 0, true);
  clock.follow(statusOf({ reportIntervalMs: 20 }), 0, 0);
  runReports(clock, 0, 10_000, () => 7);
  const times = runReports(clock, 10_000, 10_100, (now) => now);
  assert(times[0]! <= 10_021, `first at ${times[0]}`);
  assert(times.length >= 4);
});

test('what the server should know now is told now', () => {
  const clock = new ReportClock(CLIENT, 0, true);
  clock.reported(0, 7);
  clock.hurry(3);
  assert.equal(clock.dueMs, 3);
});

test('a sentinel reports by what flows: seldom on a slow network, unless its buffer is small', () => {
  const countOf = (packetsPerMs: number, isRoomy: boolean): number => {
    const clock = new ReportClock(CLIENT, 0, isRoomy);
    clock.follow(statusOf({ sentinels: [CLIENT] }), 0, 0);
    runReports(clock, 0, 1000, (now) => now * packetsPerMs);
    return runReports(clock, 1000, 2000, (now) => now * packetsPerMs).length;
  };
  const [slow, quick, small] = [countOf(5, true), countOf(500, true), countOf(5, false)];
  assert(slow >= 45 && slow <= 70, `${slow} reports in 1 s`);
  assert(quick >= 95 && quick <= 101, `${quick} reports in 1 s`);
  assert(small >= 95 && small <= 101, `${small} reports in 1 s`);
});

test('at first a sentinel reports often, so that the server learns how quick the network is', () => {
  const clock = new ReportClock(CLIENT, 0, true);
  clock.follow(statusOf({ sentinels: [CLIENT] }), 0, 0);
  const times = runReports(clock, 0, 100, (now) => now * 30);
  assert(times.length >= 8, `${times.length} reports in 100 ms`);
});
