/** Leaving the process, whatever a disk still has to do. */

import { fsync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { loadNative } from './native.js';

let syncs = 0;

/**
 * Brings a file to its disk. That may take minutes, in which nothing else can be asked of the file.
 */
export async function syncHandle(handle: FileHandle): Promise<void> {
  syncs++;
  try {
    await handle.sync();
  } finally {
    syncs--;
  }
}

/** As `syncHandle`, for a bare descriptor. */
export async function syncDescriptor(fd: number): Promise<void> {
  syncs++;
  try {
    await promisify(fsync)(fd);
  } finally {
    syncs--;
  }
}

/** Whether a disk is being waited for. */
export function isSyncing(): boolean {
  return syncs > 0;
}

/**
 * Ends the process. Node would wait for its threads, and one of them for the disk: then the system
 * ends it.
 */
export function leaveNow(status: number): void {
  if (isSyncing()) loadNative()?.exit(status);
  process.exit(status);
}
