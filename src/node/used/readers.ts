/** Which program tells what is unused of a file system, and how each is asked. */

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ByteRun, UsedMap } from '../../image/used-map.js';
import { lastWords, run, type Tool } from '../system/tool.js';
import { ChunkTree, ExtentTree } from './btrfs-extents.js';
import { DomainLog } from './domain-log.js';
import { extLayoutOf, FreeClusters } from './ext-groups.js';
import type { Subject } from './soundness.js';
import { Unreadable } from './unreadable.js';
import { checkGroups } from './xfs-groups.js';

/** How it was found out, for the operator's table. */
export type Method = 'partclone' | 'dumpe2fs' | 'btrfs' | 'whole';

interface Found {
  /** Within the file system, from its beginning on. */
  unused: readonly ByteRun[];
  method: Method;
}

type Reader = (subject: Subject, signal: AbortSignal) => Promise<Found>;

/**
 * What is known to be read rightly: each was held against an independent reading. Partclone knows
 * more of them; a file system's users lose data where it errs.
 */
const READERS: Record<string, Reader> = {
  ext2: readExt,
  ext3: readExt,
  ext4: readExt,
  ntfs: (subject, signal) => readByPartclone('partclone.ntfs', subject, signal),
  vfat: (subject, signal) => readByPartclone('partclone.fat', subject, signal),
  exfat: (subject, signal) => readByPartclone('partclone.exfat', subject, signal),
  xfs: readXfs,
  btrfs: readBtrfs,
};

export const hasReader = (type: string): boolean => Object.hasOwn(READERS, type);

/**
 * @throws Unreadable when it cannot be told, or not be believed
 * @throws Failure when a program is missing
 */
export async function readUnused(subject: Subject, signal: AbortSignal): Promise<Found> {
  const reader = READERS[subject.content.type];
  if (reader === undefined) throw new Unreadable('no tool tells what is used of it');
  const found = await reader(subject, signal);
  for (const { start, end } of found.unused) {
    if (start < 0 || end <= start || end > subject.sizeBytes) {
      throw new Unreadable('its map reaches beyond the partition');
    }
  }
  return found;
}

async function readExt(subject: Subject, signal: AbortSignal): Promise<Found> {
  const layout = extLayoutOf(subject.read(1024, 1024));
  // What its state says was looked at; partclone would also mind how often it was mounted.
  if (layout.clusterBlocks === 1) {
    return readByPartclone('partclone.extfs', subject, signal, ['-I']);
  }
  const groups = new FreeClusters(layout);
  const tool = { command: 'dumpe2fs', args: [subject.path], debianPackage: 'e2fsprogs' };
  await runWell(tool, (line) => groups.line(line), signal);
  return { unused: groups.finish(), method: 'dumpe2fs' };
}

/** Partclone takes what it cannot read of XFS' trees for used, and does not say so. */
async function readXfs(subject: Subject, signal: AbortSignal): Promise<Found> {
  const found = await readByPartclone('partclone.xfs', subject, signal);
  checkGroups(UsedMap.allBut(subject.sizeBytes, found.unused), subject.read);
  return found;
}

async function readBtrfs({ path, read, sizeBytes }: Subject, signal: AbortSignal): Promise<Found> {
  const superblock = read(65_536, 4096);
  const tree = (name: string): Tool => {
    const args = ['inspect-internal', 'dump-tree', '-t', name, path];
    return { command: 'btrfs', args, debianPackage: 'btrfs-progs' };
  };
  const chunks = new ChunkTree();
  await runWell(tree('chunk'), (line) => chunks.line(line), signal);
  const extents = new ExtentTree(chunks.finish(), superblock.readUInt32LE(0x94));
  await runWell(tree('extent'), (line) => extents.line(line), signal);
  const used = extents.finish(Number(superblock.readBigUInt64LE(0x78)));
  const ownBytes = Number(superblock.readBigUInt64LE(0xc9 + 8));
  if (!(ownBytes > 0 && ownBytes <= sizeBytes)) {
    throw new Unreadable('it reaches beyond the partition');
  }
  // What lies behind the file system is not known to be unused.
  const all = UsedMap.of(sizeBytes, [...used, { start: ownBytes, end: sizeBytes }]);
  const unused: ByteRun[] = [];
  all.forEachUnused(0, sizeBytes, (start, end) => unused.push({ start, end }));
  return { unused, method: 'btrfs' };
}

/** Into files: partclone writes its map to a new one, and some of its kinds write on the output. */
async function readByPartclone(
  command: string,
  subject: Subject,
  signal: AbortSignal,
  more: readonly string[] = [],
): Promise<Found> {
  const folder = await mkdtemp(join(tmpdir(), 'multiserver-'));
  try {
    const map = join(folder, 'map');
    const files = ['-s', subject.path, '-o', map, '-L', join(folder, 'log')];
    // Its thread that shows progress would sleep for two seconds, and be waited for.
    const args = ['-q', '-f', '0', ...more, '-D', ...files];
    await runWell({ command, args, debianPackage: 'partclone' }, () => {}, signal);
    const log = new DomainLog(subject.sizeBytes);
    const file = await open(map).catch(() => null);
    if (file === null) throw new Unreadable('partclone makes no map');
    for await (const line of file.readLines()) log.line(line);
    return { unused: log.finish(), method: 'partclone' };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @throws Unreadable when it fails, or is killed */
async function runWell(
  tool: Tool,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const end = await run(tool, onLine, signal);
  if (end.status !== 0) throw new Unreadable(`${tool.command} fails: ${lastWords(end)}`);
}
