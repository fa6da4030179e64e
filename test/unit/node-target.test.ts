import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Failure } from '../../src/failure.js';
import { TargetFile, type TargetOptions } from '../../src/node/target/target.js';
import { planTarget } from '../../src/node/target/target-plan.js';

/** Longer than two writes may share one time stamp. */
const SETTLED_MS = 40;
const SIZE = 10_000;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'target-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

function optionsFor(output: string, changes: Partial<TargetOptions> = {}): TargetOptions {
  const plain = { sparse: true, force: false, resume: false, check: false };
  return {
    output,
    imageName: 'disk.img',
    sizeBytes: SIZE,
    sectorSizeBytes: 0,
    ...plain,
    ...changes,
  };
}

const withCode = (code: string) => (error: Failure) =>
  error.kind === 'target' && error.code === code;

test('a new copy is NAME.part, blank and of full size, until it is finished', async (t) => {
  const path = join(folder(t), 'a.img');
  const target = await TargetFile.open(optionsFor(path));
  assert.equal(target.isBlank, true);
  assert.equal(target.plan.holdsEarlierData, false);
  assert.equal(statSync(`${path}.part`).size, SIZE);
  assert.equal(existsSync(path), false);
  await target.finish();
  assert.equal(statSync(path).size, SIZE);
  assert.equal(existsSync(`${path}.part`), false);
});

test('what was removed, replaced or cut while it was written is no copy', async (t) => {
  const losses: Record<string, (workPath: string) => void> = {
    removed: (workPath) => rmSync(workPath),
    replaced: (workPath) => {
      writeFileSync(`${workPath}.other`, Buffer.alloc(SIZE, 7));
      renameSync(`${workPath}.other`, workPath);
    },
    cut: (workPath) => truncateSync(workPath, SIZE - 1),
    extended: (workPath) => truncateSync(workPath, SIZE + 1),
  };
  for (const [how, lose] of Object.entries(losses)) {
    const path = join(folder(t), 'a.img');
    const target = await TargetFile.open(optionsFor(path));
    lose(`${path}.part`);
    await assert.rejects(target.finish(), withCode('TARGET_GONE'), how);
    assert.equal(existsSync(path), false, how);
    await target.close();
  }
});

test('our own .part is gone on with, whatever its size', async (t) => {
  const path = join(folder(t), 'a.img');
  for (const length of [100, SIZE, 3 * SIZE]) {
    writeFileSync(`${path}.part`, Buffer.alloc(length, 7));
    const target = await TargetFile.open(optionsFor(path));
    assert.equal(target.plan.holdsEarlierData, true);
    assert.equal(target.isBlank, false);
    const bytes = readFileSync(`${path}.part`);
    assert.equal(bytes.length, SIZE);
    assert.equal(bytes[99], 7);
    await target.close();
  }
});

test('a finished file loses its name from the first write on, until it is up to date', async (t) => {
  const path = join(folder(t), 'a.img');
  writeFileSync(path, Buffer.alloc(SIZE + 9, 7));
  const target = await TargetFile.open(optionsFor(path, { resume: true }));
  assert.equal(readFileSync(path).length, SIZE + 9, 'nothing is changed yet');
  assert.equal(existsSync(`${path}.part`), false);
  target.begin();
  assert.equal(existsSync(path), false);
  assert.equal(readFileSync(`${path}.part`).length, SIZE);
  await target.finish();
  assert.equal(readFileSync(path)[0], 7);
});

test('a finished file that holds the image already keeps its name', async (t) => {
  const path = join(folder(t), 'a.img');
  for (const length of [SIZE, SIZE + 1]) {
    writeFileSync(path, Buffer.alloc(length, 7));
    const target = await TargetFile.open(optionsFor(path, { resume: true }));
    await target.finish();
    assert.equal(readFileSync(path).length, SIZE);
    assert.equal(existsSync(`${path}.part`), false);
  }
});

test('what another program writes after our own last write is noticed', async (t) => {
  const path = join(folder(t), 'a.img');
  const target = await TargetFile.open(optionsFor(path));
  target.begin();
  writeFileSync(target.fd, Buffer.alloc(SIZE, 7));
  target.noteWritten();
  await target.sync();
  await sleep(SETTLED_MS);
  const other = openSync(`${path}.part`, 'r+');
  writeSync(other, Buffer.from('x'), 0, 1, 3);
  closeSync(other);
  await assert.rejects(target.finish(), withCode('TARGET_GONE'));
  assert.equal(existsSync(path), false);
  await target.close();
});

test('a named file that is not to be resumed stays whole until it is replaced', async (t) => {
  const path = join(folder(t), 'a.img');
  writeFileSync(path, 'old');
  const target = await TargetFile.open(optionsFor(path));
  assert.equal(readFileSync(path, 'utf8'), 'old');
  assert.equal(target.isBlank, true);
  await target.finish();
  assert.equal(statSync(path).size, SIZE);
});

test('a file under the name of the image is not replaced unless asked for', (t) => {
  const start = process.cwd();
  process.chdir(folder(t));
  t.after(() => process.chdir(start));
  writeFileSync('disk.img', 'old');
  const unnamed = { ...optionsFor(''), output: undefined };
  assert.throws(() => planTarget(unnamed), withCode('EXISTS'));
  assert.equal(planTarget({ ...unnamed, force: true }).holdsEarlierData, false);
  assert.equal(planTarget({ ...unnamed, resume: true }).holdsEarlierData, true);
});

test('allocating all of a file keeps what it holds', async (t) => {
  const path = join(folder(t), 'a.img');
  writeFileSync(`${path}.part`, Buffer.alloc(100, 7));
  const target = await TargetFile.open(optionsFor(path, { sparse: false }));
  await target.close();
  const bytes = readFileSync(`${path}.part`);
  assert.equal(bytes.length, SIZE);
  assert.ok(bytes.subarray(0, 100).every((byte) => byte === 7));
});

test('a check opens what is there and makes nothing', async (t) => {
  const path = join(folder(t), 'a.img');
  const options = optionsFor(path, { check: true });
  await assert.rejects(TargetFile.open(options), withCode('NO_TARGET'));
  writeFileSync(path, Buffer.alloc(SIZE - 1));
  const target = await TargetFile.open(options);
  assert.equal(await target.hasRightSize(), false);
  await target.close();
  assert.equal(existsSync(`${path}.part`), false);
  assert.equal(statSync(path).size, SIZE - 1);
});

test('a name too long for the file and its .part is refused before anything is made', (t) => {
  for (const name of ['n'.repeat(251), 'é'.repeat(127), 'n'.repeat(300)]) {
    assert.throws(() => planTarget(optionsFor(join(folder(t), name))), withCode('NAME_TOO_LONG'));
  }
  planTarget(optionsFor(join(folder(t), 'n'.repeat(250))));
});

test('auto is no file that a copy could end in unnoticed', () => {
  assert.throws(() => planTarget(optionsFor('auto')), withCode('NOT_A_TARGET'));
});

test('a folder is no target, nor is a name in a folder that is not there', async (t) => {
  const path = folder(t);
  assert.throws(() => planTarget(optionsFor(path)), withCode('NOT_A_TARGET'));
  await assert.rejects(
    TargetFile.open(optionsFor(join(path, 'no', 'a.img'))),
    withCode('CANNOT_WRITE'),
  );
});

test('a proven file in a folder that cannot be read is a copy, with a remark', async (t) => {
  const place = folder(t);
  const nobody = 65_534;
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(place, nobody, nobody);
  chmodSync(place, 0o300);
  if (isRoot) process.seteuid!(nobody);
  try {
    const path = join(place, 'a.img');
    const target = await TargetFile.open(optionsFor(path));
    target.begin();
    writeFileSync(target.fd, Buffer.alloc(SIZE, 7));
    assert.match((await target.finish()) ?? '', /proven and has its name.*cannot be synced/);
    assert.equal(readFileSync(path).length, SIZE);
  } finally {
    if (isRoot) process.seteuid!(0);
    chmodSync(place, 0o700);
  }
});
