/**
 * What a source is when serving begins, so that every later change can be seen. A program that
 * has a file mapped into its memory changes it without a system call: the system dates only the
 * first store to a page since that was written to the disk. So what waits to be written is
 * written before anything is read. File systems in memory date no such store at all: there, no
 * other program may have the file open for writing.
 */

import { type BigIntStats, fstatSync, realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../failure.js';
import { datesMappedStores, fileSystemOf } from '../system/file-system.js';
import { syncDescriptor } from '../system/leave.js';
import { loadNative } from '../system/native.js';
import { loopsOn } from '../target/block-device.js';
import { isSettled } from './map-cache.js';
import type { Source } from './source.js';

export interface SourceState {
  stats: BigIntStats;
  /** Whether a program that opens it for writing is taken for a change. */
  forbidsWriters: boolean;
  /** Whether a device may be mounted for writing later, which is looked for. */
  isMountable: boolean;
}

/** Each try brings a file to the disk. Who writes without pause is told of by the watch. */
const MAX_TRIES = 5;
const TRY_INTERVAL_MS = 50;
const TELL_AFTER_MS = 2_000;

/**
 * @param force serve it though another program may write to it unseen
 * @param tell hears what is waited for, when that takes long
 * @throws Failure when it could be written to unseen; the signal's reason
 */
export async function stateOf(
  { fd, path, isUnpacked, isClaimed }: Source,
  force: boolean,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<SourceState> {
  const stats = fstatSync(fd, { bigint: true });
  // Nobody else has what was unpacked; devices have no times that tell anything.
  const state = { stats, forbidsWriters: false, isMountable: false };
  if (isUnpacked) return state;
  if (!stats.isFile()) return { ...state, isMountable: !isClaimed && !force };
  if (!datesMappedStores(fileSystemOf(path))) {
    if (!force && hasWriter(fd, path)) throw isBeingWritten(path);
    return { ...state, forbidsWriters: !force };
  }
  if (loadNative()?.isOpenForWriting(fd) === false) return state;
  const late = setTimeout(() => tell(`waiting until ${path} is on its disk`), TELL_AFTER_MS);
  try {
    return { ...state, stats: await broughtToDisk(fd, signal) };
  } finally {
    clearTimeout(late);
  }
}

/** @returns what the file was before its last writing, which changed none of that */
async function broughtToDisk(fd: number, signal: AbortSignal): Promise<BigIntStats> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted();
    const before = fstatSync(fd, { bigint: true });
    await Promise.race([syncDescriptor(fd), aborted]);
    const after = fstatSync(fd, { bigint: true });
    const isStill = after.mtimeNs === before.mtimeNs && after.ctimeNs === before.ctimeNs;
    // Two stores within one tick of the system's clock leave the same time.
    const isDone = isStill && isSettled(before, Date.now());
    if (isDone || tries === MAX_TRIES) return before;
    await sleep(TRY_INTERVAL_MS, undefined, { signal });
  }
}

/** Whether a program has the file open for writing that may store to it unseen. */
export function hasWriter(fd: number, path: string): boolean {
  if (loadNative()?.isOpenForWriting(fd) !== true) return false;
  try {
    // A loop device has it open, too, and what that writes is dated.
    return loopsOn(realpathSync(path)).length === 0;
  } catch {
    return true;
  }
}

function isBeingWritten(path: string): Failure {
  const text =
    `${path} is open for writing by another program, which can change it unseen ` +
    `where it lies (in memory); end that program, or --force to serve it all the same`;
  return new Failure('source', 'BUSY', text);
}
