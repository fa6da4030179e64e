/**
 * Holds what is said to be unused of an XFS against what each allocation group counts by itself:
 * the blocks in its trees of free space, and those in its list for the trees' own use. Source of
 * the layout: the kernel's `xfs_format.h`.
 */
import type { ReadBytes } from '../../image/partition-table.js';
import type { UsedMap } from '../../image/used-map.js';
import { Unreadable } from './unreadable.js';

/** @throws Unreadable when a group counts otherwise */
export function checkGroups(map: UsedMap, read: ReadBytes): void {
  const superblock = read(0, 512);
  const blockBytes = superblock.readUInt32BE(4);
  const blockCount = Number(superblock.readBigUInt64BE(8));
  const groupBlocks = superblock.readUInt32BE(84);
  const groupCount = superblock.readUInt32BE(88);
  const sectorBytes = superblock.readUInt16BE(102);
  for (let group = 0; group < groupCount; group++) {
    const start = group * groupBlocks * blockBytes;
    const end = Math.min((group + 1) * groupBlocks, blockCount) * blockBytes;
    const header = read(start + sectorBytes, 64);
    if (header.length < 64 || header.toString('latin1', 0, 4) !== 'XAGF') {
      throw new Unreadable('an allocation group of it cannot be read');
    }
    const freeBlocks = header.readUInt32BE(52) + header.readUInt32BE(48);
    let unusedBytes = 0;
    map.forEachUnused(start, end, (from, to) => {
      unusedBytes += to - from;
    });
    if (unusedBytes !== freeBlocks * blockBytes) {
      throw new Unreadable('an allocation group of it has not as many free blocks as it says');
    }
  }
}
