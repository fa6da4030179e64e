/**
 * What is used of a source, a disk or one file system: its partitions, the file system in each,
 * and the blocks that each uses. Whatever is not certain to be unused counts as used.
 */
import { readSync } from 'node:fs';
import { Failure } from '../../failure.js';
import { type ReadBytes, sectorSizeOf } from '../../image/partition-table.js';
import { type ByteRun, UsedMap } from '../../image/used-map.js';
import { contentOf, type Partition, partitionsOf } from './partitions.js';
import { hasReader, type Method, readUnused } from './readers.js';
import { checkSoundness, type Subject, Unclean } from './soundness.js';
import { Unreadable } from './unreadable.js';
import { Window } from './window.js';

/** Reading maps is reading: more at once would only make a disk seek. */
const AT_ONCE = 2;

interface UsedSource {
  /** Open for reading. */
  fd: number;
  /** For people. */
  path: string;
  sizeBytes: number;
}

export interface UsedOptions {
  /** Send whole what was not left in order, instead of refusing it. */
  force: boolean;
  /** Who writes to the source, as a clause: then nothing can be left out. Null when nobody does. */
  writer: string | null;
}

/** One line of the table that an operator sees. */
interface UsedRow {
  /** The partition's number; 0 for a source that has none. */
  partition: number;
  /** As `blkid` names it, or `unknown`. */
  fileSystem: string;
  sizeBytes: number;
  usedBytes: number;
  method: Method;
  /** Why it is sent whole, as a clause; null when it is not. */
  remark: string | null;
}

export interface UsedResult {
  map: UsedMap;
  rows: UsedRow[];
}

/**
 * @param onProgress partitions that are done, and all of them
 * @throws Failure when a program is missing, or a file system was not left in order
 */
export async function readUsed(
  source: UsedSource,
  options: UsedOptions,
  onProgress: (done: number, count: number) => void,
  signal: AbortSignal,
): Promise<UsedResult> {
  if (options.writer !== null) return sentWhole(source, `it is in use: ${options.writer}`);
  let parts: Partition[];
  try {
    parts = await partsOf(source, signal);
  } catch (error) {
    if (error instanceof Unreadable) return sentWhole(source, error.why);
    throw error;
  }
  const rows: UsedRow[] = new Array(parts.length);
  const unused: ByteRun[] = [];
  let done = 0;
  onProgress(0, parts.length);
  await eachOf(parts, AT_ONCE, signal, async (part, index, inner) => {
    const found = await readPart(source, part, parts, options.force, inner);
    rows[index] = found.row;
    for (const run of found.unused) unused.push(run);
    onProgress(++done, parts.length);
  });
  return { map: UsedMap.allBut(source.sizeBytes, unused), rows };
}

function sentWhole({ sizeBytes }: UsedSource, why: string): UsedResult {
  const part = { number: 0, offsetBytes: 0, sizeBytes };
  return { map: UsedMap.whole(sizeBytes), rows: [wholeRow(part, 'unknown', why)] };
}

function wholeRow({ number, sizeBytes }: Partition, fileSystem: string, why: string): UsedRow {
  const usedBytes = sizeBytes;
  return { partition: number, fileSystem, sizeBytes, usedBytes, method: 'whole', remark: why };
}

/** The partitions; one part for all when the source is a file system itself. */
async function partsOf(source: UsedSource, signal: AbortSignal): Promise<Partition[]> {
  const sectorSizeBytes = sectorSizeOf(readerOf(source, 0, source.sizeBytes)) || 512;
  const disk = Window.open(source.fd, 0, source.sizeBytes, sectorSizeBytes);
  try {
    const content = await contentOf(disk.path, 0, source.sizeBytes, signal);
    const parts = await partitionsOf(disk.path, signal);
    if (parts.length === 0) return [{ number: 0, offsetBytes: 0, sizeBytes: source.sizeBytes }];
    if (content !== null) throw new Unreadable('it is a file system and a disk at once');
    return parts;
  } finally {
    disk.close();
  }
}

interface PartResult {
  row: UsedRow;
  /** Within the source. */
  unused: ByteRun[];
}

async function readPart(
  source: UsedSource,
  part: Partition,
  parts: readonly Partition[],
  force: boolean,
  signal: AbortSignal,
): Promise<PartResult> {
  const { offsetBytes, sizeBytes } = part;
  let fileSystem = 'unknown';
  const asWhole = (why: string): PartResult => ({
    row: wholeRow(part, fileSystem, why),
    unused: [],
  });
  if (offsetBytes + sizeBytes > source.sizeBytes) return asWhole('it reaches beyond the source');
  if (parts.some((other) => other !== part && overlap(part, other))) {
    return asWhole('it overlaps with another partition');
  }
  const window = Window.open(source.fd, offsetBytes, sizeBytes);
  try {
    const content = await contentOf(window.path, 0, sizeBytes, signal);
    if (content === null) return asWhole('nothing known is in it');
    fileSystem = content.version.startsWith('FAT') ? content.version : content.type;
    if (!hasReader(content.type)) return asWhole('no tool tells what is used of it');
    const read = readerOf(source, offsetBytes, sizeBytes);
    const subject: Subject = { content, path: window.path, sizeBytes, read };
    await checkSoundness(subject, signal);
    const { unused, method } = await readUnused(subject, signal);
    const unusedBytes = unused.reduce((sum, { start, end }) => sum + end - start, 0);
    const usedBytes = sizeBytes - unusedBytes;
    const row = { partition: part.number, fileSystem, sizeBytes, usedBytes, method, remark: null };
    const moved = ({ start, end }: ByteRun): ByteRun => ({
      start: start + offsetBytes,
      end: end + offsetBytes,
    });
    return { row, unused: unused.map(moved) };
  } catch (error) {
    if (error instanceof Unreadable) return asWhole(error.why);
    if (!(error instanceof Unclean)) throw error;
    if (force) return asWhole(error.why);
    throw notClean(source, part, fileSystem, error);
  } finally {
    window.close();
  }
}

const overlap = (one: Partition, other: Partition): boolean =>
  one.offsetBytes < other.offsetBytes + other.sizeBytes &&
  other.offsetBytes < one.offsetBytes + one.sizeBytes;

function notClean(
  { path }: UsedSource,
  { number }: Partition,
  fileSystem: string,
  { why, remedy }: Unclean,
): Failure {
  const where = number === 0 ? path : `partition ${number} of ${path}`;
  const what = `what is used of ${where} (${fileSystem}) cannot be told: ${why}`;
  const text = `${what}; ${remedy}, or --force to send all of it`;
  return new Failure('source', 'NOT_CLEAN', text);
}

/** Bytes of a part of the source; fewer where they cannot be read. */
function readerOf({ fd }: UsedSource, offsetBytes: number, sizeBytes: number): ReadBytes {
  return (at, lengthBytes) => {
    const bytes = Buffer.alloc(Math.max(0, Math.min(lengthBytes, sizeBytes - at)));
    try {
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offsetBytes + at));
    } catch {
      return bytes.subarray(0, 0);
    }
  };
}

/** A few at once. When one fails, the others are ended, and waited for. */
async function eachOf<T>(
  items: readonly T[],
  atOnce: number,
  signal: AbortSignal,
  work: (item: T, index: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const inner = AbortSignal.any([signal, stop.signal]);
  let next = 0;
  let failure: { error: unknown } | null = null;
  const worker = async (): Promise<void> => {
    while (next < items.length && failure === null) {
      const index = next++;
      try {
        await work(items[index]!, index, inner);
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failure !== null) throw (failure as { error: unknown }).error;
}
