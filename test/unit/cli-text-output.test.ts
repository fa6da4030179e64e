import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextOutput } from '../../src/cli/text-output.js';

/** A reader that takes so many bytes a time; -1 for gone. */
class Reader {
  room = Number.POSITIVE_INFINITY;
  text = '';

  readonly take = (bytes: Buffer): number | null => {
    if (this.room < 0) return null;
    const taken = Math.min(bytes.length, this.room);
    this.room -= taken;
    this.text += bytes.toString('utf8', 0, taken);
    return taken;
  };
}

test('what is written goes out at once, as long as the reader takes it', async () => {
  const reader = new Reader();
  const output = new TextOutput(reader.take);
  output.write('one\n');
  output.write('two\n', true);
  assert.equal(reader.text, 'one\ntwo\n');
  await output.flush();
});

test('a reader that takes nothing for a while gets all that is worth keeping, and a count', async () => {
  const reader = new Reader();
  const output = new TextOutput(reader.take);
  reader.room = 2;
  output.write('one\n');
  for (let i = 0; i < 50; i++) output.write('status\n', true);
  output.write('two\n');
  assert.equal(reader.text, 'on');
  reader.room = Number.POSITIVE_INFINITY;
  await output.flush();
  assert.equal(reader.text, 'one\ntwo\n(50 lines were left out)\n');
  assert.equal(output.isWaiting, false);
});

test('what waits is bounded, whatever is written', async () => {
  const reader = new Reader();
  const output = new TextOutput(reader.take);
  output.describeDropped = (count) => `dropped ${count}\n`;
  reader.room = 0;
  const line = `${'x'.repeat(999)}\n`;
  for (let i = 0; i < 5000; i++) output.write(line);
  reader.room = Number.POSITIVE_INFINITY;
  await output.flush();
  const kept = reader.text.split('\n').length - 2;
  assert(kept >= 1000 && kept <= 1100, `${kept} lines`);
  assert(reader.text.endsWith(`dropped ${5000 - kept}\n`));
});

test('a reader that never comes back does not hold up the end, and one that is gone costs nothing', async () => {
  const stalled = new Reader();
  stalled.room = 0;
  const output = new TextOutput(stalled.take);
  output.write('last words');
  await output.flush();
  assert.equal(stalled.text, '');

  const gone = new Reader();
  gone.room = -1;
  const nobody = new TextOutput(gone.take);
  nobody.write('one');
  nobody.write('two');
  await nobody.flush();
});
