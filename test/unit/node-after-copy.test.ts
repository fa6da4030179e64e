/** What is said of a disk that is larger than the image that was copied to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { behindImageTexts } from '../../src/node/target/after-copy.js';

const SECTOR_BYTES = 512;
const IMAGE_BYTES = 1 << 20;
const DISK_BYTES = 2 << 20;
const RAID_PLACE = DISK_BYTES - 8192;

/** A disk whose first header says that the second one is at this place; null for no GPT. */
function diskWith(secondPlace: number | null, marks: [number, Buffer][]): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  if (secondPlace !== null) {
    disk.write('EFI PART', SECTOR_BYTES);
    disk.writeBigUInt64LE(BigInt(secondPlace / SECTOR_BYTES), SECTOR_BYTES + 32);
  }
  for (const [place, mark] of marks) mark.copy(disk, place);
  return disk;
}

function textOf(disk: Buffer, sectorBytes: number | null = SECTOR_BYTES): string {
  const read = (at: number, lengthBytes: number) => disk.subarray(at, at + lengthBytes);
  const sizes = [IMAGE_BYTES, DISK_BYTES, sectorBytes] as const;
  return behindImageTexts('/dev/sdx', read, ...sizes, []).join('\n');
}

const AT_END = DISK_BYTES - SECTOR_BYTES;
const AT_IMAGE_END = IMAGE_BYTES - SECTOR_BYTES;
const header: [number, Buffer] = [AT_END, Buffer.from('EFI PART')];
const raid: [number, Buffer] = [RAID_PLACE, Buffer.from([0xfc, 0x4e, 0x2b, 0xa9])];

test('the second header of the table in force is no leftover', () => {
  assert.equal(textOf(diskWith(AT_END, [header])), '');
});

test('where the second GPT may still be moved to, no command clears the place', () => {
  const text = textOf(diskWith(AT_IMAGE_END, [header, raid]));
  assert.match(text, /second header of an earlier GPT, at byte \d+ of \S+; --fit overwrites it$/m);
  assert.match(text, /Linux RAID, at byte \d+ of \S+; --fit overwrites it$/m);
  assert.doesNotMatch(text, /dd if=/);
});

test('a command clears what nothing else will', () => {
  assert.match(
    textOf(diskWith(null, [header])),
    /dd if=\/dev\/zero of=\/dev\/sdx bs=512 seek=4095 /,
  );
  assert.match(textOf(diskWith(AT_END, [header, raid])), /^behind .* RAID.*dd if=\S+ .*seek=4080 /);
  const far: [number, Buffer] = [DISK_BYTES - 65_536, raid[1]];
  assert.match(textOf(diskWith(AT_IMAGE_END, [far])), /dd if=\S+ of=\S+ bs=512 seek=3968 /);
});

test('a GPT that ends before its disk does is named, with what moves it', () => {
  assert.match(
    textOf(diskWith(AT_IMAGE_END, [])),
    /^\/dev\/sdx is larger than the image, whose second GPT .*--resume --fit, or 'sgdisk --move/,
  );
  assert.equal(textOf(diskWith(AT_IMAGE_END, []), null), '', 'a partition has none to move');
  assert.equal(textOf(diskWith(AT_END, [])), '');
  assert.equal(textOf(diskWith(null, [])), '');
});
