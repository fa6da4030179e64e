/**
 * What is used of real file systems: held against independent readings, and against the file
 * systems' own checks and files once all that is unused is gone.
 */

import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { test } from 'node:test';
import { UsedMap } from '../../src/image/used-map.js';
import { readUsed, type UsedOptions, type UsedResult } from '../../src/node/used/read-used.js';
import { Random } from '../sim/random.js';
import { digestsIn, fill, kinds } from './file-systems.js';
import { Scratch } from './scratch.js';
import { requireLab, runTool } from './tools.js';
import { independentReading, secondCopiesOfBtrfs } from './used-readings.js';

const mebibyte = 1 << 20;
const never = new AbortController().signal;

requireLab('partclone.extfs', 'mkfs.xfs', 'mkfs.btrfs', 'ntfs-3g', 'mount.exfat-fuse', 'mcopy');

async function usedOf(path: string, options: Partial<UsedOptions> = {}): Promise<UsedResult> {
  const fd = openSync(path, 'r');
  try {
    const source = { fd, path, sizeBytes: statSync(path).size };
    return await readUsed(source, { force: false, writer: null, ...options }, () => {}, never);
  } finally {
    closeSync(fd);
  }
}

/** A copy as clients get it: what is unused reads as zeros. */
function copyUsed(from: string, to: string, map: UsedMap): void {
  const source = openSync(from, 'r');
  const target = openSync(to, 'w');
  try {
    ftruncateSync(target, map.sizeBytes);
    for (const { start, end } of map.runs()) {
      for (let at = start; at < end; at += mebibyte) {
        const bytes = Buffer.alloc(Math.min(mebibyte, end - at));
        readSync(source, bytes, 0, bytes.length, at);
        writeSync(target, bytes, 0, bytes.length, at);
      }
    }
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

/** What the sectors of an image begin with. */
function beginnings(path: string): Set<string> {
  const bytes = readFileSync(path);
  const found = new Set<string>();
  for (let at = 0; at < bytes.length; at += 512) found.add(bytes.toString('latin1', at, at + 16));
  return found;
}

const runsOf = (map: UsedMap): string => JSON.stringify([...map.runs()]);

for (const [name, kind] of Object.entries(kinds)) {
  for (const seed of [1, 2]) {
    test(`${name}, seed ${seed}: exactly what is used, and nothing that was deleted`, async (t) => {
      const scratch = new Scratch();
      t.after(() => scratch.close());
      const random = new Random(seed);
      const filled = fill(scratch, 'fs.img', kind, 24 * mebibyte, random);
      const { map, rows } = await usedOf(filled.path);
      assert.equal(rows[0]!.remark, null);
      assert.equal(rows[0]!.usedBytes, map.usedBytes);
      const expected = independentReading(name, filled.path);
      if (expected !== null) assert.equal(runsOf(map), runsOf(expected));

      const copy = scratch.path('copy.img');
      copyUsed(filled.path, copy, map);
      kind.check(copy);
      assert.deepEqual(digestsIn(scratch, copy, kind), filled.digests);
      assert(filled.digests.size > 3 && filled.deleted.length > 20);
      // Mounting it changed it.
      copyUsed(filled.path, copy, map);
      const before = beginnings(filled.path);
      const left = filled.deleted.filter((mark) => before.has(mark));
      assert(left.length > filled.deleted.length / 2, 'deleted files are not on the disk anyway');
      const after = beginnings(copy);
      for (const mark of left) assert(!after.has(mark), 'a deleted file was sent');
    });
  }
}

test('of btrfs, both copies of all metadata count as used', async (t) => {
  const scratch = new Scratch();
  t.after(() => scratch.close());
  const random = new Random(3);
  const { path } = fill(scratch, 'fs.img', kinds.btrfs!, 16 * mebibyte, random);
  const { map } = await usedOf(path);
  const places = secondCopiesOfBtrfs(path);
  assert(places.length >= 8);
  for (const { start, end } of places) assert(map.isUsed(start, end), `${start} to ${end}`);
});

test('a disk: each partition by its tool, what none understands whole', async (t) => {
  const scratch = new Scratch();
  t.after(() => scratch.close());
  const disk = scratch.sparseFile('disk.img', 700 * mebibyte, []);
  const parts = ['FAT32', 'ext4 of 4 KiB', 'xfs', 'ntfs'];
  const sizes = parts.map((name) => kinds[name]!.sizeBytes / 1024);
  const table = ['label: gpt', ...sizes.map((size) => `,${size}K`), ',16M', ',16M'].join('\n');
  runTool('sfdisk', ['-q', disk], table);
  const { partitiontable } = JSON.parse(runTool('sfdisk', ['-J', disk]));
  const starts: number[] = partitiontable.partitions.map((part: { start: number }) => part.start);
  const random = new Random(4);
  const alone: UsedMap[] = [];
  for (const [index, name] of parts.entries()) {
    const { path } = fill(scratch, `part-${index}`, kinds[name]!, 8 * mebibyte, random);
    alone.push((await usedOf(path)).map);
    const where = ['bs=512', `seek=${starts[index]}`, 'conv=notrunc,sparse', 'status=none'];
    runTool('dd', [`if=${path}`, `of=${disk}`, ...where]);
    scratch.remove(path);
  }
  const swap = scratch.sparseFile('swap', 16 * mebibyte, []);
  runTool('mkswap', ['-q', swap]);
  runTool('dd', [`if=${swap}`, `of=${disk}`, 'bs=512', `seek=${starts[4]}`, 'conv=notrunc']);
  const { map, rows } = await usedOf(disk);
  assert.deepEqual(
    rows.map(({ partition, fileSystem, method }) => [partition, fileSystem, method]),
    [
      [1, 'FAT32', 'partclone'],
      [2, 'ext4', 'partclone'],
      [3, 'xfs', 'partclone'],
      [4, 'ntfs', 'partclone'],
      [5, 'swap', 'whole'],
      [6, 'unknown', 'whole'],
    ],
  );
  const unused = alone.flatMap((one, index) => {
    const found: { start: number; end: number }[] = [];
    const offset = starts[index]! * 512;
    one.forEachUnused(0, one.sizeBytes, (start, end) =>
      found.push({ start: start + offset, end: end + offset }),
    );
    return found;
  });
  assert.equal(runsOf(map), runsOf(UsedMap.allBut(700 * mebibyte, unused)));
  assert.match(runTool('losetup', ['-l', '-O', 'BACK-FILE']), /^(?!.*disk\.img)/s);
});
