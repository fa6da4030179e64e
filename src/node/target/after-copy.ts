/**
 * What is done and said of a device once its copy is proven: its new partitions, and what lies
 * behind the image.
 */

import { closeSync, openSync, readSync } from 'node:fs';
import {
  findLeftovers,
  type Leftover,
  type ReadBytes,
  secondHeaderPlace,
} from '../../image/partition-table.js';
import { loadNative } from '../system/native.js';
import { runTool } from '../system/system-tools.js';
import { BlockDevice, SYSTEM } from './block-device.js';
import { USUAL_ENTRIES_BYTES } from './gpt.js';

/**
 * Has the system read the partitions of a proven copy anew.
 * @returns what to tell the operator
 */
export async function tellPartitions(path: string): Promise<string[]> {
  const number = SYSTEM.deviceOf(path);
  if (number === null) return [];
  const device = new BlockDevice(number);
  if (device.isPartition) return [];
  try {
    return await rereadPartitions(path, device);
  } catch (error) {
    return [notLookedAt(path, error)];
  }
}

/**
 * Looks behind the image, on a disk that is larger. With `--fit`, only what is there after the fit
 * may be told: before it, the place of the new second GPT looks like a leftover.
 * @param earlierStarts where partitions of the earlier system began, in bytes
 * @returns what to tell the operator
 */
export function tellBehindImage(
  path: string,
  imageBytes: number,
  earlierStarts: readonly number[],
): string[] {
  const number = SYSTEM.deviceOf(path);
  if (number === null) return [];
  const device = new BlockDevice(number);
  const diskBytes = device.sizeBytes ?? imageBytes;
  if (diskBytes <= imageBytes) return [];
  const sectorBytes = device.isPartition ? null : (device.sectorSizeBytes ?? 512);
  try {
    const fd = openSync(path, 'r');
    try {
      const read = (offsetBytes: number, lengthBytes: number): Buffer => {
        const bytes = Buffer.alloc(lengthBytes);
        return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, offsetBytes));
      };
      return behindImageTexts(path, read, imageBytes, diskBytes, sectorBytes, earlierStarts);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return [notLookedAt(path, error)];
  }
}

/** The copy is proven: what comes after it is help, no more. */
function notLookedAt(path: string, error: unknown): string {
  return `${path} cannot be looked at after the copy: ${(error as Error).message}`;
}

/** The system keeps the old disk's partitions until it is asked to look again. */
export async function rereadPartitions(path: string, device: BlockDevice): Promise<string[]> {
  let isRead = askSystem(path);
  // Where the system itself reads no partition tables, partx tells it what is there.
  if (!isRead || device.partitions.length === 0) {
    // To update leaves those of an earlier table that the new one does not have.
    const hadSome = device.partitions.length > 0;
    const isCleared = await succeeds('partx', ['--delete', path]);
    isRead = (await succeeds('partx', ['--add', path])) || (hadSome && isCleared) || isRead;
  }
  if (!isRead) isRead = await succeeds('blockdev', ['--rereadpt', path]);
  // The system looks for none on such a device, and has none.
  if (!isRead && !device.isScanned && device.partitions.length === 0) return [];
  if (!isRead) {
    return [
      `the system still goes by the old partition table of ${path}: unmount what is on it and ` +
        `run 'blockdev --rereadpt ${path}', or restart the machine`,
    ];
  }
  const { partitions } = device;
  const what = partitions.length === 0 ? 'no partitions' : `partitions ${partitions.join(', ')}`;
  return [`the system has read ${path} anew: ${what}`];
}

function askSystem(path: string): boolean {
  const native = loadNative();
  if (native === null) return false;
  const fd = openSync(path, 'r');
  try {
    return native.readPartitions(fd) === 0;
  } finally {
    closeSync(fd);
  }
}

async function succeeds(tool: string, args: string[]): Promise<boolean> {
  const { status } = await runTool(tool, args);
  return status === 0;
}

/** @param sectorBytes of the disk; null for a partition, which has no second GPT to move */
export function behindImageTexts(
  path: string,
  read: ReadBytes,
  imageBytes: number,
  diskBytes: number,
  sectorBytes: number | null,
  earlierStarts: readonly number[],
): string[] {
  const place = sectorBytes === null ? null : secondHeaderPlace(read, sectorBytes);
  const lastAt = diskBytes - (sectorBytes ?? 0);
  const mayFit = place !== null && place < lastAt;
  const fitsFrom = mayFit ? lastAt - USUAL_ENTRIES_BYTES : Number.POSITIVE_INFINITY;
  const texts = findLeftovers(read, imageBytes, diskBytes, earlierStarts).map((leftover) =>
    leftoverText(path, leftover, fitsFrom),
  );
  if (!mayFit) return texts;
  const hint =
    `${path} is larger than the image, whose second GPT lies where the image ends; to move it ` +
    `to the disk's end: run again with --resume --fit, or 'sgdisk --move-second-header ${path}'`;
  return [...texts, hint];
}

/** @param fitsFrom what lies behind this is overwritten when the second GPT is moved */
function leftoverText(
  path: string,
  { what, offsetBytes, lengthBytes }: Leftover,
  fitsFrom: number,
): string {
  const found = `behind the image lies ${what}, at byte ${offsetBytes} of ${path}`;
  // Whoever fits the disk first must not find a command here that would damage it then.
  if (offsetBytes + lengthBytes > fitsFrom) return `${found}; --fit overwrites it`;
  const remove =
    `dd if=/dev/zero of=${path} bs=512 seek=${offsetBytes / 512} count=${lengthBytes / 512} ` +
    'conv=notrunc';
  return `${found}; to remove it: ${remove}`;
}
