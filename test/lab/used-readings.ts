/** What is used of a file system, read in another way than the program does. */
import { readFileSync } from 'node:fs';
import { type ByteRun, UsedMap } from '../../src/image/used-map.js';
import { runTool } from './tools.js';

/** @returns null where there is no second reading */
export function independentReading(name: string, path: string): UsedMap | null {
  if (name.startsWith('ext')) return readExt(path);
  if (name.startsWith('FAT')) return readFat(path);
  const readings: Record<string, (path: string) => UsedMap> = {
    ntfs: readNtfs,
    exfat: readExfat,
    xfs: readXfs,
  };
  return readings[name]?.(path) ?? null;
}

/** By `debugfs`, which asks of each block by itself whether it is in use. */
function readExt(path: string): UsedMap {
  const bytes = readFileSync(path);
  const blockBytes = 1024 << bytes.readUInt32LE(1024 + 0x18);
  const count = bytes.readUInt32LE(1024 + 4);
  // Nobody may ask of block 0.
  const first = 1;
  const unused: ByteRun[] = [];
  const said = runTool('debugfs', ['-R', `testb ${first} ${count - first}`, path]);
  const lines = [...said.matchAll(/^Block (\d+) (not in use|marked in use)$/gm)];
  for (const [, block, state] of lines) {
    const start = Number(block) * blockBytes;
    if (state === 'not in use') unused.push({ start, end: start + blockBytes });
  }
  if (lines.length !== count - first) throw new Error(`debugfs told of ${lines.length} blocks`);
  return UsedMap.allBut(bytes.length, unused);
}

/** By its allocation table. Source: Microsoft's FAT specification of 2005. */
function readFat(path: string): UsedMap {
  const bytes = readFileSync(path);
  const sector = bytes.readUInt16LE(11);
  const clusterBytes = bytes[13]! * sector;
  const reserved = bytes.readUInt16LE(14);
  const perFat = bytes.readUInt16LE(22) || bytes.readUInt32LE(36);
  const rootBytes = bytes.readUInt16LE(17) * 32;
  const total = bytes.readUInt16LE(19) || bytes.readUInt32LE(32);
  const dataAt = (reserved + bytes[16]! * perFat) * sector + rootBytes;
  const clusters = Math.floor((total * sector - dataAt) / clusterBytes);
  const isWide = clusters >= 65_525;
  const unused: ByteRun[] = [];
  for (let cluster = 2; cluster < clusters + 2; cluster++) {
    const at = reserved * sector + cluster * (isWide ? 4 : 2);
    const entry = isWide ? bytes.readUInt32LE(at) & 0x0fffffff : bytes.readUInt16LE(at);
    const start = dataAt + (cluster - 2) * clusterBytes;
    if (entry === 0) unused.push({ start, end: start + clusterBytes });
  }
  return UsedMap.allBut(bytes.length, unused);
}

/** By its bitmap, as `ntfscat` finds it. */
function readNtfs(path: string): UsedMap {
  const bytes = readFileSync(path);
  const clusterBytes = bytes.readUInt16LE(11) * bytes[13]!;
  const clusters = Math.floor(Number(bytes.readBigUInt64LE(40)) / bytes[13]!);
  const bitmap = Buffer.from(runTool('sh', ['-c', 'ntfscat -i 6 "$0" | base64', path]), 'base64');
  return UsedMap.allBut(bytes.length, clear(bitmap, clusters, clusterBytes, 0));
}

/** By its bitmap, found through the root directory. Source: Microsoft's exFAT specification. */
function readExfat(path: string): UsedMap {
  const bytes = readFileSync(path);
  const sector = 1 << bytes[108]!;
  const clusterBytes = sector << bytes[109]!;
  const heapAt = bytes.readUInt32LE(88) * sector;
  const place = (cluster: number): number => heapAt + (cluster - 2) * clusterBytes;
  for (let at = place(bytes.readUInt32LE(96)); bytes[at] !== 0; at += 32) {
    if (bytes[at] !== 0x81) continue;
    const bitmap = bytes.subarray(place(bytes.readUInt32LE(at + 20)));
    const clusters = bytes.readUInt32LE(92);
    return UsedMap.allBut(bytes.length, clear(bitmap, clusters, clusterBytes, heapAt));
  }
  throw new Error('no allocation bitmap');
}

function clear(bitmap: Buffer, count: number, unitBytes: number, from: number): ByteRun[] {
  const unused: ByteRun[] = [];
  for (let unit = 0; unit < count; unit++) {
    const start = from + unit * unitBytes;
    const isUsed = ((bitmap[unit >> 3]! >> (unit & 7)) & 1) === 1;
    if (!isUsed) unused.push({ start, end: start + unitBytes });
  }
  return unused;
}

/** By `xfs_db`, which lists each free extent. */
function readXfs(path: string): UsedMap {
  const bytes = readFileSync(path);
  const blockBytes = bytes.readUInt32BE(4);
  const groupBlocks = bytes.readUInt32BE(84);
  const unused: ByteRun[] = [];
  const said = runTool('xfs_db', ['-r', '-f', '-c', 'freesp -d', path]);
  for (const [, group, block, count] of said.matchAll(/^ +(\d+) +(\d+) +(\d+)$/gm)) {
    const start = (Number(group) * groupBlocks + Number(block)) * blockBytes;
    unused.push({ start, end: start + Number(count) * blockBytes });
  }
  return UsedMap.allBut(bytes.length, unused);
}

/** Where btrfs keeps its tree blocks, each place of each, by its own tool. */
export function secondCopiesOfBtrfs(path: string): ByteRun[] {
  const tree = runTool('btrfs', ['inspect-internal', 'dump-tree', '-t', 'extent', path]);
  const found: ByteRun[] = [];
  for (const [, logical] of tree.matchAll(/key \((\d+) METADATA_ITEM/g)) {
    const said = runTool('btrfs-map-logical', ['-l', logical!, path]);
    for (const [, physical] of said.matchAll(/^mirror \d+ logical \d+ physical (\d+)/gm)) {
      found.push({ start: Number(physical), end: Number(physical) + 16_384 });
    }
  }
  return found;
}
