import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Failure } from '../../src/failure.js';
import { FileImage } from '../../src/node/source/file-image.js';
import { prepareImage } from '../../src/node/source/prepare-image.js';
import { openSource } from '../../src/node/source/source.js';
import { stateOf } from '../../src/node/source/source-state.js';

const NEVER = new AbortController().signal;

async function openImage(t: TestContext): Promise<FileImage> {
  const folder = mkdtempSync(join(tmpdir(), 'prepare-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'image');
  writeFileSync(path, Buffer.alloc(3 << 20, 1));
  const source = openSource(path, false, () => {});
  const image = new FileImage(source, await stateOf(source, false, () => {}, NEVER));
  t.after(() => image.close());
  return image;
}

const isChange = (error: unknown) => error instanceof Failure && error.code === 'SOURCE_CHANGED';

test('no map is kept of an image that changed since the watch last looked', async (t) => {
  const image = await openImage(t);
  // Before the key of the map is taken, and long before the watch's first second is over.
  utimesSync(image.path, 1, 1);
  const events: string[] = [];
  await assert.rejects(
    prepareImage(image, ({ type }) => events.push(type), NEVER),
    isChange,
  );
  assert.ok(!events.includes('prepared'));
  assert.ok(!existsSync(`${image.path}.blockmap`));
});

test('an image that changed is searched for holes no further: its file is closed', async (t) => {
  const image = await openImage(t);
  let steps = 0;
  const extents = {
    nextData: (offsetBytes: number) => {
      steps++;
      return offsetBytes;
    },
    // It takes many turns of the event loop.
    nextHole: (offsetBytes: number) => offsetBytes + 1e-3,
  };
  const watch = (onChanged: (failure: Failure) => void) => {
    onChanged(new Failure('source', 'SOURCE_CHANGED', 'it changed'));
    return { mapped: () => false, close() {} };
  };
  Object.assign(image, { extents, watch });
  await assert.rejects(
    prepareImage(image, () => {}, NEVER),
    isChange,
  );
  const before = steps;
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(steps, before);
});
