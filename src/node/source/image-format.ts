/**
 * Tells by a file's bytes, not by its name, in which form an image is stored. Sources: RFC 1952
 * (gzip), RFC 8878 (zstd and its skippable frames), the xz and LZ4 format descriptions, and the
 * format descriptions of QEMU, VMware, VirtualBox and Microsoft for virtual disks.
 */

/** What is unpacked as a stream, by a program of the system. */
export interface Packing {
  kind: 'packed';
  name: string;
  suffixes: readonly string[];
  command: string;
  args: readonly string[];
  /** The package of Debian that has the command. */
  debianPackage: string;
}

/** A virtual machine's disk, which `qemu-img` converts. */
export interface VirtualDisk {
  kind: 'virtual';
  name: string;
  suffixes: readonly string[];
  /** As `qemu-img` names it. */
  driver: string;
}

/** What partclone wrote: the used blocks of one file system. */
interface PartcloneImage {
  kind: 'partclone';
  name: string;
}

/** What has to be converted first. `convert` is the command, with FILE for the file. */
export interface Foreign {
  kind: 'foreign';
  name: string;
  convert: string;
}

export type ImageFormat = Packing | VirtualDisk | PartcloneImage | Foreign;

/** @returns bytes at a place, fewer at the file's end; negative places count from its end */
type ReadAt = (offsetBytes: number, lengthBytes: number) => Buffer;

const packed = (
  name: string,
  suffixes: string[],
  command: string,
  debianPackage: string,
  args = ['-dc'],
): Packing => ({ kind: 'packed', name, suffixes, command, args, debianPackage });

// Only when it is to tell much it tells of zeros behind the end.
const GZIP = packed('gzip', ['.gz', '.gzip'], 'gzip', 'gzip', ['-dcv']);
// Whoever packed with a long window wants it granted: up to 2 GiB of memory.
const ZSTD = packed('zstd', ['.zst', '.zstd'], 'zstd', 'zstd', ['-dc', '--long=31']);
const XZ = packed('xz', ['.xz'], 'xz', 'xz-utils');
const BZIP2 = packed('bzip2', ['.bz2'], 'bzip2', 'bzip2');
const LZ4 = packed('LZ4', ['.lz4'], 'lz4', 'lz4');

const disk = (name: string, driver: string, suffix: string): VirtualDisk => ({
  kind: 'virtual',
  name,
  suffixes: [suffix],
  driver,
});
const PARTCLONE: PartcloneImage = { kind: 'partclone', name: 'a partclone image' };
export const PARTCLONE_MARK = 'partclone-image';
const archive = (name: string, convert: string): Foreign => ({ kind: 'foreign', name, convert });

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');

/** What lies at which place. */
const MARKS: readonly [offsetBytes: number, mark: Buffer, format: ImageFormat][] = [
  [0, latin('\x1f\x8b\x08'), GZIP],
  [0, latin('\x28\xb5\x2f\xfd'), ZSTD],
  [0, latin('\xfd7zXZ\0'), XZ],
  [0, latin('\x04\x22\x4d\x18'), LZ4],
  [0, latin('\x02\x21\x4c\x18'), LZ4],
  [0, latin('PK\x03\x04'), archive('a zip archive', 'unzip -p FILE > disk.img')],
  [0, latin('7z\xbc\xaf\x27\x1c'), archive('a 7z archive', '7z e -so FILE > disk.img')],
  [0, latin('QFI\xfb'), disk('a qcow2 disk', 'qcow2', '.qcow2')],
  [0, latin('KDMV'), disk('a VMDK disk', 'vmdk', '.vmdk')],
  [0, latin('# Disk DescriptorFile'), disk('the description of a VMDK disk', 'vmdk', '.vmdk')],
  [64, latin('\x7f\x10\xda\xbe'), disk('a VDI disk', 'vdi', '.vdi')],
  [0, latin('conectix'), disk('a VHD disk', 'vpc', '.vhd')],
  // A VHD of fixed size has its mark at its end alone.
  [-512, latin('conectix'), disk('a VHD disk', 'vpc', '.vhd')],
  [0, latin('vhdxfile'), disk('a VHDX disk', 'vhdx', '.vhdx')],
  [0, latin(PARTCLONE_MARK), PARTCLONE],
];

/** Skippable frames, before frames of zstd and LZ4 alike: 0x184D2A50 to 0x184D2A5F. */
const SKIPPABLE = 0x184d2a50;
const MAX_SKIPPED = 4096;

/** @returns null for what is served as it is: a raw image, as far as anybody can tell */
export function formatOf(read: ReadAt): ImageFormat | null {
  const first = afterSkippable(read);
  if (first > 0) {
    const mark = read(first, 4);
    return mark.equals(latin('\x04\x22\x4d\x18')) ? LZ4 : ZSTD;
  }
  if (isBzip2(read(0, 10))) return BZIP2;
  const found = MARKS.find(([at, mark]) => read(at, mark.length).equals(mark));
  return found === undefined ? null : found[2];
}

/** Where the first frame that holds content begins; 0 when no skippable frame is before it. */
function afterSkippable(read: ReadAt): number {
  let at = 0;
  for (let count = 0; count < MAX_SKIPPED; count++) {
    const header = read(at, 8);
    if (header.length < 8 || (header.readUInt32LE() & 0xfffffff0) >>> 0 !== SKIPPABLE) return at;
    at += 8 + header.readUInt32LE(4);
  }
  return at;
}

/** Its own mark is short: the first block's, or that of the end, follows it. */
function isBzip2(first: Buffer): boolean {
  if (!/^BZh[1-9]$/.test(first.toString('latin1', 0, 4))) return false;
  const block = first.toString('hex', 4);
  return block === '314159265359' || block === '177245385090';
}

/** A file's name without the suffix of its packing. */
export function unpackedName(fileName: string, { suffixes }: Pick<Packing, 'suffixes'>): string {
  const suffix = suffixes.find((end) => fileName.toLowerCase().endsWith(end));
  return suffix === undefined ? fileName : fileName.slice(0, -suffix.length);
}
