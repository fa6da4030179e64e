/** What is done and said of a device once its copy is proven: its new partitions, and old labels behind them. */
import { closeSync, openSync, readSync } from 'node:fs';
import { findLeftovers, type Leftover } from '../../image/partition-table.js';
import { loadNative } from '../native.js';
import { BlockDevice, SYSTEM } from './block-device.js';

const PATH_OF_TOOLS = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** @returns what to tell the operator */
export async function tellAfterCopy(
  path: string,
  imageBytes: number,
  earlierStarts: readonly number[],
): Promise<string[]> {
  const number = SYSTEM.deviceOf(path);
  if (number === null) return [];
  const device = new BlockDevice(number);
  try {
    const news = device.isPartition ? [] : [await rereadPartitions(path, device)];
    const diskBytes = device.sizeBytes ?? imageBytes;
    return [...news, ...leftoversOn(path, imageBytes, diskBytes, earlierStarts)];
  } catch (error) {
    // The copy is proven: what comes after it is help, no more.
    return [`${path} cannot be looked at after the copy: ${(error as Error).message}`];
  }
}

/** The system keeps the old disk's partitions until it is asked to look again. */
async function rereadPartitions(path: string, device: BlockDevice): Promise<string> {
  let isRead = askSystem(path);
  // Where the system itself reads no partition tables, partx tells it what is there.
  if (!isRead || device.partitions.length === 0) {
    isRead = (await succeeds('partx', ['--update', path])) || isRead;
  }
  if (!isRead) isRead = await succeeds('blockdev', ['--rereadpt', path]);
  if (!isRead) {
    return (
      `the system still goes by the old partition table of ${path}: unmount what is on it and run ` +
      `'blockdev --rereadpt ${path}', or restart the machine`
    );
  }
  const { partitions } = device;
  const what = partitions.length === 0 ? 'no partitions' : `partitions ${partitions.join(', ')}`;
  return `the system has read ${path} anew: ${what}`;
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
  // Only few runs start a program: loading what does that would make every start longer.
  const { execFile } = await import('node:child_process');
  const env = { ...process.env, PATH: PATH_OF_TOOLS };
  return new Promise((resolve) => {
    execFile(tool, args, { env }, (error) => resolve(error === null));
  });
}

function leftoversOn(
  path: string,
  imageBytes: number,
  diskBytes: number,
  starts: readonly number[],
): string[] {
  if (diskBytes <= imageBytes) return [];
  const fd = openSync(path, 'r');
  try {
    const read = (offsetBytes: number, lengthBytes: number): Buffer => {
      const bytes = Buffer.alloc(lengthBytes);
      return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, offsetBytes));
    };
    const found = findLeftovers(read, imageBytes, diskBytes, starts);
    return found.map((leftover) => textOf(path, leftover));
  } finally {
    closeSync(fd);
  }
}

function textOf(path: string, { what, offsetBytes, lengthBytes }: Leftover): string {
  const remove =
    `dd if=/dev/zero of=${path} bs=512 seek=${offsetBytes / 512} count=${lengthBytes / 512} ` +
    'conv=notrunc';
  return `behind the image lies ${what}, at byte ${offsetBytes} of ${path}; to remove it: ${remove}`;
}
