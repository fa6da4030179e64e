import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClientLeavings, ServerLeavings, shellCommand } from '../../src/cli/going-on.js';
import type { ClientEvent, ClientProgress } from '../../src/client/events.js';
import { Failure, type FailureKind } from '../../src/failure.js';
import type { ServerEvent, ServerProgress } from '../../src/server/events.js';

const progress = (writtenBytes: number, keptBytes = 0): ClientEvent => ({
  type: 'progress',
  progress: { writtenBytes, keptBytes } as ClientProgress,
});

const target = (kind: 'file' | 'device'): ClientEvent => ({
  type: 'target',
  path: '/dev/sda',
  kind,
  description: '',
  resumed: false,
  purpose: 'copy',
});

function leavingsOf(argv: string[], ...events: ClientEvent[]): string {
  const leavings = new ClientLeavings();
  for (const event of events) leavings.observe(event);
  return leavings.describe(argv);
}

test('a client that has written nothing says so', () => {
  const line = ['-o', '/dev/sda'];
  assert.equal(leavingsOf(line), 'nothing was written');
  assert.equal(leavingsOf(line, target('device'), progress(0)), 'nothing was written');
  assert.equal(leavingsOf(line, target('file'), progress(500, 500)), 'nothing was written');
});

test('a client that has written gives the command that goes on', () => {
  assert.match(
    leavingsOf(['-o', 'my disk.img'], target('file'), progress(1)),
    /to go on: multiclient -o 'my disk.img'$/,
  );
  assert.match(
    leavingsOf(['-o', '/dev/sda'], target('device'), progress(1)),
    /to go on: multiclient -o \/dev\/sda --resume$/,
  );
  assert.match(
    leavingsOf(['--resume', '-o', '/dev/sda'], target('device'), progress(1)),
    /to go on: multiclient --resume -o \/dev\/sda$/,
  );
});

test('after a failure, what is left is named with the command that goes on', () => {
  const failed = (kind: FailureKind, code: string, ...events: ClientEvent[]): string | null => {
    const leavings = new ClientLeavings();
    for (const event of events) leavings.observe(event);
    return leavings.describeFailed(new Failure(kind, code, ''), ['-o', 'x']);
  };
  const file = 'what is there stays in /dev/sda.part; to go on: multiclient -o x';
  const device = 'what is there stays on /dev/sda; to go on: multiclient -o x --resume';
  for (const [kind, code] of [
    ['noServer', 'NO_SERVER'],
    ['target', 'NO_SPACE'],
    ['source', 'SOURCE_CHANGED'],
    ['otherImage', 'OTHER_IMAGE'],
  ] as const) {
    assert.equal(failed(kind, code, target('file'), progress(1)), file);
    assert.equal(failed(kind, code, target('device'), progress(1)), device);
    assert.equal(failed(kind, code), null, 'no target was opened');
  }
  assert.equal(failed('noServer', 'NO_SERVER', target('file')), file, 'it is there, if empty');
  assert.equal(failed('noServer', 'NO_SERVER', target('device')), null);
  assert.equal(failed('target', 'TARGET_GONE', target('file'), progress(1)), null);
  assert.equal(failed('afterwards', 'FIT_FAILED', target('device'), progress(1)), null);
  const check = { ...target('file'), purpose: 'check' } as ClientEvent;
  assert.equal(failed('noServer', 'NO_SERVER', check, progress(1)), null);
});

test('a server gives the command that starts it again', () => {
  const leavings = new ServerLeavings();
  const left = (underWayCount: number): string => {
    leavings.observe({ type: 'progress', progress: { underWayCount } as ServerProgress });
    return leavings.describe(['-f', 'lab.img']);
  };
  const command = ': multiserver -f lab.img';
  assert.equal(left(0), `no client was under way; to serve again${command}`);
  const rest = 'for the server to come back; to go on';
  assert.equal(left(1), `1 client has no copy yet and waits ${rest}${command}`);
  leavings.observe({ type: 'client-done' } as ServerEvent);
  assert.equal(leavings.describe(['-f', 'lab.img']), left(0), 'since the last progress');
  assert.equal(left(2), `2 clients have no copy yet and wait ${rest}${command}`);
});

test('a shell reads the words of a command as they were', () => {
  const words = fc.array(fc.string({ unit: 'grapheme-ascii' }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(words, (argv) => {
      const command = shellCommand('printf', ['%s\\n', ...argv]);
      const { stdout } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
      assert.equal(stdout, argv.map((word) => `${word}\n`).join(''));
    }),
    { numRuns: 40 },
  );
});
