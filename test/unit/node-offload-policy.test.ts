import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Burden, OffloadPolicy } from '../../src/node/workers/offload-policy.js';

interface Pace {
  /** Of each job by the clock, of what else is done before the next, and of idling. */
  jobMs: number;
  otherMs: number;
  idleMs: number;
  /** Share of the time, idling aside, in which the processor works for this process. */
  share: number;
  /** Cores that nobody uses. */
  idleCores: number;
}

/** What comes of two seconds at a pace. */
function burdenOf({ jobMs, otherMs, idleMs, share, idleCores }: Pace): Burden | null {
  let cpuMs = 0;
  const policy = new OffloadPolicy(0, () => cpuMs, { count: () => idleCores });
  for (let nowMs = 0; nowMs < 2000; nowMs += idleMs) {
    nowMs += otherMs + jobMs;
    cpuMs += (otherMs + jobMs) * share;
    const burden = policy.note(jobMs, nowMs);
    if (burden !== null) return burden;
  }
  return null;
}

test('a thread with time to spare keeps its jobs', () => {
  const pace = { jobMs: 0.3, otherMs: 0.3, idleMs: 2, share: 1, idleCores: 3 };
  assert.equal(burdenOf(pace), null);
});

test('a thread that keeps a core busy is helped if another is idle', () => {
  const pace = { jobMs: 0.3, otherMs: 0.3, idleMs: 0.02, share: 1 };
  assert.equal(burdenOf({ ...pace, idleCores: 0.9 }), 'processor');
  assert.equal(burdenOf({ ...pace, idleCores: 0.3 }), null);
});

test('where the cores are all taken, a second thread would be no help', () => {
  const pace = { jobMs: 0.9, otherMs: 0.9, idleMs: 0, share: 0.35, idleCores: 0 };
  assert.equal(burdenOf(pace), null);
});

test('a thread that waits for the disk is helped', () => {
  const short = { jobMs: 6, otherMs: 0.3, idleMs: 0, share: 0.1, idleCores: 0 };
  const long = { jobMs: 200, otherMs: 0.3, idleMs: 10, share: 0.02, idleCores: 1 };
  assert.equal(burdenOf(short), 'disk');
  assert.equal(burdenOf(long), 'disk');
});

test('one long wait is enough', () => {
  let cpuMs = 0;
  const policy = new OffloadPolicy(0, () => cpuMs);
  cpuMs = 0.6;
  assert.equal(policy.note(0.3, 0.3), null);
  assert.equal(policy.note(60, 60.3), 'disk');
});
