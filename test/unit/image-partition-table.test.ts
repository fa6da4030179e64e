import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findLeftovers, sectorSizeOf } from '../../src/image/partition-table.js';

const readerOf = (disk: Buffer) => (offsetBytes: number, lengthBytes: number) =>
  disk.subarray(offsetBytes, offsetBytes + lengthBytes);

/** A disk of a MiB whose MBR has one partition of a type, from a sector on. */
function mbrDisk(type: number, firstSector: number): Buffer {
  const disk = Buffer.alloc(1 << 20);
  disk[450] = type;
  disk.writeUInt32LE(firstSector, 454);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

test('a GPT counts in the sectors that its header lies behind', () => {
  for (const sectorSizeBytes of [512, 4096]) {
    const disk = mbrDisk(0xee, 1);
    disk.write('EFI PART', sectorSizeBytes);
    assert.equal(sectorSizeOf(readerOf(disk)), sectorSizeBytes);
  }
  assert.equal(sectorSizeOf(readerOf(mbrDisk(0xee, 1))), 0, 'a protective MBR alone');
});

test('an MBR counts in the sectors by which its partitions begin with a file system', () => {
  const marks: [number, Buffer][] = [
    [1080, Buffer.from([0x53, 0xef])],
    [3, Buffer.from('NTFS    ')],
    [0, Buffer.from('XFSB')],
    [65_600, Buffer.from('_BHRfS_M')],
  ];
  for (const sectorSizeBytes of [512, 4096]) {
    for (const [offset, mark] of marks) {
      const disk = mbrDisk(0x83, 100);
      mark.copy(disk, 100 * sectorSizeBytes + offset);
      assert.equal(sectorSizeOf(readerOf(disk)), sectorSizeBytes);
    }
  }
  assert.equal(sectorSizeOf(readerOf(mbrDisk(0x83, 100))), 0, 'nothing known is there');
  assert.equal(sectorSizeOf(readerOf(Buffer.alloc(1 << 20))), 0, 'no table');
});

test('property: whatever the first sectors hold, they can be asked', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
      const disk = Buffer.from(bytes);
      if (disk.length >= 512) disk.writeUInt16LE(0xaa55, 510);
      assert([0, 512, 4096].includes(sectorSizeOf(readerOf(disk))));
      findLeftovers(readerOf(disk), 100, disk.length, [0, 512, 2 ** 40]);
    }),
  );
});

test('labels behind the image are found, and none that lie in it', () => {
  const diskBytes = 1 << 20;
  const start = 600 * 1024;
  const raid = Buffer.from([0xfc, 0x4e, 0x2b, 0xa9]);
  const places: [string, number, Buffer][] = [
    ['GPT', diskBytes - 512, Buffer.from('EFI PART')],
    ['GPT', diskBytes - 4096, Buffer.from('EFI PART')],
    ['RAID', diskBytes - 65_536, raid],
    ['RAID', diskBytes - 8192, raid],
    ['RAID', start + 4096, raid],
    ['LVM', start + 512, Buffer.from('LABELONE')],
  ];
  for (const [what, offsetBytes, mark] of places) {
    const disk = Buffer.alloc(diskBytes);
    mark.copy(disk, offsetBytes);
    const found = findLeftovers(readerOf(disk), 512 * 1024, diskBytes, [start]);
    assert.deepEqual(
      found.map((leftover) => leftover.offsetBytes),
      [offsetBytes],
    );
    assert(found[0]!.what.includes(what));
    assert.deepEqual(findLeftovers(readerOf(disk), diskBytes, diskBytes, [start]), []);
  }
});
