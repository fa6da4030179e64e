import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Failure } from '../../src/failure.js';
import { SourceWatch } from '../../src/node/source/source-watch.js';

/** Longer than two changes may share one time stamp. */
const SETTLED_MS = 40;

/** Changes that are no writes, but move the same time as one does. */
const touches: Record<string, (path: string) => void> = {
  'new rights': (path) => chmodSync(path, 0o640),
  'another name': (path) => linkSync(path, `${path}.link`),
  'a new name': (path) => renameSync(path, `${path}.moved`),
};

/** Writes as somebody does who sets the time of modification back. */
function writeSecretly(path: string): void {
  const { atime, mtime } = statSync(path);
  const fd = openSync(path, 'r+');
  writeSync(fd, 'NEW', 100);
  closeSync(fd);
  utimesSync(path, atime, mtime);
}

async function watched(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'source-watch-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'disk.img');
  writeFileSync(path, Buffer.alloc(10_000, 1));
  // A whole number of seconds, which can be set again to the last digit.
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  const fd = openSync(path, 'r');
  t.after(() => closeSync(fd));
  const failures: Failure[] = [];
  const source = { path, fd, isUnpacked: false, isClaimed: false };
  const state = { stats: statSync(path, { bigint: true }), ...other };
  const watch = new SourceWatch(source as never, state, (failure) => failures.push(failure));
  t.after(() => watch.close());
  await sleep(SETTLED_MS);
  return { path, watch, failures };
}

const other = { forbidsWriters: false, isMountable: false };

test('a secret write is noticed, before and after the block map is made', async (t) => {
  for (const isMapped of [false, true]) {
    const { path, watch, failures } = await watched(t);
    if (isMapped) assert.equal(watch.mapped(), true);
    writeSecretly(path);
    assert.equal(watch.isUnchanged(), false);
    assert.match(failures[0]!.message, /time of modification set back/);
  }
});

for (const [what, touch] of Object.entries(touches)) {
  test(`before the map is made, ${what} may hide a write: nothing is believed`, async (t) => {
    const { path, watch, failures } = await watched(t);
    writeSecretly(path);
    touch(path);
    assert.equal(watch.mapped(), false);
    assert.equal(failures.length, 1);
    assert.match(failures[0]!.message, /other rights, owners or names/);
    assert.equal(failures[0]!.code, 'SOURCE_CHANGED');
  });

  test(`once all that is read is held against the map, ${what} is nobody's business`, async (t) => {
    const { path, watch, failures } = await watched(t);
    assert.equal(watch.mapped(), true);
    touch(path);
    assert.equal(watch.isUnchanged(), true);
    assert.deepEqual(failures, []);
  });
}
