/** Images in the forms that people have, made by the programs that people make them with. */

import assert from 'node:assert/strict';
import {
  closeSync,
  fstatSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type TestContext, test } from 'node:test';
import { openImage } from '../../src/node/source/open-image.js';
import type { Source } from '../../src/node/source/source.js';
import type { ServerEvent } from '../../src/server/events.js';
import { Random } from '../sim/random.js';
import { onCleanup } from './cleanup.js';
import { digestsIn, fill, kinds } from './file-systems.js';
import { Scratch } from './scratch.js';
import { requireLab, runTool } from './tools.js';

const mebibyte = 1 << 20;
const never = new AbortController().signal;

requireLab('partclone.extfs', 'qemu-img', 'sfdisk', 'ntfs-3g', 'zstd', 'xz');

function scratchFor(t: TestContext): Scratch {
  const scratch = new Scratch();
  t.after(() => scratch.close());
  return scratch;
}

/** Opens it as a server does, and hands what it contains over as a file. */
async function contentOf(file: string, to: string): Promise<Source & { events: ServerEvent[] }> {
  const events: ServerEvent[] = [];
  const options = { file, asIs: false, force: false };
  const source = await openImage(options, (event) => events.push(event), never);
  try {
    assert.equal(fstatSync(source.fd).size, source.sizeBytes);
    runTool('dd', [`if=/proc/${process.pid}/fd/${source.fd}`, `of=${to}`, 'bs=1M', 'conv=sparse']);
    truncateSync(to, source.sizeBytes);
  } finally {
    closeSync(source.fd);
  }
  return { ...source, events };
}

const refused = (file: string, code: string, message: RegExp): Promise<void> =>
  assert.rejects(
    openImage({ file, asIs: false, force: false }, () => {}, never),
    {
      kind: 'source',
      code,
      message,
    },
  );

function sampleDisk(scratch: Scratch): string {
  return scratch.sparseFile('disk.img', 64 * mebibyte, [
    { offsetBytes: 0, lengthBytes: 3 * mebibyte },
    { offsetBytes: 40 * mebibyte + 4096, lengthBytes: 5 * mebibyte },
  ]);
}

const disks: [suffix: string, driver: string, options: string[]][] = [
  ['qcow2', 'qcow2', []],
  ['packed.qcow2', 'qcow2', ['-c']],
  ['vmdk', 'vmdk', []],
  ['stream.vmdk', 'vmdk', ['-o', 'subformat=streamOptimized']],
  ['split.vmdk', 'vmdk', ['-o', 'subformat=twoGbMaxExtentSparse']],
  ['vdi', 'vdi', []],
  ['vhd', 'vpc', ['-o', 'force_size=on']],
  ['fixed.vhd', 'vpc', ['-o', 'force_size=on,subformat=fixed']],
  ['vhdx', 'vhdx', []],
];

for (const [suffix, driver, options] of disks) {
  test(`a disk as ${suffix} is served as what it contains`, async (t) => {
    const scratch = scratchFor(t);
    const disk = sampleDisk(scratch);
    const file = scratch.path(`lab.${suffix}`);
    runTool('qemu-img', ['convert', '-f', 'raw', '-O', driver, ...options, disk, file]);
    const before = readdirSync(scratch.folder).length;
    const { name, events } = await contentOf(file, scratch.path('copy.img'));
    scratch.assertCopy(scratch.path('copy.img'), disk);
    assert.equal(readdirSync(scratch.folder).length, before + 1);
    assert.match(name, /^lab/);
    const told = events.find((event) => event.type === 'unpacked');
    assert(told?.type === 'unpacked' && told.dataBytes < 16 * mebibyte);
  });
}

test('disks that lean on other files, or are damaged, are refused', async (t) => {
  const scratch = scratchFor(t);
  const disk = sampleDisk(scratch);
  const leaning = scratch.path('leaning.qcow2');
  runTool('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', disk, '-F', 'raw', leaning]);
  await refused(leaning, 'FOREIGN_FORMAT', /holds only what differs from .*disk\.img/);

  const apart = scratch.path('apart.qcow2');
  const data = ['-o', `data_file=${scratch.path('data.raw')},data_file_raw=on`];
  runTool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...data, disk, apart]);
  await refused(apart, 'FOREIGN_FORMAT', /its data are in .*data\.raw/);

  const flat = scratch.path('flat.vmdk');
  const sub = ['-o', 'subformat=monolithicFlat'];
  runTool('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', ...sub, disk, flat]);
  await contentOf(flat, scratch.path('copy.img'));
  scratch.assertCopy(scratch.path('copy.img'), disk);
  const descriptor = readFileSync(flat, 'latin1').replace('flat-flat.vmdk', '/etc/hostname');
  writeFileSync(flat, descriptor, 'latin1');
  await refused(flat, 'FOREIGN_FORMAT', /a part of it is \/etc\/hostname/);

  for (const driver of ['qcow2', 'vmdk', 'vdi', 'vpc', 'vhdx']) {
    const cut = scratch.path(`cut.${driver}`);
    runTool('qemu-img', ['convert', '-f', 'raw', '-O', driver, disk, cut]);
    truncateSync(cut, Math.floor(statSync(cut).size / 2));
    await refused(cut, 'CANNOT_UNPACK', /cannot unpack/);
  }
});

const packings: [suffix: string, command: string[]][] = [
  ['', ['cat']],
  ['.gz', ['gzip', '-c']],
  ['.zst', ['zstd', '-qc']],
  ['.xz', ['xz', '-0c']],
];

for (const [suffix, command] of packings) {
  for (const isSplit of [false, true]) {
    const what = `partclone image${suffix}${isSplit ? ', split' : ''}`;
    test(`a ${what} becomes the file system that it is of`, async (t) => {
      const scratch = scratchFor(t);
      const kind = kinds['ext4 of 4 KiB']!;
      const { path, digests } = fill(scratch, 'fs.img', kind, 12 * mebibyte, new Random(5));
      const image = scratch.path(`sda1.ext4-ptcl-img${suffix}`);
      const read = 'partclone.extfs -q -L "$2" -c -s "$0" 2>/dev/null';
      const pack = `${read} | ${command.join(' ')} > "$1"`;
      runTool('sh', ['-c', pack, path, image, scratch.path('log')]);
      if (isSplit) {
        runTool('sh', ['-c', 'split -b 1M -a 2 "$0" "$0." && rm "$0"', image]);
      }
      const copy = scratch.path('copy.img');
      const source = await contentOf(isSplit ? `${image}.aa` : image, copy);
      assert.equal(source.sizeBytes, kind.sizeBytes);
      assert.equal(source.name, 'sda1.img');
      kind.check(copy);
      assert.deepEqual(digestsIn(scratch, copy, kind), digests);
    });
  }
}

test('a partclone image that is cut short or damaged is refused', async (t) => {
  const scratch = scratchFor(t);
  const { path } = fill(scratch, 'fs.img', kinds['ext4 of 4 KiB']!, 12 * mebibyte, new Random(6));
  const image = scratch.path('fs.pcl');
  runTool('partclone.extfs', ['-q', '-L', scratch.path('log'), '-c', '-s', path, '-o', image]);
  const bytes = readFileSync(image);
  writeFileSync(image, bytes.subarray(0, bytes.length / 2));
  await refused(image, 'CANNOT_UNPACK', /cannot unpack .*fs\.pcl/);
  bytes.fill(0x55, bytes.length - 3 * mebibyte, bytes.length - 3 * mebibyte + 100);
  writeFileSync(image, bytes);
  await refused(image, 'CANNOT_UNPACK', /cannot unpack .*fs\.pcl/);
});

/** A disk, and the folder that Clonezilla's own commands make of it. */
function clonezillaFolder(scratch: Scratch, label: 'gpt' | 'dos') {
  const parts = ['ext4 of 4 KiB', 'ntfs', 'FAT32'];
  const sizes = parts.map((name) => kinds[name]!.sizeBytes / 1024);
  const disk = scratch.sparseFile('disk.img', 330 * mebibyte, [
    { offsetBytes: 0, lengthBytes: mebibyte },
  ]);
  const script = [`label: ${label}`, ...sizes.map((size) => `,${size}K`), ',16M,S'].join('\n');
  runTool('sfdisk', ['-q', '--wipe', 'never', disk], script);
  const folder = scratch.makeFolder('2026-lab-img');
  const into = (name: string): string => `${folder}/${name}`;
  const table = runTool('sfdisk', ['-d', disk]).replaceAll(disk, '/dev/sda');
  writeFileSync(into('sda-pt.sf'), table);
  writeFileSync(into('sda-pt.parted'), `Model: x\nDisk /dev/sda: ${330 * 2048}s\n`);
  writeFileSync(into('disk'), 'sda\n');
  writeFileSync(into('parts'), 'sda1 sda2 sda3\n');
  writeFileSync(into('clonezilla-img'), 'This image was saved by Clonezilla\n');
  const head = readFileSync(disk);
  writeFileSync(into('sda-mbr'), head.subarray(0, 512));
  if (label === 'dos')
    writeFileSync(into('sda-hidden-data-after-mbr'), head.subarray(512, mebibyte));
  const starts = [...table.matchAll(/start= *(\d+)/g)].map(([, start]) => Number(start));
  const digests = parts.map((name, index) => {
    const filled = fill(
      scratch,
      `part-${index}`,
      kinds[name]!,
      6 * mebibyte,
      new Random(7 + index),
    );
    const [tool, kind] = [
      ['extfs', 'ext4'],
      ['ntfs', 'ntfs'],
      ['fat', 'vfat'],
    ][index]!;
    const packed = into(`sda${index + 1}.${kind}-ptcl-img.${index === 1 ? 'gz' : 'zst'}`);
    const pack = index === 1 ? 'gzip -c' : 'zstd -qc';
    const command = `partclone.${tool} -q -L "$2" -c -s "$0" 2>/dev/null | ${pack} > "$1"`;
    runTool('sh', ['-c', command, filled.path, packed, scratch.path('log')]);
    if (index === 0) runTool('sh', ['-c', 'split -b 1M -a 2 "$0" "$0." && rm "$0"', packed]);
    scratch.remove(filled.path);
    return filled.digests;
  });
  writeFileSync(
    into('swappt-sda4.info'),
    'UUID="6c1f2b1e-3f0a-4c57-9d0c-0d1f5b6c7a88"\nLABEL="swap"\n',
  );
  return { folder, disk, table, parts, starts, digests };
}

for (const label of ['gpt', 'dos'] as const) {
  test(`a folder of Clonezilla's (${label}) becomes the disk that it is of`, async (t) => {
    const scratch = scratchFor(t);
    const made = clonezillaFolder(scratch, label);
    const copy = scratch.path('copy.img');
    const source = await contentOf(made.folder, copy);
    assert.equal(source.name, '2026-lab-img.img');
    assert.equal(source.sizeBytes, 330 * mebibyte);
    assert.equal(runTool('sfdisk', ['-d', copy]).replaceAll(copy, '/dev/sda'), made.table);
    runTool('sfdisk', ['--verify', copy]);
    for (const [index, name] of made.parts.entries()) {
      const kind = kinds[name]!;
      const part = scratch.path('part.img');
      const where = ['bs=512', `skip=${made.starts[index]}`, `count=${kind.sizeBytes / 512}`];
      runTool('dd', [`if=${copy}`, `of=${part}`, ...where, 'conv=sparse', 'status=none']);
      truncateSync(part, kind.sizeBytes);
      kind.check(part);
      assert.deepEqual(digestsIn(scratch, part, kind), made.digests[index]);
      scratch.remove(part);
    }
    const swap = runTool('blkid', ['-p', '-O', `${made.starts[3]! * 512}`, copy]);
    assert.match(swap, /LABEL="swap" UUID="6c1f2b1e-3f0a-4c57-9d0c-0d1f5b6c7a88"/);
    if (label === 'dos') scratch.assertCopy(copy, made.disk, mebibyte);
    else scratch.assertCopy(copy, made.disk, 440);
  });
}

test('folders of Clonezilla that are not understood are refused by name', async (t) => {
  const scratch = scratchFor(t);
  const { folder } = clonezillaFolder(scratch, 'gpt');
  const cases: [file: string, text: string, why: RegExp][] = [
    ['lvm_vg_dev.list', 'vg0 /dev/sda4 x', /LVM/],
    ['luks-dev.list', '/dev/sda4', /LUKS/],
    ['ecryptfs.info', 'disk_of_img="sda"', /eCryptfs/],
    ['disk', 'sda sdb', /several disks/],
    ['sda4.crypto_LUKS-ptcl-img.gz', 'x', /./],
    ['parts', 'sda1 sda9', /lacks sda9/],
    ['sda-pt.sf', 'label: sun', /sda-pt\.sf/],
  ];
  for (const [file, text, why] of cases) {
    const before = readdirSync(folder).includes(file) ? readFileSync(`${folder}/${file}`) : null;
    writeFileSync(`${folder}/${file}`, text);
    if (file.startsWith('sda4')) scratch.remove(`${folder}/swappt-sda4.info`);
    await refused(folder, 'FOREIGN_FORMAT', why);
    if (before === null) scratch.remove(`${folder}/${file}`);
    else writeFileSync(`${folder}/${file}`, before);
  }
  // A partition's image that is cut short.
  const part = `${folder}/sda3.vfat-ptcl-img.zst`;
  truncateSync(part, readFileSync(part).length - 1000);
  await refused(folder, 'CANNOT_UNPACK', /cannot unpack/);
});

test('what has no room is refused before it is unpacked', async (t) => {
  const scratch = scratchFor(t);
  const disk = scratch.randomFile('disk.img', 24 * mebibyte);
  const virtual = scratch.path('lab.qcow2');
  runTool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, virtual]);
  const kind = kinds['ext4 of 4 KiB']!;
  const { path } = fill(scratch, 'fs.img', kind, 48 * mebibyte, new Random(8));
  const image = scratch.path('fs.pcl');
  runTool('partclone.extfs', ['-q', '-L', scratch.path('log'), '-c', '-s', path, '-o', image]);
  // 64 MiB are left to others.
  const folder = scratch.makeFolder('small');
  runTool('mount', ['-t', 'tmpfs', '-o', `size=${72 * mebibyte}`, 'tmpfs', folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  try {
    await refused(virtual, 'NO_SPACE', /no room in .*small/);
    await refused(image, 'NO_SPACE', /no room in .*small/);
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    unmount();
  }
});
