import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { TextOutput } from '../../src/cli/text-output.js';
import { handSome } from '../../src/node/system/standard-streams.js';

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

test('at the end, a long line is whole for whoever goes on reading it', async () => {
  const reader = new Reader();
  const output = new TextOutput((bytes) => {
    // As much as a pipe holds.
    reader.room = 65_536;
    return reader.take(bytes);
  });
  const line = `${'x'.repeat(10_000_000)}\n`;
  output.write(line);
  await output.flush();
  assert.equal(reader.text.length, line.length);
  assert.equal(output.isWaiting, false);
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

/** A stream of Node's own, of which the test is the reader. */
function ownStream() {
  const waiting: (() => void)[] = [];
  let taken = 0;
  const stream = new Writable({
    write(bytes: Buffer, _encoding, done) {
      taken += bytes.length;
      waiting.push(done);
    },
  });
  return { stream, takeNext: () => waiting.shift()?.(), takenBytes: () => taken };
}

test('what nobody takes of a stream of Node is bounded, and does not hold up the end', async () => {
  const { stream, takenBytes } = ownStream();
  const output = new TextOutput((bytes) => handSome(stream, bytes));
  for (let line = 0; line < 5000; line++) output.write(`${'x'.repeat(999)}\n`);
  assert(stream.writableLength < 100_000);
  const handed = takenBytes();
  await output.flush();
  assert.equal(takenBytes(), handed);
  assert(output.isWaiting);
});

test('who goes on reading from a stream of Node gets all, in order', async () => {
  const { stream, takeNext, takenBytes } = ownStream();
  const output = new TextOutput((bytes) => {
    takeNext();
    return handSome(stream, bytes);
  });
  output.write(`${'x'.repeat(200_000)}\n`);
  await output.flush();
  assert.equal(takenBytes(), 200_001);
});
