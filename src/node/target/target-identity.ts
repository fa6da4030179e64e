/**
 * Whether what was written is still what its name leads to. A write to a file that was removed
 * succeeds, and so may one to a device that was pulled out a moment ago: neither is a copy.
 */

import { type BigIntStats, fstatSync } from 'node:fs';
import { type FileHandle, stat } from 'node:fs/promises';
import { Failure } from '../../failure.js';
import { datesChanges, fileSystemOf } from '../system/file-system.js';

/** @throws Failure when it was removed, replaced or cut short */
export async function assertStillThere(
  handle: FileHandle,
  workPath: string,
  kind: 'file' | 'device',
  sizeBytes: number,
): Promise<void> {
  const held = await handle.stat({ bigint: true });
  const named = await stat(workPath, { bigint: true }).catch(() => null);
  if (named === null) throw gone(workPath, 'was removed');
  if (kind === 'device') {
    if (held.rdev !== named.rdev) throw gone(workPath, 'is another device now');
    if (!(await reaches(handle, sizeBytes))) throw gone(workPath, 'has shrunk or was pulled out');
  } else {
    if (held.dev !== named.dev || held.ino !== named.ino) throw gone(workPath, 'was replaced');
    if (held.size !== BigInt(sizeBytes)) throw gone(workPath, 'was cut or extended');
  }
}

/** @throws Failure when the file has another size than ours: somebody cut or extended it */
export function assertSize(fd: number, path: string, sizeBytes: number): void {
  if (fstatSync(fd).size !== sizeBytes) throw gone(path, 'was cut or extended');
}

/**
 * Whether anybody wrote to a file since our own last write.
 * @throws Failure when somebody did, as far as the file system dates changes
 */
export function assertUnchanged(mark: BigIntStats, now: BigIntStats, path: string): void {
  if (mark.size !== now.size) throw gone(path, 'was cut or extended');
  if (mark.mtimeNs === now.mtimeNs && mark.ctimeNs === now.ctimeNs) return;
  if (isDated(path)) throw gone(path, 'was written to by another program');
}

function isDated(path: string): boolean {
  try {
    return datesChanges(fileSystemOf(path));
  } catch {
    // It has lost its name: that is found out, and said, by itself.
    return false;
  }
}

/** The size of a device is asked for by reading: a missing one answers with nothing. */
async function reaches(handle: FileHandle, sizeBytes: number): Promise<boolean> {
  const { bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, sizeBytes - 1);
  return bytesRead === 1;
}

function gone(path: string, what: string): Failure {
  const text =
    `${path} ${what} while it was written: there is no copy; ` +
    'see what else uses it and start again';
  return new Failure('target', 'TARGET_GONE', text);
}
