import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CopiesJournal } from '../../src/node/fleet/copies-journal.js';
import type { FleetMember } from '../../src/server/events.js';

const mapId = 'ab'.repeat(32);

function journalOf(t: TestContext): () => CopiesJournal {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const image = join(folder, 'disk.img');
  writeFileSync(image, '');
  return () => new CopiesJournal(image, (text) => assert.fail(text));
}

const member = (number: number) =>
  ({
    machine: `000000000000000${number}`,
    host: `pc-0${number}`,
    address: `10.0.0.${number}`,
    identity: { mac: `52:54:00:00:00:0${number}` },
  }) as FleetMember;

/** One run of a server that waits for four copies. @returns who held copies before */
function run(open: () => CopiesJournal, act: (journal: CopiesJournal) => void): string[] {
  const journal = open();
  const hosts = journal.begin(mapId, 4).map(({ host }) => host);
  act(journal);
  journal.close();
  return hosts;
}

test('what was counted is counted after each restart, and who begins anew is not', (t) => {
  const open = journalOf(t);
  assert.deepEqual(
    run(open, (journal) => [1, 2].map((number) => journal.add(member(number)))),
    [],
  );
  assert.deepEqual(
    run(open, (journal) => journal.remove(member(1))),
    ['pc-01', 'pc-02'],
  );
  assert.deepEqual(
    run(open, () => {}),
    ['pc-02'],
  );
});

test('a line that a crash has torn takes no other along', (t) => {
  const open = journalOf(t);
  run(open, (journal) => {
    journal.add(member(1));
    appendFileSync(journal.path, '{"machine":"00000000');
  });
  assert.deepEqual(
    run(open, (journal) => journal.add(member(2))),
    ['pc-01'],
  );
  assert.deepEqual(
    run(open, () => {}),
    ['pc-01', 'pc-02'],
  );
});

test('another image, or another number that is waited for, is another evening', (t) => {
  const open = journalOf(t);
  run(open, (journal) => journal.add(member(1)));
  const journal = open();
  assert.deepEqual(journal.begin(mapId, 5), []);
  journal.close();
});
