/** Who may write to a source while it is served: a mounted file system, or swap space. */

import { constants, openSync, realpathSync } from 'node:fs';
import { loadNative } from '../system/native.js';
import { BlockDevice, loopsOn, SYSTEM, type SystemFiles } from '../target/block-device.js';

/** Loop devices may lie on loop devices; nobody stacks so many. */
const MAX_DEVICES = 256;

export interface Writer {
  /** A clause: 'it is mounted on /home'. */
  text: string;
  advice: string;
}

/**
 * @param path a file or block device
 * @returns null when nobody does, as far as the system tells
 */
export function writerOf(path: string, files: SystemFiles = SYSTEM): Writer | null {
  const own = files.deviceOf(path);
  const numbers = own === null ? numbersOf(loopsOn(realpathSync(path), files), files) : [own];
  const seen = new Set(numbers);
  for (const number of seen) {
    const device = new BlockDevice(number, files);
    for (const { isReadOnly, kind, text } of device.uses()) {
      if (isReadOnly) continue;
      if (kind === 'swap') return { text, advice: 'switch it off with swapoff first' };
      if (kind !== 'mounted' && kind !== 'system') continue;
      return { text, advice: 'unmount it, or remount it read-only (mount -o remount,ro)' };
    }
    for (const loop of numbersOf(device.loopDevices, files)) {
      if (seen.size < MAX_DEVICES) seen.add(loop);
    }
  }
  return null;
}

function numbersOf(names: readonly string[], files: SystemFiles): string[] {
  return names.map((name) => files.deviceOf(`/dev/${name}`)).filter((number) => number !== null);
}

/**
 * Opens a device so that nobody can mount it, or build anything on it, until it is closed.
 * @returns null when somebody has done so already
 */
export function claimDevice(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_EXCL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return null;
    throw error;
  }
}

/**
 * Whether nothing that can be seen explains why a device cannot be claimed. Then it may be mounted
 * where we cannot look: in a container, on the host of ours, or for a moment.
 * @param fd open for reading, with a shared lock
 */
export function isUsedUnseen(path: string, fd: number): boolean {
  const number = SYSTEM.deviceOf(path);
  // Loop devices lay no claim to what they are set up on.
  const uses = number === null ? [] : new BlockDevice(number).uses();
  if (uses.some(({ kind }) => kind !== 'loop')) return false;
  // Another server that serves it has claimed it, and has a lock like ours.
  const native = loadNative();
  if (native === null) return true;
  const isAlone = native.lock(fd, true);
  return native.lock(fd, false) && isAlone;
}
