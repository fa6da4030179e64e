/**
 * Locks between our own programs on one host: who serves a file or device holds a shared one, who
 * writes it an exclusive one. They end with the descriptor.
 */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../failure.js';
import { loadNative } from '../system/native.js';
import { targetFailure } from './target-failure.js';

/** The system looks at a disk that was just closed, for a moment, under a lock of its own. */
const LOCK_TRIES = 10;
const LOCK_RETRY_MS = 200;

/**
 * Two clients in one file, or a client in what a server here serves, would spoil the copy.
 * @throws Failure when somebody else holds it
 */
export async function takeLock(
  handle: FileHandle,
  path: string,
  mostTries = LOCK_TRIES,
): Promise<void> {
  const native = loadNative();
  if (native === null) return;
  for (let tries = 1; !native.lock(handle.fd, true); tries++) {
    if (tries >= mostTries) throw inUse(path, native.lock(handle.fd, false));
    await sleep(LOCK_RETRY_MS);
  }
}

/** @throws Failure when somebody holds a lock on it. What cannot be opened is nobody's. */
export async function refuseLocked(path: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch {
    return;
  }
  // The system locks disks only: of a file, one look tells all.
  try {
    const isDevice = (await handle.stat()).isBlockDevice();
    await takeLock(handle, path, isDevice ? LOCK_TRIES : 1);
  } finally {
    await handle.close();
  }
}

/**
 * Who serves or mounts a device where we cannot look has claimed it all the same.
 * @throws Failure when somebody has: the copy would not get it either
 */
export async function refuseClaimed(path: string): Promise<void> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_EXCL);
    await handle.close();
  } catch (error) {
    // Other errors are told by whoever opens it to write.
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') return;
    throw targetFailure(path, error as NodeJS.ErrnoException);
  }
}

/** @param isServed others may read it: its lock is a server's, and no client's */
function inUse(path: string, isServed: boolean): Failure {
  const text = isServed
    ? `${path} is served by a multiserver on this host: a copy must not go where a source is; ` +
      'name another target'
    : `${path} is being written by another multiclient on this host; wait until that is done, or ` +
      'name another target';
  return new Failure('target', 'BUSY', text);
}
