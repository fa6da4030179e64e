/** `--output auto` on machines with disks of all kinds, made of files. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Failure } from '../../src/failure.js';
import {
  chooseDisk,
  type DiskSystem,
  refuseChoiceEarly,
} from '../../src/node/target/auto-target.js';

const MEGABYTE = 1e6;

interface FakeDisk {
  megabytes: number;
  /** More files, below the disk's own folder. */
  files?: Record<string, string>;
  isRemovable?: boolean;
  isReadOnly?: boolean;
  /** Without a controller, as loop devices are. */
  isBare?: boolean;
  isHeld?: boolean;
  /** Where the folder really lies. */
  bus?: string;
}

/** @param files of the system, besides the disks' own */
function machineWith(
  t: TestContext,
  disks: Record<string, FakeDisk>,
  files: Record<string, string> = {},
): DiskSystem {
  const root = mkdtempSync(join(tmpdir(), 'machine-'));
  t.after(() => rmSync(root, { recursive: true }));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  mkdirSync(join(root, 'sys/block'), { recursive: true });
  mkdirSync(join(root, 'sys/dev/block'), { recursive: true });
  const numbers = new Map<string, string>();
  Object.entries(disks).forEach(([name, disk], index) => {
    const folder = `sys/devices/${disk.bus ?? 'pci0000:00'}/${name}`;
    const number = `8:${index * 16}`;
    numbers.set(`/dev/${name}`, number);
    write(`${folder}/dev`, `${number}\n`);
    write(`${folder}/size`, `${(disk.megabytes * MEGABYTE) / 500}\n`);
    write(`${folder}/removable`, disk.isRemovable ? '1\n' : '0\n');
    write(`${folder}/ro`, disk.isReadOnly ? '1\n' : '0\n');
    if (!disk.isBare) write(`${folder}/device/model`, `Model ${name}\n`);
    for (const [path, text] of Object.entries(disk.files ?? {})) write(`${folder}/${path}`, text);
    symlinkSync(join(root, folder), join(root, 'sys/block', name));
    symlinkSync(join(root, folder), join(root, 'sys/dev/block', number));
  });
  const tables = { 'proc/self/mountinfo': '', 'proc/swaps': 'Filename\n', ...files };
  for (const [path, text] of Object.entries(tables)) write(path, text);
  return {
    root,
    deviceOf: (path) => numbers.get(path) ?? null,
    isHeld: (path) => disks[basename(path)]?.isHeld ?? false,
  };
}

/** An image that every disk here can take, but for the small ones. */
const IMAGE_BYTES = 100 * MEGABYTE;
const disk: FakeDisk = { megabytes: 500 };

const failsWith = (code: string, text: RegExp) => (error: Failure) => {
  assert.equal(error.code, code);
  assert.equal(error.kind, 'target');
  assert.match(error.message, text);
  return true;
};

test('the only disk is chosen, whatever else hangs on the machine', (t) => {
  const machine = machineWith(t, {
    loop0: { ...disk, isBare: true },
    ram0: { ...disk, isBare: true },
    sr0: { ...disk, isRemovable: true },
    sda: disk,
    sdb: { megabytes: 0, isRemovable: true },
    zram0: { ...disk, isBare: true },
    'dm-0': { ...disk, isBare: true },
  });
  refuseChoiceEarly(machine);
  assert.equal(chooseDisk(IMAGE_BYTES, machine), '/dev/sda');
});

test('a disk may be as large as the image, and not a byte less', (t) => {
  const machine = machineWith(t, { nvme0n1: disk });
  const sizeBytes = (500 * MEGABYTE * 512) / 500;
  assert.equal(chooseDisk(sizeBytes, machine), '/dev/nvme0n1');
  assert.throws(
    () => chooseDisk(sizeBytes + 1, machine),
    failsWith('NO_DISK', /\/dev\/nvme0n1, 512 MB, Model nvme0n1: too small for the image/),
  );
  refuseChoiceEarly(machine);
});

/** What makes a disk no target, and what is said of it. */
const objections: [what: string, bad: FakeDisk, files: Record<string, string>, text: RegExp][] = [
  ['removable', { ...disk, isRemovable: true }, {}, /removable/],
  ['a memory card', { ...disk, files: { 'device/type': 'SD\n' } }, {}, /removable/],
  ['on USB', { ...disk, bus: 'pci0000:00/usb2/2-1' }, {}, /removable/],
  ['read-only', { ...disk, isReadOnly: true }, {}, /read-only/],
  ['no hardware', { ...disk, isBare: true }, {}, /no disk of hardware/],
  ['held by a program', { ...disk, isHeld: true }, {}, /in use by a program/],
  [
    'mounted',
    disk,
    { 'proc/self/mountinfo': '36 25 8:0 / /mnt rw - ext4 /dev/bad rw\n' },
    /mounted on \/mnt/,
  ],
  [
    'what the system runs from',
    { ...disk, files: { 'bad1/dev': '8:1\n', 'bad1/partition': '1\n' } },
    { 'proc/self/mountinfo': '36 25 8:1 / / rw - ext4 /dev/bad1 rw\n' },
    /the system runs from it \(its partition bad1/,
  ],
  [
    'part of a volume',
    { ...disk, files: { 'holders/dm-0/dev': '254:0\n' } },
    {},
    /held by dm-0 \(LVM, RAID or encryption\)/,
  ],
  ['swap', disk, { 'proc/swaps': 'Filename\n/dev/bad partition 1 0 -2\n' }, /swap space/],
];

for (const [what, bad, files, text] of objections) {
  test(`a disk that is ${what} is passed over, and named when there is no other`, (t) => {
    const both = machineWith(t, { bad, good: disk }, files);
    refuseChoiceEarly(both);
    assert.equal(chooseDisk(IMAGE_BYTES, both), '/dev/good');
    const alone = machineWith(t, { bad }, files);
    const refused = failsWith('NO_DISK', new RegExp(`/dev/bad, 512 MB.*${text.source}`));
    assert.throws(() => chooseDisk(IMAGE_BYTES, alone), refused);
    assert.throws(() => refuseChoiceEarly(alone), refused);
  });
}

test('where no disk can take the image, nobody is told to free one', (t) => {
  const files = { 'bad1/dev': '8:1\n', 'bad1/partition': '1\n' };
  const lines = ['36 25 8:1 / / rw - ext4 /dev/bad1 rw', '37 25 8:16 / /mnt rw - ext4 /dev/b rw'];
  const mounts = { 'proc/self/mountinfo': `${lines.join('\n')}\n` };
  const system: FakeDisk = { ...disk, files };
  const alone = machineWith(t, { bad: system }, mounts);
  const none = failsWith('NO_DISK', /^no disk of this machine can take the image/);
  assert.throws(() => refuseChoiceEarly(alone), none);
  assert.throws(() => chooseDisk(IMAGE_BYTES, alone), none);
  const mounted = machineWith(t, { bad: system, data: disk }, mounts);
  const free = failsWith('NO_DISK', /; free one that is in use, or name .*mounted on \/mnt/s);
  assert.throws(() => chooseDisk(IMAGE_BYTES, mounted), free);
  const small = failsWith('NO_DISK', /^no disk of this.*mounted on \/mnt, too small for/s);
  assert.throws(() => chooseDisk(IMAGE_BYTES * 100, mounted), small);
});

test('of several that fit none is chosen, and all are named', (t) => {
  const serial = { 'device/serial': 'S3R1AL\n' };
  const machine = machineWith(t, { sda: disk, sdb: { megabytes: 2000, files: serial } });
  assert.throws(
    () => chooseDisk(IMAGE_BYTES, machine),
    failsWith(
      'SEVERAL_DISKS',
      /\/dev\/sda, 512 MB, Model sda\n {2}\/dev\/sdb, 2\.05 GB, Model sdb, serial S3R1AL$/,
    ),
  );
  // A large image would fit only one of them.
  refuseChoiceEarly(machine);
  assert.equal(chooseDisk(1000 * MEGABYTE, machine), '/dev/sdb');
});

test('two of one size are refused before any server is found', (t) => {
  const machine = machineWith(t, { sda: disk, sdb: disk, sdc: { megabytes: 10 } });
  assert.throws(() => refuseChoiceEarly(machine), failsWith('SEVERAL_DISKS', /sda.*sdb.*sdc/s));
});

test('a machine without disks says so', (t) => {
  const machine = machineWith(t, {});
  assert.throws(() => chooseDisk(1, machine), failsWith('NO_DISK', /shows no disk/));
  assert.throws(() => refuseChoiceEarly(machine), failsWith('NO_DISK', /shows no disk/));
});

test('the serial number of a virtual disk is found', (t) => {
  const machine = machineWith(t, { vda: { megabytes: 10, files: { serial: 'V1RT\n' } } });
  assert.throws(
    () => chooseDisk(IMAGE_BYTES, machine),
    failsWith('NO_DISK', /\/dev\/vda, 10\.2 MB, Model vda, serial V1RT: too small/),
  );
});
