/** What the system says of a target, as a sentence that says what to do. */
import { Failure } from '../../failure.js';

const REASONS: Record<string, string> = {
  ENOSPC: 'no space is left; free some or choose another disk',
  EDQUOT: 'the quota is used up; free some space or choose another disk',
  EFBIG: 'the file system does not allow a file of that size',
  EACCES: 'permission is missing (try as root)',
  EPERM: 'permission is missing (try as root)',
  EROFS: 'it is read-only',
  EBUSY: 'it is in use (mounted, swap, LVM or RAID); unmount it first',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is no folder',
  EIO: 'the device reported an input/output error; check its cables and health',
  ENXIO: 'the device is gone',
  ENODEV: 'the device is gone',
  NO_ZSTD:
    'what arrives is compressed, and the library that unpacks it is missing; reinstall multiclient',
};

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
  const code = error.code ?? 'UNKNOWN';
  const fallback = verb === 'write' ? 'CANNOT_WRITE' : 'CANNOT_READ';
  const reason = REASONS[code] ?? error.message ?? code;
  return new Failure('target', CODES[code] ?? fallback, `cannot ${verb} ${path}: ${reason}`);
}
