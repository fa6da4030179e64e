import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { deviceNumber } from '../../src/node/system/device-number.js';
import { BlockDevice, loopsOn, type SystemFiles } from '../../src/node/target/block-device.js';

/** A system with disk sda (8:0), its partition sda1 (8:1), and disk sdb (8:16). */
function systemWith(t: TestContext, files: Record<string, string>): SystemFiles {
  const root = mkdtempSync(join(tmpdir(), 'system-'));
  t.after(() => rmSync(root, { recursive: true }));
  const all: Record<string, string> = {
    'sys/block/sda/dev': '8:0\n',
    'sys/block/sda/size': '2048\n',
    'sys/block/sda/ro': '0\n',
    'sys/block/sda/sda1/dev': '8:1\n',
    'sys/block/sda/sda1/partition': '1\n',
    'sys/block/sda/device/model': 'QEMU HARDDISK   \n',
    'sys/block/sdb/dev': '8:16\n',
    'sys/block/dm-0/dev': '254:0\n',
    'sys/block/dm-0/dm/name': 'vg-root\n',
    'proc/self/mountinfo': '',
    'proc/swaps': 'Filename Type Size Used Priority\n',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const links = { '8:0': 'sda', '8:1': 'sda/sda1', '8:16': 'sdb', '254:0': 'dm-0' };
  mkdirSync(join(root, 'sys/dev/block'), { recursive: true });
  for (const [number, path] of Object.entries(links)) {
    symlinkSync(`../../block/${path}`, join(root, 'sys/dev/block', number));
  }
  const numbers: Record<string, string> = {
    '/dev/sda': '8:0',
    '/dev/sda1': '8:1',
    '/dev/sdb': '8:16',
  };
  return { root, deviceOf: (path) => numbers[path] ?? null };
}

const usesOf = (number: string, files: SystemFiles): string[] =>
  new BlockDevice(number, files).uses().map(({ kind, text }) => `${kind}: ${text}`);

test('device numbers are written as the system writes them', () => {
  assert.equal(deviceNumber(0x0801n), '8:1');
  assert.equal(deviceNumber((1n << 20n) | (7n << 8n) | 4n), '7:260');
  assert.equal(deviceNumber((259n << 8n) | 3n), '259:3');
});

test('a disk that nobody uses has its size, its name and its partitions', (t) => {
  const udev = {
    'run/udev/data/b8:0': 'S:disk/by-id/x\nE:ID_SERIAL_SHORT=S3R1AL\nE:ID_MODEL=Fast_Disk\n',
  };
  const device = new BlockDevice('8:0', systemWith(t, udev));
  assert.deepEqual(device.uses(), []);
  assert.equal(device.sizeBytes, 2048 * 512);
  assert.equal(device.isReadOnly, false);
  assert.equal(device.identity, 'Fast Disk, serial S3R1AL');
  assert.deepEqual(device.partitions, ['sda1']);
  assert.equal(new BlockDevice('8:0', systemWith(t, {})).identity, 'QEMU HARDDISK');
});

test('a partition is known by the model of its disk', (t) => {
  assert.equal(new BlockDevice('8:1', systemWith(t, {})).identity, 'QEMU HARDDISK');
  const udev = { 'run/udev/data/b8:0': 'E:ID_SERIAL_SHORT=S3R1AL\nE:ID_MODEL=Fast_Disk\n' };
  const device = new BlockDevice('8:1', systemWith(t, udev));
  assert.equal(device.identity, 'Fast Disk, serial S3R1AL');
});

test('a disk shares its bytes with its partitions, a loop device with its file', (t) => {
  const files = systemWith(t, { 'sys/block/sdb/loop/backing_file': '/srv/a.img\n' });
  const overlapping = (number: string) =>
    new BlockDevice(number, files).overlapping.map((path) => path.replace(files.root, ''));
  assert.deepEqual(overlapping('8:0'), ['/dev/sda1']);
  assert.deepEqual(overlapping('8:1'), ['/dev/sda']);
  assert.deepEqual(overlapping('8:16'), ['/srv/a.img']);
});

test('a mounted partition forbids its disk, and itself, but not another disk', (t) => {
  const mountinfo = '36 25 8:1 / /mnt/with\\040space rw - ext4 /dev/sda1 rw\n';
  const files = systemWith(t, { 'proc/self/mountinfo': mountinfo });
  assert.deepEqual(usesOf('8:0', files), [
    'mounted: its partition sda1 is mounted on /mnt/with space',
  ]);
  assert.deepEqual(usesOf('8:1', files), ['mounted: it is mounted on /mnt/with space']);
  assert.deepEqual(usesOf('8:16', files), []);
});

test('the system disk is known through a volume on one of its partitions', (t) => {
  const files = systemWith(t, {
    'sys/block/sda/sda1/holders/dm-0/dev': '254:0\n',
    'sys/block/sda/sda1/holders/dm-0/dm/name': 'vg-root\n',
    'proc/self/mountinfo': '25 1 254:0 / / rw - ext4 /dev/mapper/vg-root rw\n',
  });
  const uses = new BlockDevice('8:0', files).uses();
  assert.deepEqual(
    uses.map(({ kind }) => kind),
    ['system', 'holder'],
  );
  assert.match(uses[1]!.text, /sda1 is held by vg-root/);
});

test('a file system with a number of its own is known by its source', (t) => {
  const files = systemWith(t, {
    'proc/self/mountinfo': '40 25 0:38 / /data rw - btrfs /dev/sdb rw\n',
  });
  assert.deepEqual(usesOf('8:16', files), ['mounted: it is mounted on /data']);
});

test('swap space and loop devices count as use', (t) => {
  const files = systemWith(t, {
    'proc/swaps': 'Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n',
    'sys/block/loop3/loop/backing_file': '/dev/sdb\n',
  });
  assert.deepEqual(usesOf('8:0', files), ['swap: its partition sda1 is swap space in use']);
  assert.deepEqual(usesOf('8:16', files), ['loop: loop device loop3 is set up on it']);
});

test('loop devices on a file are found by its path', (t) => {
  const files = systemWith(t, { 'sys/block/loop3/loop/backing_file': '/srv/a.img\n' });
  assert.deepEqual(loopsOn('/srv/a.img', files), ['loop3']);
  assert.deepEqual(loopsOn('/srv/b.img', files), []);
});
