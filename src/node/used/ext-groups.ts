/**
 * What is unused of an ext4 that counts in clusters of blocks (bigalloc), from `dumpe2fs`:
 * partclone 0.3.23 gives up there. Ranges that it prints are of clusters, each named by its
 * first block.
 */
import type { ByteRun } from '../../image/used-map.js';
import { Unreadable } from './unreadable.js';

const RO_COMPAT_BIGALLOC = 0x200;

interface ExtLayout {
  blockSizeBytes: number;
  clusterBlocks: number;
  blockCount: number;
  freeBlocks: number;
}

/** @param superblock its 1024 bytes */
export function extLayoutOf(superblock: Buffer): ExtLayout {
  const is64Bit = (superblock.readUInt32LE(0x60) & 0x80) !== 0;
  const wide = (low: number, high: number): number =>
    superblock.readUInt32LE(low) + (is64Bit ? superblock.readUInt32LE(high) * 2 ** 32 : 0);
  const isBigalloc = (superblock.readUInt32LE(0x64) & RO_COMPAT_BIGALLOC) !== 0;
  const logBlock = superblock.readUInt32LE(0x18);
  const logCluster = isBigalloc ? superblock.readUInt32LE(0x1c) : logBlock;
  if (logBlock > 6 || logCluster < logBlock || logCluster > 20) {
    throw new Unreadable('its superblock cannot be understood');
  }
  return {
    blockSizeBytes: 1024 << logBlock,
    clusterBlocks: 1 << (logCluster - logBlock),
    blockCount: wide(0x04, 0x150),
    freeBlocks: wide(0x0c, 0x158),
  };
}

/** Reads what `dumpe2fs` prints. */
export class FreeClusters {
  private readonly unused: ByteRun[] = [];
  private foundClusters = 0;
  private groupClusters = 0;
  private toldClusters = 0;
  private previousEnd = 0;

  constructor(private readonly layout: ExtLayout) {}

  /** @throws Unreadable for what it does not understand */
  line(text: string): void {
    const told = /^ {2}(\d+) free clusters, /.exec(text)?.[1];
    if (told !== undefined) this.toldClusters = Number(told);
    const list = /^ {2}Free blocks: (.*)$/.exec(text)?.[1];
    if (list === undefined) return;
    this.groupClusters = 0;
    for (const range of list.split(', ')) if (range !== '') this.take(range);
    if (this.groupClusters !== this.toldClusters) {
      throw new Unreadable('a group of it has not as many free clusters as it says');
    }
  }

  private take(range: string): void {
    const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    const { clusterBlocks, blockSizeBytes, blockCount } = this.layout;
    const first = Number(from);
    const last = Number(to ?? from);
    const count = (last - first) / clusterBlocks + 1;
    const isSane = Number.isInteger(count) && count > 0 && first >= this.previousEnd;
    if (!isSane || last >= blockCount) throw new Unreadable('its free blocks are nonsense');
    this.previousEnd = last + clusterBlocks;
    this.groupClusters += count;
    this.foundClusters += count;
    const end = Math.min(this.previousEnd, blockCount);
    this.unused.push({ start: first * blockSizeBytes, end: end * blockSizeBytes });
  }

  /** @throws Unreadable when it is not all that the superblock tells of */
  finish(): ByteRun[] {
    if (this.foundClusters * this.layout.clusterBlocks !== this.layout.freeBlocks) {
      throw new Unreadable('its free clusters are not as many as its superblock says');
    }
    return this.unused;
  }
}
