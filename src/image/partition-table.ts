/**
 * What an image's first sectors say of the disk that it was made for. Partition tables count in
 * sectors: one that was made for sectors of 512 bytes means other places on a disk with 4096.
 * Sources: UEFI specification 2.10, chapter 5 (GPT); the layouts of the file systems named below.
 */

/** Bytes at a place of the image, or fewer at its end. */
export type ReadBytes = (offsetBytes: number, lengthBytes: number) => Buffer;

const SECTOR_SIZES = [512, 4096] as const;
const MBR_SIGNATURE_OFFSET = 510;
const MBR_ENTRIES_OFFSET = 446;
const MBR_ENTRY_BYTES = 16;
const GPT_SIGNATURE = Buffer.from('EFI PART');
/** Type of the one entry that a protective MBR has. */
const GPT_PROTECTIVE = 0xee;

/** Marks of what a partition begins with. */
const MARKS: readonly [offsetBytes: number, mark: Buffer][] = [
  [3, Buffer.from('NTFS    ')],
  [3, Buffer.from('EXFAT   ')],
  [54, Buffer.from('FAT1')],
  [82, Buffer.from('FAT32   ')],
  [0, Buffer.from('XFSB')],
  [512, Buffer.from('LABELONE')],
  [1080, Buffer.from([0x53, 0xef])], // ext2, ext3, ext4
  [4086, Buffer.from('SWAPSPACE2')],
  [65_600, Buffer.from('_BHRfS_M')], // btrfs
];
const MARKED_BYTES = 65_608;

/** @returns 512 or 4096; 0 when the image has no partition table, or one that does not tell */
export function sectorSizeOf(read: ReadBytes): number {
  const mbr = read(0, 512);
  if (mbr.length < 512 || mbr.readUInt16LE(MBR_SIGNATURE_OFFSET) !== 0xaa55) return 0;
  for (const sectorSizeBytes of SECTOR_SIZES) {
    if (read(sectorSizeBytes, 8).equals(GPT_SIGNATURE)) return sectorSizeBytes;
  }
  return sectorSizeOfMbr(mbr, read);
}

/** An MBR does not say what it counts in: where its partitions really begin does. */
function sectorSizeOfMbr(mbr: Buffer, read: ReadBytes): number {
  for (let entry = 0; entry < 4; entry++) {
    const at = MBR_ENTRIES_OFFSET + entry * MBR_ENTRY_BYTES;
    const type = mbr[at + 4]!;
    const firstSector = mbr.readUInt32LE(at + 8);
    if (type === 0 || type === GPT_PROTECTIVE || firstSector === 0) continue;
    for (const sectorSizeBytes of SECTOR_SIZES) {
      if (isMarked(read(firstSector * sectorSizeBytes, MARKED_BYTES))) return sectorSizeBytes;
    }
  }
  return 0;
}

function isMarked(bytes: Buffer): boolean {
  return MARKS.some(([offsetBytes, mark]) =>
    bytes.subarray(offsetBytes, offsetBytes + mark.length).equals(mark),
  );
}

/** Something that an earlier system left behind the image's end. */
export interface Leftover {
  /** For people: 'a second GPT header'. */
  what: string;
  offsetBytes: number;
  lengthBytes: number;
}

const ALTERNATE_OFFSET = 32;

/** Where the first header says that the second one is, in bytes; null when there is no GPT. */
export function secondHeaderPlace(read: ReadBytes, sectorSizeBytes: number): number | null {
  const header = read(sectorSizeBytes, ALTERNATE_OFFSET + 8);
  const isHeader = header.length === ALTERNATE_OFFSET + 8;
  if (!isHeader || !header.subarray(0, 8).equals(GPT_SIGNATURE)) return null;
  return Number(header.readBigUInt64LE(ALTERNATE_OFFSET)) * sectorSizeBytes;
}

const MD_MAGIC = 0xa92b4efc;

/**
 * Labels of an earlier system on a disk that is larger than the image: systems look for them at the
 * disk's end, and where partitions began.
 * @param starts where partitions of the earlier system began, in bytes
 */
export function findLeftovers(
  read: ReadBytes,
  imageBytes: number,
  diskBytes: number,
  starts: readonly number[],
): Leftover[] {
  const found: Leftover[] = [];
  const note = (what: string, offsetBytes: number, lengthBytes: number): void => {
    if (offsetBytes >= imageBytes && offsetBytes < diskBytes) {
      found.push({ what, offsetBytes, lengthBytes });
    }
  };
  for (const sectorSizeBytes of SECTOR_SIZES) {
    const at = diskBytes - sectorSizeBytes;
    if (at < imageBytes || secondHeaderPlace(read, sectorSizeBytes) === at) continue;
    if (read(at, 8).equals(GPT_SIGNATURE)) {
      note('the second header of an earlier GPT', at, sectorSizeBytes);
    }
  }
  for (const start of [...starts.filter((start) => start >= imageBytes), diskBytes]) {
    // RAID labels of version 0.90 and 1.0 lie at the end, of 1.1 and 1.2 at the beginning.
    const oldPlace = Math.floor(diskBytes / 65_536) * 65_536 - 65_536;
    const newPlace = Math.floor((diskBytes - 8192) / 4096) * 4096;
    const places = start === diskBytes ? [oldPlace, newPlace] : [start, start + 4096];
    for (const at of places.filter((place) => place >= imageBytes)) {
      const bytes = read(at, 4);
      if (bytes.length === 4 && bytes.readUInt32LE() === MD_MAGIC) {
        note('the label of a Linux RAID', at, 4096);
      }
    }
    for (let sector = 0; start < diskBytes && sector < 4; sector++) {
      const at = start + sector * 512;
      if (read(at, 8).equals(Buffer.from('LABELONE'))) note('the label of an LVM volume', at, 512);
    }
  }
  return found;
}
