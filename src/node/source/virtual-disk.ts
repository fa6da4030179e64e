/**
 * Disks of virtual machines, served as what they contain: `qemu-img` writes that into a file
 * without a name, as other programs do for what is compressed. A disk that leans on other files
 * is refused: they may lie anywhere, and be anybody's.
 */

import { closeSync, fstatSync, ftruncateSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Failure } from '../../failure.js';
import { lastWords, read, run, type Tool } from '../system/tool.js';
import { unpackedName, type VirtualDisk } from './image-format.js';
import { noRoom, openUnnamed, RESERVE_BYTES, type Unpacked } from './unpack.js';

/** What `qemu-img info` tells, as far as it matters here. */
interface Info {
  'virtual-size'?: number;
  'backing-filename'?: string;
  'format-specific'?: {
    data?: { 'data-file'?: string; extents?: { filename: string }[]; corrupt?: boolean };
  };
}

/**
 * @param onProgress share of what is done; content so far, in bytes
 * @throws Failure when it is damaged, leans on other files, or there is no room for it
 */
export async function convertDisk(
  path: string,
  format: VirtualDisk,
  onProgress: (ratio: number, sizeBytes: number) => void,
  signal: AbortSignal,
): Promise<Unpacked> {
  // An absolute path is never taken for the name of a protocol.
  const file = resolve(path);
  const info = await infoOf(file, format, signal);
  refuseOthers(file, info);
  await check(file, format, signal);
  const sizeBytes = info['virtual-size'] ?? 0;
  if (!Number.isSafeInteger(sizeBytes)) throw damaged(path, 'it does not tell its size');
  const { fd, folder } = openUnnamed(path);
  try {
    const { bavail, bsize } = await statfs(folder);
    const neededBytes = await dataBytesOf(file, info, format, signal);
    if (neededBytes > bavail * bsize - RESERVE_BYTES) throw noRoom(path, folder);
    ftruncateSync(fd, sizeBytes);
    const how = ['-p', '-n', '--target-is-zero', '-f', format.driver, '-O', 'raw'];
    const report = (line: string): void => {
      const ratio = Number(/\(([\d.]+)\/100%\)/.exec(line)?.[1]) / 100;
      if (Number.isFinite(ratio)) onProgress(ratio, Math.round(ratio * sizeBytes));
    };
    // Progress goes back in its line, which counts as a line's end.
    const end = await run({ ...qemu(['convert', ...how, file, '/dev/fd/3']), fd }, report, signal);
    if (/No space left/.test(end.complaint)) throw noRoom(path, folder);
    if (end.status !== 0) throw damaged(path, lastWords(end));
    const dataBytes = fstatSync(fd).blocks * 512;
    const name = unpackedName(basename(path), format) || 'image';
    return { fd, name, sizeBytes, dataBytes, folder, remark: null };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Statuses of `qemu-img check`: sound, room that nobody uses, and a format without a check. */
const SOUND = new Set([0, 3, 63]);

async function check(file: string, { driver }: VirtualDisk, signal: AbortSignal): Promise<void> {
  const end = await read(qemu(['check', '-q', '-f', driver, file]), signal);
  if (end.status === null || !SOUND.has(end.status)) throw damaged(file, lastWords(end));
}

const qemu = (args: string[]): Tool => ({ command: 'qemu-img', args, debianPackage: 'qemu-utils' });

async function infoOf(file: string, { driver }: VirtualDisk, signal: AbortSignal): Promise<Info> {
  const end = await read(qemu(['info', '--output=json', '-f', driver, file]), signal);
  if (end.status !== 0) throw damaged(file, lastWords(end));
  return JSON.parse(end.text) as Info;
}

function refuseOthers(file: string, info: Info): void {
  const { 'data-file': dataFile, extents = [] } = info['format-specific']?.data ?? {};
  const backing = info['backing-filename'];
  if (backing !== undefined) {
    throw leaning(file, `it holds only what differs from ${backing}`);
  }
  if (dataFile !== undefined) throw leaning(file, `its data are in ${dataFile}`);
  const far = extents.find(({ filename }) => dirname(resolve(filename)) !== dirname(file));
  if (far !== undefined) throw leaning(file, `a part of it is ${far.filename}`);
}

/**
 * At most so much is written: all that is neither a hole nor told to be zeros.
 * @throws Failure when some of it lies behind the file's end: `qemu-img` takes that for zeros
 */
async function dataBytesOf(
  file: string,
  info: Info,
  { driver }: VirtualDisk,
  signal: AbortSignal,
): Promise<number> {
  const end = await read(qemu(['map', '--output=json', '-f', driver, file]), signal);
  if (end.status !== 0) throw damaged(file, lastWords(end));
  const files = [file, ...(info['format-specific']?.data?.extents ?? []).map((at) => at.filename)];
  const largestBytes = Math.max(...files.map((path) => statSync(path).size));
  let dataBytes = 0;
  for (const { length, zero, data, offset } of JSON.parse(end.text) as Part[]) {
    if (data && !zero) dataBytes += length;
    // A qcow2 may end within its last cluster; `qemu-img check` looks at the others.
    if (driver !== 'qcow2' && offset !== undefined && offset + length > largestBytes) {
      throw damaged(file, 'it is cut short');
    }
  }
  return dataBytes;
}

/** A run of the disk, as `qemu-img map` tells of it. */
interface Part {
  length: number;
  zero: boolean;
  data: boolean;
  /** Where it lies in the file; missing for what is compressed. */
  offset?: number;
}

const damaged = (path: string, why: string): Failure =>
  new Failure('source', 'CANNOT_UNPACK', `cannot unpack ${path}: ${why}`);

function leaning(path: string, why: string): Failure {
  const command = `qemu-img convert -O raw ${path} disk.img`;
  const text = `${path} leans on another file: ${why}; make one of both first: ${command}`;
  return new Failure('source', 'FOREIGN_FORMAT', text);
}
