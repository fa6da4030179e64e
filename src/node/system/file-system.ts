/** What can be relied on of a file system. */

import { statfsSync } from 'node:fs';

/** File systems whose time of change moves with each write, and cannot be set (linux/magic.h). */
const DATING_FILE_SYSTEMS = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0xca451a4e, // bcachefs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
]);

/**
 * File systems in memory: they write nothing to a disk, after which a page would be watched again.
 */
const UNDATED_STORES = new Set([
  0x01021994, // tmpfs
  0x858458f6, // ramfs
]);

/** The file system's number (linux/magic.h). @throws when the path leads nowhere */
export function fileSystemOf(path: string): number {
  return statfsSync(path).type >>> 0;
}

/** Whether each write leaves another time of change, by the system's own clock. */
export function datesChanges(fileSystem: number): boolean {
  return DATING_FILE_SYSTEMS.has(fileSystem);
}

/** Whether what a program stores through memory that it mapped leaves another time of change. */
export function datesMappedStores(fileSystem: number): boolean {
  return !UNDATED_STORES.has(fileSystem);
}
