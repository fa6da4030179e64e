/** What the live system's first process makes of its command line, and of a stick with a key. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readCheckout } from './checkout.js';

const KEY = "lab's key.txt";

/** The text of a function of it. */
function functionOf(name: string): string {
  return new RegExp(`^${name}\\(\\) \\{\n.*?^\\}\n`, 'ms').exec(readCheckout('live/init'))![0];
}

test('words are split as the kernel does it: only double quotes keep one together', () => {
  const script = `${functionOf('split_words')}\nsplit_words`;
  const line =
    `a=1  multiclient.label="Room 5" "b c" multiclient.image=O'Brien\\x.img d"e f"g ` +
    'multiclient.trust=RWQ/x+y= multiclient.last="open end\n';
  const words = execFileSync('sh', ['-c', script], { input: line }).toString();
  assert.deepEqual(words.split('\n'), [
    'a=1',
    'multiclient.label=Room 5',
    'b c',
    "multiclient.image=O'Brien\\x.img",
    'de fg',
    'multiclient.trust=RWQ/x+y=',
    'multiclient.last=open end',
    '',
  ]);
});

/** @param put what is to be on the stick @returns the key that was taken, or null */
function takeKey(
  t: TestContext,
  put: (path: string) => void,
  copy = 'command cp "$@"',
): string | null {
  const run = mkdtempSync(join(tmpdir(), 'live-key-'));
  t.after(() => rmSync(run, { recursive: true, force: true }));
  mkdirSync(join(run, 'block', 'sdb1'), { recursive: true });
  mkdirSync(join(run, 'stick'));
  put(join(run, 'stick', KEY));
  const body = functionOf('take_key');
  const script = [
    'mount() { :; }',
    'umount() { :; }',
    `copy() { ${copy}; }`,
    'cp() { copy "$@"; }',
    body.replaceAll('/run/', `${run}/`).replaceAll('/sys/class/', `${run}/`),
    'key=$1; take_key || true',
  ];
  execFileSync('sh', ['-c', script.join('\n'), 'sh', KEY]);
  const taken = join(run, 'key');
  return existsSync(taken) ? readFileSync(taken, 'utf8') : null;
}

test('a key is taken, whatever its name', (t) => {
  assert.equal(
    takeKey(t, (path) => writeFileSync(path, 'secret\n')),
    'secret\n',
  );
});

test('a folder of the name of the key, or a file too large for one, is passed over', (t) => {
  assert.equal(
    takeKey(t, (path) => mkdirSync(path)),
    null,
  );
  assert.equal(
    takeKey(t, (path) => writeFileSync(path, Buffer.alloc(100_000))),
    null,
  );
});

test('half a key is none: the stick was pulled out', (t) => {
  const half = 'printf half >"$2"; return 1';
  assert.equal(
    takeKey(t, (path) => writeFileSync(path, 'secret\n'), half),
    null,
  );
});
