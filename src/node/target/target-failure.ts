/** What the system says of a target, as a sentence that says what to do. */

import { statSync } from 'node:fs';
import { Failure } from '../../failure.js';
import { fileShortage } from '../system/open-files.js';

const REASONS: Record<string, string> = {
  ENOSPC: 'no space is left; free some or choose another disk',
  EDQUOT: 'the quota is used up; free some space or choose another disk',
  EFBIG: 'the file system does not allow a file of that size',
  EACCES: 'permission is missing (try as root)',
  EPERM: 'permission is missing (try as root)',
  EROFS: 'it is read-only',
  EBUSY: 'it is in use (mounted, swap, LVM, RAID, or served by a multiserver); release it first',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is no folder',
  EIO: 'the device reported an input/output error; check its cables and health',
  ENXIO: 'the device is gone',
  ENODEV: 'the device is gone',
  NO_ZSTD:
    'what arrives is compressed, and the library that unpacks it is missing; reinstall multiclient',
};

/** What root may not do no permission is missing for. */
const FORBIDDEN =
  'the system forbids it even to root; look whether it is marked immutable or append-only ' +
  '(lsattr), or who guards it';

/** A device takes what it has announced, unless it has shrunk or lies on something that is full. */
const DEVICE_ENDS =
  'it ends before the image does: it has become smaller, or what it lies on is full; look at ' +
  'its size';

const CODES: Record<string, string> = {
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  EBUSY: 'BUSY',
  ENXIO: 'TARGET_GONE',
  ENODEV: 'TARGET_GONE',
};

export function targetFailure(
  path: string,
  error: { code?: string | undefined; message?: string },
  verb: 'write' | 'read' = 'write',
): Failure {
  const shortage = fileShortage(error.code);
  if (shortage !== null) return shortage;
  const code = error.code ?? 'UNKNOWN';
  const fallback = verb === 'write' ? 'CANNOT_WRITE' : 'CANNOT_READ';
  const reason = specialReason(path, code) ?? REASONS[code] ?? error.message ?? code;
  return new Failure('target', CODES[code] ?? fallback, `cannot ${verb} ${path}: ${reason}`);
}

function specialReason(path: string, code: string): string | null {
  if (code === 'EPERM' || code === 'EACCES') return process.geteuid?.() === 0 ? FORBIDDEN : null;
  return code === 'ENOSPC' && isDevice(path) ? DEVICE_ENDS : null;
}

function isDevice(path: string): boolean {
  try {
    return statSync(path).isBlockDevice();
  } catch {
    return false;
  }
}
