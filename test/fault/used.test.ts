/**
 * File systems that were not left in order, are damaged, or are read by programs that fail: refused
 * or sent whole, and never with a hole in what is used.
 */

import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter } from 'node:path';
import { type TestContext, test } from 'node:test';
import { UsedMap } from '../../src/image/used-map.js';
import { read } from '../../src/node/system/tool.js';
import { readUsed, type UsedOptions, type UsedResult } from '../../src/node/used/read-used.js';
import { onCleanup } from '../lab/cleanup.js';
import { fill, kinds } from '../lab/file-systems.js';
import { Scratch } from '../lab/scratch.js';
import { requireLab, runTool } from '../lab/tools.js';
import { Random } from '../sim/random.js';

const mebibyte = 1 << 20;
const never = new AbortController().signal;

requireLab('partclone.extfs', 'mkfs.xfs', 'ntfs-3g', 'ntfscat');

async function usedOf(
  path: string,
  options: Partial<UsedOptions> = {},
  signal = never,
): Promise<UsedResult> {
  const fd = openSync(path, 'r');
  try {
    const source = { fd, path, sizeBytes: statSync(path).size };
    return await readUsed(source, { force: false, writer: null, ...options }, () => {}, signal);
  } finally {
    closeSync(fd);
  }
}

function scratchFor(t: TestContext): Scratch {
  const scratch = new Scratch();
  t.after(() => scratch.close());
  return scratch;
}

const filled = (scratch: Scratch, name: string): string =>
  fill(scratch, 'fs.img', kinds[name]!, 4 * mebibyte, new Random(9)).path;

async function assertWhole(path: string, remark: RegExp, options = {}): Promise<void> {
  const { map, rows } = await usedOf(path, options);
  assert(map.equals(UsedMap.whole(statSync(path).size)));
  assert.equal(rows[0]!.method, 'whole');
  assert.match(rows[0]!.remark ?? '', remark);
}

async function assertUnclean(path: string, why: RegExp): Promise<void> {
  await assert.rejects(usedOf(path), { kind: 'source', code: 'NOT_CLEAN', message: why });
  await assertWhole(path, why, { force: true });
}

/** What lies on the disk while a file system is mounted and written to: as after a power cut. */
function copyWhileMounted(scratch: Scratch, path: string): string {
  const folder = scratch.makeFolder('mounted');
  runTool('mount', ['-o', 'loop', path, folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  try {
    for (let count = 0; count < 50; count++) {
      writeFileSync(`${folder}/new-${count}`, Buffer.alloc(10_000, count));
    }
    writeFileSync(`${folder}/last`, 'flushed');
    runTool('sync', [`${folder}/last`]);
    copyFileSync(path, scratch.path('torn.img'));
  } finally {
    unmount();
  }
  return scratch.path('torn.img');
}

for (const name of ['ext4 of 4 KiB', 'ext4 bigalloc', 'xfs', 'btrfs']) {
  test(`${name} as after a power cut is refused, or sent whole`, async (t) => {
    const scratch = scratchFor(t);
    const torn = copyWhileMounted(scratch, filled(scratch, name));
    await assertUnclean(torn, /was not played back/);
  });
}

/** Marks that each kind sets while it is mounted, or that damage leaves. */
const marks: [what: string, kind: string, at: number, byte: number, why: RegExp][] = [
  ['ext4 with errors', 'ext4 of 4 KiB', 1024 + 0x3a, 0x3, /found errors/],
  ['ext2 in use', 'ext2', 1024 + 0x3a, 0x0, /not unmounted/],
  ['exFAT in use', 'exfat', 0x6a, 0x2, /not unmounted/],
  ['FAT32 in use', 'FAT32', 0x41, 0x1, /not unmounted/],
  ['FAT16 in use', 'FAT16', 0x25, 0x1, /not unmounted/],
];

for (const [what, name, at, byte, why] of marks) {
  test(`${what} is refused, or sent whole`, async (t) => {
    const scratch = scratchFor(t);
    const path = filled(scratch, name);
    assert.equal((await usedOf(path)).rows[0]!.remark, null);
    overwriteWith(path, at, Buffer.of(byte));
    await assertUnclean(path, why);
  });
}

function overwriteWith(path: string, at: number, bytes: Buffer): void {
  const all = readFileSync(path);
  bytes.copy(all, at);
  writeFileSync(path, all);
}

test('NTFS that Windows has mounted, or hibernates in, is refused, or sent whole', async (t) => {
  const scratch = scratchFor(t);
  const path = filled(scratch, 'ntfs');
  // Windows' log: ntfs-3g leaves it empty. Two restart pages, the second one newer.
  const page = (lsn: number, client: number): Buffer => {
    const bytes = Buffer.alloc(4096);
    bytes.write('RSTR');
    bytes.writeUInt16LE(0x30, 0x18);
    bytes.writeUInt32LE(lsn, 0x30);
    bytes.writeUInt16LE(client, 0x30 + 0xc);
    return bytes;
  };
  const image = readFileSync(path);
  const empty = Buffer.alloc(mebibyte, 0xff);
  const at = image.indexOf(empty);
  assert(at > 0 && at % 4096 === 0);
  overwriteWith(path, at, Buffer.concat([page(7, 0xffff), page(8, 0)]));
  await assertUnclean(path, /in use/);
  overwriteWith(path, at, Buffer.concat([page(7, 0), page(8, 0xffff)]));
  assert.equal((await usedOf(path)).rows[0]!.remark, null);

  const folder = scratch.makeFolder('windows');
  runTool('ntfs-3g', [path, folder]);
  writeFileSync(`${folder}/hiberfil.sys`, Buffer.concat([Buffer.from('HIBR'), Buffer.alloc(9000)]));
  runTool('umount', [folder]);
  await assertUnclean(path, /hibernates/);
});

for (const name of ['ext4 of 1 KiB', 'ext4 bigalloc', 'ntfs', 'FAT32', 'exfat', 'xfs', 'btrfs']) {
  test(`${name} with damage in any place: what is used is never left out`, async (t) => {
    const scratch = scratchFor(t);
    const path = filled(scratch, name);
    const sound = (await usedOf(path)).map;
    const random = new Random(11, name);
    const runs = [...sound.runs()];
    for (let count = 0; count < 12; count++) {
      const damaged = scratch.path('damaged.img');
      copyFileSync(path, damaged);
      const { start, end } = count < 4 ? runs[0]! : random.pick(runs);
      const lengthBytes = Math.min(end - start, 512);
      const at = start + Math.floor(random.below(end - start - lengthBytes + 1) / 512) * 512;
      overwriteWith(damaged, at, random.fill(Buffer.alloc(lengthBytes)));
      const { map } = await usedOf(damaged, { force: true });
      assert.equal(map.union(sound).usedBytes, map.usedBytes, `a hole after damage at ${at}`);
    }
  });
}

test('who writes to a source has it sent whole', async (t) => {
  const path = filled(scratchFor(t), 'ext4 of 4 KiB');
  await assertWhole(path, /mounted/, { writer: 'it is mounted on /mnt' });
});

/** Puts a program of ours in the place of one of the system's. */
function replace(t: TestContext, scratch: Scratch, name: string, script: string): void {
  const folder = scratch.makeFolder('programs');
  writeFileSync(`${folder}/${name}`, `#!/bin/sh\n${script}\n`);
  chmodSync(`${folder}/${name}`, 0o755);
  const before = process.env.PATH;
  process.env.PATH = `${folder}${delimiter}${before}`;
  t.after(() => {
    process.env.PATH = before;
  });
}

/** Instead of partclone: `REAL` is the true one, `$OUT` where its map goes. */
const liars: [what: string, script: string, remark: RegExp][] = [
  ['killed half way', 'REAL "$@" >/dev/null 2>&1; kill -9 $$', /it was killed/],
  ['that ends early', 'REAL "$@"; sed -i \'$d\' "$OUT"', /cut short/],
  ['whose map ends within a line', 'REAL "$@"; truncate -s -9 "$OUT"', /gaps|cannot|short/],
  ['that writes nothing', 'exit 0', /makes no map/],
  ['that writes an empty map', ': > "$OUT"', /empty/],
  ['that fails', 'echo "no such thing" >&2; exit 1', /no such thing/],
  [
    'whose map reaches beyond the partition',
    'printf "0x10000000 ?\\n0x00000000  0x10000000  +\\n" > "$OUT"',
    /beyond the partition/,
  ],
  [
    'whose map has a gap',
    'printf "0x00004000 ?\\n0x00000000  0x00001000  +\\n0x00002000  0x00002000  ?\\n" > "$OUT"',
    /gaps/,
  ],
  [
    'whose map holds all to be unused',
    'printf "0x00004000 ?\\n0x00000000  0x00004000  ?\\n" > "$OUT"',
    /very beginning/,
  ],
  ['that writes nonsense', 'head -c 100000 /dev/urandom > "$OUT"', /cannot be understood/],
];

for (const [what, script, remark] of liars) {
  test(`a partclone ${what}: the file system is sent whole`, async (t) => {
    const scratch = scratchFor(t);
    const path = filled(scratch, 'ext4 of 4 KiB');
    const real = '/usr/sbin/partclone.extfs';
    const find = [
      'OUT=; for word; do',
      '[ "$OUT" = next ] && OUT=$word && break; [ "$word" = -o ] && OUT=next',
      'done',
    ].join('\n');
    replace(t, scratch, 'partclone.extfs', `${find}\n${script.replace('REAL', real)}`);
    await assertWhole(path, remark);
  });
}

test('a program that is missing is named with its package', async (t) => {
  const nowhere = { command: 'partclone.nowhere', args: [], debianPackage: 'partclone' };
  await assert.rejects(read(nowhere, never), {
    kind: 'source',
    code: 'NO_TOOL',
    message: /partclone\.nowhere is needed .*install the package partclone$/,
  });
  const scratch = scratchFor(t);
  const path = filled(scratch, 'ext4 of 4 KiB');
  replace(t, scratch, 'partclone.extfs', 'exec /nowhere/at/all');
  await assertWhole(path, /not found|No such file/);
});

test('abort ends the programs, and leaves no device behind', async (t) => {
  const scratch = scratchFor(t);
  const path = filled(scratch, 'ext4 of 4 KiB');
  replace(t, scratch, 'partclone.extfs', 'exec sleep 600');
  const stop = new AbortController();
  const waiting = usedOf(path, {}, stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  assert.doesNotMatch(runTool('losetup', ['-l', '-O', 'BACK-FILE']), /fs\.img/);
});
