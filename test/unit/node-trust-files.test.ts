import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Failure } from '../../src/failure.js';
import { makeKeyFile, readKeyFile, readPublicKey } from '../../src/node/trust-files.js';
import { Signer } from '../minisign.js';

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof Failure && error.code === code && error.exitStatus === 2;

test('a new key is for its owner alone, and replaces nothing', (context) => {
  const path = join(folderOf(context), 'lab.key');
  makeKeyFile(path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const key = readKeyFile(path);
  assert.equal(key.length, 32);
  assert.throws(() => makeKeyFile(path), hasCode('KEY_FILE_EXISTS'));
  assert.deepEqual(readKeyFile(path), key);
  makeKeyFile(`${path}2`);
  assert.notDeepEqual(readKeyFile(`${path}2`), key);
});

test('a key that others can read, or could have written, is refused', (context) => {
  const path = join(folderOf(context), 'lab.key');
  makeKeyFile(path);
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o601]) {
    chmodSync(path, mode);
    assert.throws(() => readKeyFile(path), hasCode('KEY_FILE_MODE'), mode.toString(8));
  }
  chmodSync(path, 0o400);
  assert.equal(readKeyFile(path).length, 32);
});

test('what holds no key is refused', (context) => {
  const folder = folderOf(context);
  const path = join(folder, 'lab.key');
  const refuses = (): void => assert.throws(() => readKeyFile(path), hasCode('KEY_FILE_FORMAT'));
  refuses();
  for (const text of ['', 'secret', 'A'.repeat(43), `${'A'.repeat(44)}\n\n`, 'A'.repeat(100_000)]) {
    writeFileSync(path, text, { mode: 0o600 });
    refuses();
  }
  // That others can read what is no key is not what is wrong with it.
  writeFileSync(path, 'secret');
  chmodSync(path, 0o644);
  assert.throws(() => readKeyFile(path), /holds no key; make one/);
  writeFileSync(path, 'untrusted comment: minisign public key 9AE45CB3777986D7\nRWR');
  assert.throws(() => readKeyFile(path), /holds no key; a public key .* --trust/);
  assert.throws(() => readKeyFile(folder), hasCode('KEY_FILE_FORMAT'));
  assert.throws(() => makeKeyFile(join(folder, 'no', 'key')), hasCode('KEY_FILE_FORMAT'));
});

test('a public key is itself, or what a file holds', (context) => {
  const path = join(folderOf(context), 'lab.pub');
  const signer = new Signer(Buffer.alloc(32, 0x17), Buffer.from('lab keys'));
  writeFileSync(path, signer.publicKeyFile);
  assert.equal(readPublicKey(path).id, readPublicKey(signer.publicKeyLine).id);
  for (const text of ['', 'x'.repeat(2000)]) {
    writeFileSync(path, text);
    assert.throws(() => readPublicKey(path), hasCode('PUBLIC_KEY_FORMAT'));
  }
  assert.throws(() => readPublicKey(`${path}.gone`), hasCode('PUBLIC_KEY_FORMAT'));
});
