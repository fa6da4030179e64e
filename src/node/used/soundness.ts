/**
 * Whether a file system was left in order. One that was not may hold newer truth in its journal
 * than in its map of used blocks: what the map calls free may be in use. The programs that read
 * the maps do not all look at this, so it is looked at here.
 *
 * Sources of the layouts: the kernel's `ext4_fs.h`, `xfs_format.h` and `btrfs_tree.h`; Microsoft's
 * specifications of FAT (2005) and exFAT (2019); the documentation of Linux-NTFS on `$LogFile`.
 */

import type { ReadBytes } from '../../image/partition-table.js';
import { head, lastWords, read } from '../system/tool.js';
import type { Content } from './partitions.js';
import { Unreadable } from './unreadable.js';

const PIECE_BYTES = 1024 * 1024;

/** A file system that was not left in order. */
export class Unclean extends Error {
  override readonly name = 'Unclean';

  /**
   * @param why a clause
   * @param remedy what to do, as a clause
   */
  constructor(
    readonly why: string,
    readonly remedy: string,
  ) {
    super(why);
  }
}

/** One file system to look at. */
export interface Subject {
  content: Content;
  /** A block device that holds it alone. */
  path: string;
  sizeBytes: number;
  read: ReadBytes;
}

type Check = (subject: Subject, signal: AbortSignal) => Promise<void> | void;

const CHECKS: Record<string, Check> = {
  ext2: checkExt,
  ext3: checkExt,
  ext4: checkExt,
  xfs: checkXfs,
  vfat: checkFat,
  exfat: checkExfat,
  ntfs: checkNtfs,
  btrfs: checkBtrfs,
};

/**
 * @throws Unclean when it was not left in order
 * @throws Unreadable when that cannot be told, or what is used cannot
 */
export async function checkSoundness(subject: Subject, signal: AbortSignal): Promise<void> {
  await CHECKS[subject.content.type]?.(subject, signal);
}

function bytesAt({ read }: Subject, offsetBytes: number, lengthBytes: number): Buffer {
  const bytes = read(offsetBytes, lengthBytes);
  if (bytes.length < lengthBytes) throw new Unreadable('its first sectors cannot be read');
  return bytes;
}

function checkExt(subject: Subject): void {
  const NEEDS_RECOVERY = 0x4;
  const VALID = 0x1;
  const HAS_ERRORS = 0x2;
  const superblock = bytesAt(subject, 1024, 1024);
  const state = superblock.readUInt16LE(0x3a);
  const remedy = 'check it with e2fsck, or mount and unmount it';
  if ((superblock.readUInt32LE(0x60) & NEEDS_RECOVERY) !== 0) {
    throw new Unclean('its journal was not played back', remedy);
  }
  if ((state & HAS_ERRORS) !== 0) throw new Unclean('the kernel found errors in it', remedy);
  if ((state & VALID) === 0) throw new Unclean('it was not unmounted', remedy);
}

async function checkXfs(subject: Subject, signal: AbortSignal): Promise<void> {
  const KNOWN_FEATURES = 0x3f;
  const NEEDS_REPAIR = 0x10;
  const superblock = bytesAt(subject, 0, 512);
  const isVersion5 = (superblock.readUInt16BE(100) & 0xf) === 5;
  const features = isVersion5 ? superblock.readUInt32BE(216) : 0;
  if ((features & NEEDS_REPAIR) !== 0) throw new Unclean('it needs repair', 'run xfs_repair on it');
  if ((features & ~KNOWN_FEATURES) !== 0) throw new Unreadable('it has features that are new');
  // Partclone counts its blocks in 32 bits.
  if (superblock.readBigUInt64BE(8) >= 2n ** 32n) throw new Unreadable('it is too large');
  const args = ['-t', subject.path];
  const end = await read({ command: 'xfs_logprint', args, debianPackage: 'xfsprogs' }, signal);
  if (/state: <CLEAN>/.test(end.text)) return;
  if (/state: <DIRTY>/.test(end.text)) {
    throw new Unclean('its log was not played back', 'mount and unmount it');
  }
  throw new Unreadable(`its log cannot be read: ${lastWords(end)}`);
}

function checkFat(subject: Subject): void {
  const { version } = subject.content;
  // Its entries are read wrongly by partclone 0.3.23, and it is small anyway.
  if (version !== 'FAT16' && version !== 'FAT32') throw new Unreadable('no tool reads it rightly');
  const isFat32 = version === 'FAT32';
  const boot = bytesAt(subject, 0, 512);
  const remedy = 'check it with fsck.vfat, or eject it where it is in use';
  const state = boot[isFat32 ? 0x41 : 0x25]!;
  if ((state & 0x3) !== 0) throw new Unclean('it was not unmounted', remedy);
  const ONE_FAT_IS_ACTIVE = 0x80;
  if (isFat32 && (boot.readUInt16LE(0x28) & ONE_FAT_IS_ACTIVE) !== 0) {
    throw new Unreadable('it uses one of its allocation tables alone');
  }
  const tableAt = boot.readUInt16LE(0x0b) * boot.readUInt16LE(0x0e);
  const second = bytesAt(subject, tableAt, 8);
  const isInOrder = isFat32
    ? (second.readUInt32LE(4) & 0x0c000000) === 0x0c000000
    : (second.readUInt16LE(2) & 0xc000) === 0xc000;
  if (!isInOrder) throw new Unclean('it was not unmounted', remedy);
  const tableSectors = boot.readUInt16LE(0x16) || boot.readUInt32LE(0x24);
  if (boot[0x10] === 2) compareTables(subject, tableAt, tableSectors * boot.readUInt16LE(0x0b));
}

/** Two allocation tables that differ were damaged, or not written to their end. */
function compareTables(subject: Subject, offsetBytes: number, lengthBytes: number): void {
  for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
    const pieceBytes = Math.min(PIECE_BYTES, lengthBytes - at);
    const one = bytesAt(subject, offsetBytes + at, pieceBytes);
    const other = bytesAt(subject, offsetBytes + lengthBytes + at, pieceBytes);
    if (!one.equals(other)) throw new Unreadable('its two allocation tables differ');
  }
}

async function checkExfat(subject: Subject, signal: AbortSignal): Promise<void> {
  const SECOND_IS_ACTIVE = 0x1;
  const DIRTY = 0x2;
  const flags = bytesAt(subject, 0, 512).readUInt16LE(0x6a);
  if ((flags & DIRTY) !== 0) {
    throw new Unclean('it was not unmounted', 'check it with fsck.exfat');
  }
  if ((flags & SECOND_IS_ACTIVE) !== 0) throw new Unreadable('its second bitmap is the active one');
  const tool = { command: 'fsck.exfat', args: ['-n', subject.path], debianPackage: 'exfatprogs' };
  const end = await read(tool, signal);
  if (end.status !== 0) throw new Unreadable(`fsck.exfat finds fault with it: ${lastWords(end)}`);
}

function checkBtrfs(subject: Subject): void {
  const superblock = bytesAt(subject, 65_536, 4096);
  if (superblock.readBigUInt64LE(0x60) !== 0n) {
    throw new Unclean('its log was not played back', 'mount and unmount it');
  }
  if (superblock.readBigUInt64LE(0x88) !== 1n) throw new Unreadable('it spans several devices');
}

/** Windows keeps what it knows of a hibernated volume in memory: the disk tells old things. */
async function checkNtfs({ path }: Subject, signal: AbortSignal): Promise<void> {
  const remedy = 'start Windows and shut it down whole (shutdown /s /f /t 0)';
  const cat = (args: string[]) => ({ command: 'ntfscat', args, debianPackage: 'ntfs-3g' });
  const log = await head(cat(['-i', '2', path]), 8192, signal);
  if (log.length < 8192) throw new Unreadable('its log cannot be read');
  if (!isLogClean(log)) throw new Unclean('it is in use, or was not unmounted', remedy);
  const hibernation = await head(cat([path, 'hiberfil.sys']), 4, signal);
  if (/^(hibr|rstr|wake)$/i.test(hibernation.toString('latin1'))) {
    throw new Unclean('Windows hibernates in it', remedy);
  }
  // It counts no free clusters that its map could be held against. This reads all files' places.
  const args = ['--info', '--no-progress-bar', '--bad-sectors', path];
  const end = await read({ command: 'ntfsresize', args, debianPackage: 'ntfs-3g' }, signal);
  if (end.status !== 0) throw new Unreadable(`ntfsresize finds fault with it: ${lastWords(end)}`);
}

/** @param log the first two pages of `$LogFile`, of 4096 bytes each: copies of the restart page */
export function isLogClean(log: Buffer): boolean {
  if (log.every((byte) => byte === 0xff)) return true;
  const NO_CLIENT = 0xffff;
  const IS_CLEAN = 0x2;
  let newest: { lsn: bigint; isClean: boolean } | null = null;
  for (const page of [log.subarray(0, 4096), log.subarray(4096, 8192)]) {
    const at = page.readUInt16LE(0x18);
    if (page.toString('latin1', 0, 4) !== 'RSTR' || at > 4096 - 16) continue;
    const lsn = page.readBigUInt64LE(at);
    const flags = page.readUInt16LE(at + 0xe);
    const isClean = page.readUInt16LE(at + 0xc) === NO_CLIENT || (flags & IS_CLEAN) !== 0;
    if (newest === null || lsn > newest.lsn) newest = { lsn, isClean };
  }
  return newest?.isClean === true;
}
