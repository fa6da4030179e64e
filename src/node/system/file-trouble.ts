/** Why a file that the operator named cannot be used, as a clause that says what to do. */

import { existsSync, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const REASONS: Record<string, string> = {
  EISDIR: 'it is a folder; name a file in it',
  ENOTDIR: 'a part of its path is no folder; look at the name',
  EROFS: 'its file system is read-only; name a place elsewhere',
  ENOSPC: 'no space is left there; free some, or name a place elsewhere',
  ENAMETOOLONG: 'its name is too long; give a shorter one',
  ELOOP: 'its links lead in a circle; look where they should lead',
};

/** @param error what opening, reading or writing it has thrown */
export function fileTrouble(path: string, error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return missing(path);
  if (code === 'EACCES' || code === 'EPERM') {
    if (process.geteuid?.() !== 0) return 'permission is missing (try as root)';
    return 'the system forbids it even to root; look at lsattr, and at what its file system is';
  }
  // Node puts its code in front, and the call and the path behind.
  return REASONS[code] ?? message.replace(/^E[A-Z0-9]+: /, '').replace(/, [a-z]+( '.*')?$/, '');
}

/** Whoever gave a name in the wrong folder sees which one it was taken from. */
function missing(path: string): string {
  const folder = dirname(resolve(path));
  const end = endOfLink(path);
  if (end !== null)
    return `it is a link to ${end}, which does not exist; look where it should lead`;
  if (existsSync(folder)) return `there is no such file in ${folder}`;
  return `its folder ${folder} does not exist; make it, or look at the name`;
}

/** What a link names; null for what is none. */
function endOfLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
