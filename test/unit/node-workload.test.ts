import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Burden, Workload } from '../../src/node/workers/workload.js';

interface Pace {
  /** Of each job by the clock, of what else is done before the next, and of idling. */
  jobMs: number;
  otherMs: number;
  idleMs: number;
  /** Share of the time, idling aside, in which the processor works for this process. */
  share: number;
}

/** What comes of two seconds at a pace. */
function burdenOf({ jobMs, otherMs, idleMs, share }: Pace): Burden | null {
  let cpuMs = 0;
  const workload = new Workload(0, 500, () => cpuMs);
  for (let nowMs = 0; nowMs < 2000; nowMs += idleMs) {
    nowMs += otherMs + jobMs;
    cpuMs += (otherMs + jobMs) * share;
    const burden = workload.note(jobMs, nowMs);
    if (burden !== null) return burden;
  }
  return null;
}

test('a thread with time to spare keeps its jobs', () => {
  assert.equal(burdenOf({ jobMs: 0.3, otherMs: 0.3, idleMs: 2, share: 1 }), null);
});

test('a thread that keeps a whole core busy is helped', () => {
  assert.equal(burdenOf({ jobMs: 0.3, otherMs: 0.3, idleMs: 0.02, share: 1 }), 'processor');
});

test('where the cores are all taken, a second thread would be no help', () => {
  assert.equal(burdenOf({ jobMs: 0.9, otherMs: 0.9, idleMs: 0, share: 0.35 }), null);
});

test('a thread that waits for the disk is helped', () => {
  assert.equal(burdenOf({ jobMs: 6, otherMs: 0.3, idleMs: 0, share: 0.1 }), 'disk');
  assert.equal(burdenOf({ jobMs: 200, otherMs: 0.3, idleMs: 10, share: 0.02 }), 'disk');
});

test('one long wait is enough', () => {
  let cpuMs = 0;
  const workload = new Workload(0, 500, () => cpuMs);
  cpuMs = 0.6;
  assert.equal(workload.note(0.3, 0.3), null);
  assert.equal(workload.note(60, 60.3), 'disk');
});
