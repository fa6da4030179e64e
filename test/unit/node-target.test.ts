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
  statfsSync,
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
import { dryRunText } from '../../src/node/client-endings.js';
import { loadNative } from '../../src/node/system/native.js';
import { needlessText } from '../../src/node/target/needless.js';
import { roomFor, shortRoomText } from '../../src/node/target/room.js';
import { planUnlocked, TargetFile, type TargetOptions } from '../../src/node/target/target.js';
import { targetFailure } from '../../src/node/target/target-failure.js';
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

test('what even root may not do is told as such', (t) => {
  const as = (uid: number, code: string): string => {
    const mocked = t.mock.method(process as { geteuid(): number }, 'geteuid', () => uid);
    try {
      return targetFailure('disk.img', { code }).message;
    } finally {
      mocked.mock.restore();
    }
  };
  for (const code of ['EPERM', 'EACCES']) {
    assert.match(as(0, code), /even to root.*lsattr/);
    assert.match(as(1000, code), /try as root/);
  }
});

test('auto is no file that a copy could end in unnoticed', () => {
  const larger = { sizeBytes: Number.MAX_SAFE_INTEGER };
  assert.throws(() => planTarget(optionsFor('auto', larger)), withCode('NO_DISK'));
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

test('of a file that nobody named it is said where it lies and how large it becomes', () => {
  const { description } = planTarget({ ...optionsFor(''), output: undefined });
  assert.equal(description, `file of 10.0 kB in ${process.cwd()}, as no -o names another place`);
  assert.equal(planTarget(optionsFor('named.img')).description, 'file');
});

test('a dry run tells a new file from one that is replaced or brought up to date', (t) => {
  const path = join(folder(t), 'a.img');
  const textOf = (resume: boolean) =>
    dryRunText(planTarget(optionsFor(path, { resume })), SIZE, null);
  assert.match(textOf(false), /can take the image of 10\.0 kB .*; it would be a new file;/);
  writeFileSync(path, 'something');
  assert.match(textOf(false), /the file that is there would be replaced/);
  assert.match(textOf(true), /what differs there would be brought up to date/);
});

test('a dry run says of a larger device what stays as it is', (t) => {
  const file = planTarget(optionsFor(join(folder(t), 'a.img')));
  const textOf = (roomBytes: number) =>
    dryRunText({ ...file, kind: 'device', roomBytes }, SIZE, null);
  assert.match(textOf(SIZE), /; all of it would be overwritten;/);
  const rest =
    /; its first 10\.0 kB would be overwritten, and the 20\.0 kB behind them would stay /;
  assert.match(textOf(3 * SIZE), rest);
});

test('a file system without room for an image is told of before anything is made', async (t) => {
  const path = join(folder(t), 'a.img');
  const { bavail, bsize } = statfsSync(folder(t));
  const sizeBytes = bavail * bsize + 2 ** 32;
  const full = optionsFor(path, { sizeBytes, sparse: false, force: true });
  const isRefused = (error: Failure) =>
    withCode('NO_SPACE')(error) &&
    /file system has room for .*, the image has /.test(error.message);
  assert.throws(() => planTarget(full), isRefused);
  await assert.rejects(TargetFile.open(full), isRefused);
  assert.equal(existsSync(`${path}.part`), false);
  const plan = planTarget({ ...full, sparse: true });
  assert.match(shortRoomText(plan, sizeBytes)!, /has room for .*, of which zeros take no room$/);
  assert.match(dryRunText(plan, sizeBytes, null), /only if enough of it is zeros: the file system/);
  assert.equal(shortRoomText(plan, SIZE), null);
});

test('what a file holds already is room for it', (t) => {
  const path = join(folder(t), 'a.img');
  writeFileSync(path, Buffer.alloc(1 << 20, 1));
  const held = statSync(path, { bigint: true });
  // Others use the file system as well: only that it counts is certain.
  const more = Object.assign(Object.create(held), { blocks: 2n ** 41n });
  assert.ok(roomFor(path, more)! >= 2 ** 50);
  assert.equal(roomFor(join(path, 'nowhere', 'a.img'), null), null);
});

test('who uses a target is said: a server its source, or another client', async (t) => {
  const path = join(folder(t), 'a.img');
  const client = await TargetFile.open(optionsFor(path));
  t.after(() => client.close());
  await assert.rejects(planUnlocked(optionsFor(path)), /being written by another multiclient/);
  const served = join(folder(t), 'b.img');
  writeFileSync(served, 'served');
  const fd = openSync(served, 'r');
  t.after(() => closeSync(fd));
  assert.equal(loadNative()!.lock(fd, false), true);
  await assert.rejects(planUnlocked(optionsFor(served)), /is served by a multiserver on this host/);
});

test('options that do nothing for a file are named', (t) => {
  const path = join(folder(t), 'a.img');
  const textOf = (discard: boolean, wipeFree: boolean, resume = false) =>
    needlessText(planTarget(optionsFor(path, { resume })), { discard, wipeFree });
  assert.equal(textOf(false, false), null);
  assert.match(textOf(true, false)!, /^--discard does nothing here: \S+a\.img is a file/);
  assert.match(textOf(false, true)!, /^--wipe-free does nothing here/);
  writeFileSync(path, 'of an earlier copy');
  assert.equal(textOf(false, true, true), null, 'what is free of an earlier copy is wiped');
  const device = { ...planTarget(optionsFor(path)), kind: 'device' } as const;
  assert.equal(needlessText(device, { discard: true, wipeFree: true }), null);
});
