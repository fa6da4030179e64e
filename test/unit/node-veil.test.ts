import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Veil } from '../../src/node/target/veil.js';

const lengthBytes = 8192;

async function deviceOf(t: TestContext, content: Buffer) {
  const folder = mkdtempSync(join(tmpdir(), 'veil-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'device');
  writeFileSync(path, content);
  const handle = await open(path, 'r+');
  t.after(() => handle.close());
  const veil = new Veil(handle.fd, lengthBytes);
  t.after(() => veil.close());
  return { path, handle, veil };
}

test('a device that is right already is not written to', async (t) => {
  const content = Buffer.alloc(2 * lengthBytes, 5);
  const { path, handle, veil } = await deviceOf(t, content);
  writeFileSync(path, Buffer.alloc(2 * lengthBytes, 6));
  await veil.lift(handle);
  assert.equal(readFileSync(path)[0], 6);
});

test('once anything is written, the device looks like nothing until the veil is lifted', async (t) => {
  const content = Buffer.alloc(2 * lengthBytes, 5);
  const { path, handle, veil } = await deviceOf(t, content);
  veil.draw();
  assert.deepEqual(readFileSync(path).subarray(0, lengthBytes), Buffer.alloc(lengthBytes));
  veil.change();
  writeSync(veil.fd, 'first', 0);
  await veil.lift(handle);
  assert.equal(readFileSync(path).subarray(0, 6).toString('latin1'), 'first\x05');
});

test('a first chunk that cannot be read is written, whatever it is to be', async (t) => {
  // It ends before the chunk does.
  const { path, handle, veil } = await deviceOf(t, Buffer.alloc(100, 5));
  await veil.lift(handle);
  assert.deepEqual(readFileSync(path), Buffer.alloc(lengthBytes));
});
