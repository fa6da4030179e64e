import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClientCommandLine } from '../../src/cli/client-options.js';
import { consult, type Doctor } from '../../src/cli/consult.js';
import { parseServerCommandLine } from '../../src/cli/server-options.js';
import type { World } from '../../src/cli/world.js';
import { type Check, ok, wrong } from '../../src/doctor/check.js';
import { Failure } from '../../src/failure.js';

function worldThatWrites() {
  const written: string[] = [];
  const stdout = { write: (text: string) => written.push(text) };
  const world = { stdout, wallClock: () => new Date(0) } as unknown as World;
  return { world, written };
}

const WELL = [ok('carrier', 'eth0 has a carrier')];
const ILL = [...WELL, wrong('mtu', 'up to 1400 arrive', 'multiserver --mtu 1400')];
const tells =
  (checks: Check[]): Doctor<null> =>
  async (_options, _stayMs, tell) =>
    tell(checks);
const never = new AbortController().signal;

test('a doctor that finds nothing ends well; what it finds is a failure of its own', async () => {
  const { world, written } = worldThatWrites();
  await consult(tells(WELL), null, 0, 'text', world, never);
  assert.deepEqual(written, ['✓ Is it connected? eth0 has a carrier\n']);
  await assert.rejects(consult(tells(ILL), null, 0, 'text', world, never), {
    code: 'UNWELL',
    exitStatus: 17,
  });
  assert.equal(written.at(-1), '    mend it: multiserver --mtu 1400\n');
});

test('with --json each check is an object; with --quiet there are none', async () => {
  const { world, written } = worldThatWrites();
  await assert.rejects(consult(tells(ILL), null, 0, 'quiet', world, never), Failure);
  assert.deepEqual(written, []);
  await assert.rejects(consult(tells(ILL), null, 0, 'json', world, never), Failure);
  const { time: _, ...last } = JSON.parse(written.at(-1)!);
  assert.deepEqual(last, { event: 'check', ...ILL[1] });
});

test('a signal before the list ends the run; after it, the list decides', async () => {
  const { world } = worldThatWrites();
  const abort = new AbortController();
  const stopped = new Failure('interrupted', 'INTERRUPTED', 'interrupted');
  abort.abort(stopped);
  const early: Doctor<null> = async () => abort.signal.throwIfAborted();
  await assert.rejects(consult(early, null, 0, 'text', world, abort.signal), stopped);
  const broken: Doctor<null> = () => Promise.reject(new DOMException('aborted', 'AbortError'));
  await assert.rejects(consult(broken, null, 0, 'text', world, abort.signal), stopped);
  const late: Doctor<null> = async (_options, _stayMs, tell) => {
    tell(WELL);
    abort.signal.throwIfAborted();
  };
  await consult(late, null, 0, 'text', world, abort.signal);
});

test('a doctor needs no image, and answers as long as it is told', () => {
  const parsed = parseServerCommandLine(['--doctor', '--stay', '60']);
  assert(parsed.run);
  assert.deepEqual(parsed.doctor, { stayMs: 60_000 });
  const usual = parseServerCommandLine(['--doctor']);
  assert(usual.run);
  assert.deepEqual(usual.doctor, { stayMs: 8000 });
  assert.throws(() => parseServerCommandLine(['-f', 'x', '--stay', '60']), /--doctor as well/);
  const client = parseClientCommandLine(['-o', 'x']);
  assert(client.run);
  assert.equal(client.doctor, null);
});
