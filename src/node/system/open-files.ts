/** How many files may be open at once: each socket, image, thread and target takes some. */

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Failure } from '../../failure.js';

const BASE_COUNT = 48;
const COUNT_PER_CORE = 6;
/** What is usual suffices on the largest machine. */
const MAX_NEEDED = 256;

/**
 * Found out now: later it would show in any place, as a port in use or a package that is missing.
 */
export function refuseFewOpenFiles(): void {
  const needed = Math.min(MAX_NEEDED, BASE_COUNT + COUNT_PER_CORE * availableParallelism());
  const allowed = allowedCount();
  if (allowed !== null && allowed < needed) {
    throw outOfFiles(`this shell allows ${allowed} open files, and ${needed} are needed`);
  }
}

/** Null where the system does not tell, or sets no limit. Node has raised it as far as it may. */
function allowedCount(): number | null {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
    return soft === undefined ? null : Number(soft);
  } catch (error) {
    const shortage = fileShortage((error as NodeJS.ErrnoException).code);
    if (shortage !== null) throw shortage;
    return null;
  }
}

/**
 * @returns a failure that says so when the system has no file left to give; null for other codes
 */
export function fileShortage(code: string | undefined): Failure | null {
  if (code === 'EMFILE') return outOfFiles('too many files are open in this program');
  return code === 'ENFILE' ? outOfFiles('too many files are open on this machine') : null;
}

function outOfFiles(what: string): Failure {
  return new Failure('network', 'TOO_FEW_FILES', `${what}; raise the limit with 'ulimit -n 1024'`);
}
