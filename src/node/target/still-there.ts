/**
 * Whether what was written is still what its name leads to. A write to a file that was removed
 * succeeds, and so may one to a device that was pulled out a moment ago: neither is a copy.
 */
import { type FileHandle, stat } from 'node:fs/promises';
import { Failure } from '../../failure.js';
import type { TargetPlan } from './target-plan.js';

/** @throws Failure when it was removed, replaced or cut short */
export async function assertStillThere(
  handle: FileHandle,
  { workPath, kind }: TargetPlan,
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

/** The size of a device is asked for by reading: a missing one answers with nothing. */
async function reaches(handle: FileHandle, sizeBytes: number): Promise<boolean> {
  const { bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, sizeBytes - 1);
  return bytesRead === 1;
}

function gone(path: string, what: string): Failure {
  const text = `${path} ${what} while it was written: there is no copy; see what else uses it and start again`;
  return new Failure('target', 'TARGET_GONE', text);
}
