import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ending, incompleteFailure } from '../../src/node/fleet/server-endings.js';
import type { FleetMember } from '../../src/server/events.js';

const member = (host: string, changes: Partial<FleetMember> = {}): FleetMember =>
  ({ host, label: '', state: 'failed', isReleased: false, silentMs: 0, ...changes }) as FleetMember;

function textOf(changes: Partial<Ending>): string | undefined {
  const nothing = { withoutCopy: [], lacking: [], goneAfterMs: 1000 };
  return incompleteFailure({ wantedCount: 0, doneCount: 0, ...nothing, ...changes })?.message;
}

const again = 'start multiserver again';

test('a run whose machines all hold a copy has no failure', () => {
  assert.equal(textOf({ wantedCount: 2, doneCount: 2 }), undefined);
  assert.equal(textOf({ withoutCopy: [member('pc-1')] }), undefined, 'none was waited for');
});

test('how many hold a copy is a sentence, whatever the numbers', () => {
  const serveThem = `; to serve them, ${again}`;
  const serveOthers = `; to serve the others, ${again}`;
  for (const [wantedCount, doneCount, text] of [
    [1, 0, `the machine that was waited for holds no copy${serveThem}`],
    [2, 0, `none of the 2 machines that were waited for holds a copy${serveThem}`],
    [2, 1, `only 1 of the 2 machines that were waited for holds a copy${serveOthers}`],
    [40, 38, `only 38 of the 40 machines that were waited for hold a copy${serveOthers}`],
  ] as const) {
    assert.equal(textOf({ wantedCount, doneCount }), text);
  }
  const lacking = ['pc-9'];
  for (const [doneCount, text] of [
    [0, `no machine holds a copy, though some were expected; without one: pc-9${serveThem}`],
    [1, `1 machine holds a copy, but not all that were expected; without one: pc-9${serveOthers}`],
    [3, `3 machines hold a copy, but not all that were expected; without one: pc-9${serveOthers}`],
  ] as const) {
    assert.equal(textOf({ doneCount, lacking }), text);
  }
});

test('who has no copy is named once, with what became of it', () => {
  const withoutCopy = [
    member('pc-1', { label: 'desk 1' }),
    member('pc-2', { state: 'receiving', isReleased: true }),
    member('pc-3', { state: 'receiving', silentMs: 1000 }),
    member('pc-4', { state: 'receiving' }),
  ];
  const ending = { wantedCount: 5, withoutCopy, lacking: ['Desk 1', 'PC-2', 'pc-5'] };
  const named = /without one: (.*); to serve/.exec(textOf(ending)!)![1];
  const known = 'desk 1 (failed or stopped), pc-2 (released), pc-3 (silent), pc-4 (under way)';
  assert.equal(named, `${known}, pc-5`);
  const many = Array.from({ length: 12 }, (_, index) => member(`pc-${index}`));
  assert.match(textOf({ wantedCount: 12, withoutCopy: many })!, /pc-9 \(.*\) and 2 more; to serve/);
});
