/**
 * `--fit`: a GPT has a second header at the disk's end. On a disk that is larger than the image it
 * lies where the image ended, and tools complain until it is moved. The disk's tools move it.
 */

import { closeSync, openSync, readSync } from 'node:fs';
import { Failure } from '../../failure.js';
import { secondHeaderPlace } from '../../image/partition-table.js';
import { formatBytes } from '../../sizes.js';
import { findTool, runTool } from '../system/system-tools.js';
import { rereadPartitions } from './after-copy.js';
import { BlockDevice, SYSTEM } from './block-device.js';
import { GPT_SIGNATURE, hasSoundTables, USUAL_ENTRIES_BYTES } from './gpt.js';

/** Each does the same; the first that there is, and that can, is taken. */
const MOVERS = [
  { tool: 'sfdisk', args: ['--relocate', 'gpt-bak-std'], debianPackage: 'fdisk' },
  { tool: 'sgdisk', args: ['--move-second-header'], debianPackage: 'gdisk' },
] as const;

/** @throws Failure when nothing on this machine could move the header */
export function requireMover(): void {
  if (MOVERS.some(({ tool }) => findTool(tool) !== null)) return;
  const choices = MOVERS.map((mover) => `${mover.tool} (Debian package ${mover.debianPackage})`);
  const text = `--fit needs ${choices.join(' or ')}: install one of them, or leave --fit out`;
  throw new Failure('target', 'NO_TOOL', text);
}

/**
 * Moves the second GPT header of a proven copy to its disk's end, and has the system read the table
 * anew.
 * @returns what to tell the operator
 * @throws Failure of kind 'afterwards' when that cannot be done
 */
export async function fitToDisk(path: string): Promise<string[]> {
  const number = SYSTEM.deviceOf(path);
  if (number === null) return [`--fit: ${path} is a file: there is nothing to fit`];
  const device = new BlockDevice(number);
  const { sizeBytes, sectorSizeBytes } = device;
  if (device.isPartition || sizeBytes === null) {
    return [`--fit: ${path} is a partition: there is nothing to fit`];
  }
  try {
    return await fitDevice(path, device, sizeBytes, sectorSizeBytes ?? 512);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw fitFailure(path, (error as Error).message);
  }
}

/**
 * Looks whether a GPT made for an image was moved to the end of a larger disk.
 * @returns the chunks of the image in which it lies, as these are changed then: none when it is
 *   spoilt; null when it was not moved
 */
export function fittedTable(
  path: string,
  imageBytes: number,
  chunkBytes: number,
): ReadonlySet<number> | null {
  const number = SYSTEM.deviceOf(path);
  if (number === null) return null;
  const { isPartition, sizeBytes, sectorSizeBytes } = new BlockDevice(number);
  const sectorBytes = sectorSizeBytes ?? 512;
  if (isPartition || sizeBytes === null || sizeBytes <= imageBytes) return null;
  if (!hasSecondHeaderAt(path, sizeBytes - sectorBytes, sectorBytes)) return null;
  const chunks = new Set<number>();
  const read = (at: number, lengthBytes: number) => readAt(path, at, lengthBytes);
  // A spoilt table differs for another reason than the move.
  if (!hasSoundTables(read, sizeBytes, sectorBytes)) return chunks;
  const chunkOf = (offsetBytes: number): number => Math.floor(offsetBytes / chunkBytes);
  const note = (startBytes: number, endBytes: number): void => {
    for (let chunk = chunkOf(startBytes); chunk <= chunkOf(endBytes - 1); chunk++) {
      chunks.add(chunk);
    }
  };
  // The protective MBR and the first GPT; and the second GPT, where the image has it.
  note(0, Math.min(imageBytes, 2 * sectorBytes + USUAL_ENTRIES_BYTES));
  note(Math.max(0, imageBytes - sectorBytes - USUAL_ENTRIES_BYTES), imageBytes);
  return chunks;
}

function hasSecondHeaderAt(path: string, lastAt: number, sectorBytes: number): boolean {
  try {
    return secondHeaderAt(path, sectorBytes) === lastAt && hasHeader(path, lastAt);
  } catch {
    // A disk that cannot be read there tells of no table; that it differs is told all the same.
    return false;
  }
}

async function fitDevice(
  path: string,
  device: BlockDevice,
  sizeBytes: number,
  sectorBytes: number,
): Promise<string[]> {
  const before = secondHeaderAt(path, sectorBytes);
  if (before === null) return [`--fit: ${path} has no GPT: there is nothing to fit`];
  const lastAt = sizeBytes - sectorBytes;
  if (before === lastAt) return [`--fit: the second GPT of ${path} is at its end already`];
  const complaint = await moveSecondHeader(path);
  if (!hasSecondHeaderAt(path, lastAt, sectorBytes)) {
    throw fitFailure(path, complaint);
  }
  const moreBytes = lastAt - before;
  const moved = `moved to its end, ${formatBytes(moreBytes)} further on`;
  const news = `--fit: the second GPT of ${path} was ${moved}`;
  return [news, ...(await rereadPartitions(path, device))];
}

function fitFailure(path: string, complaint: string): Failure {
  return new Failure(
    'afterwards',
    'FIT_FAILED',
    `the copy is proven, but the second GPT of ${path} could not be moved to its end ` +
      `(${complaint}); ` +
      `try 'sgdisk --move-second-header ${path}' by hand`,
  );
}

/** @returns what the last of the tools complained of */
async function moveSecondHeader(path: string): Promise<string> {
  let complaint = 'no tool was found';
  for (const { tool, args } of MOVERS) {
    if (findTool(tool) === null) continue;
    const { status, output } = await runTool(tool, [...args, path]);
    if (status === 0) return 'it is not where it should be';
    complaint = `${tool}: ${output.trim().split('\n').at(-1)}`;
  }
  return complaint;
}

function secondHeaderAt(path: string, sectorBytes: number): number | null {
  return secondHeaderPlace((at, lengthBytes) => readAt(path, at, lengthBytes), sectorBytes);
}

function hasHeader(path: string, offsetBytes: number): boolean {
  return readAt(path, offsetBytes, GPT_SIGNATURE.length).equals(GPT_SIGNATURE);
}

function readAt(path: string, offsetBytes: number, lengthBytes: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(lengthBytes);
    return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, offsetBytes));
  } finally {
    closeSync(fd);
  }
}
