/** How much room there is for a file, and what is said when an image is larger. */
import { type BigIntStats, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Failure } from '../../failure.js';
import { formatBytes } from '../../sizes.js';

/**
 * @param held the file that is written, if it is there: its room counts
 * @returns null when it cannot be found
 */
export function roomFor(path: string, held: BigIntStats | null): number | null {
  try {
    const { blocks, bavail, bsize } = statfsSync(dirname(resolve(path)));
    // Some file systems have no bounds, or tell none.
    if (blocks === 0) return null;
    return bavail * bsize + (held === null ? 0 : Number(held.blocks) * 512);
  } catch {
    // Whoever opens the file says what is wrong with its folder.
    return null;
  }
}

/** @throws Failure when a file that is allocated first cannot get its size */
export function refuseShortRoom(path: string, roomBytes: number | null, sizeBytes: number): void {
  if (roomBytes === null || roomBytes >= sizeBytes) return;
  const text =
    `cannot write ${path}: no space for all of it: its file system has room for ` +
    `${formatBytes(roomBytes)}, the image has ${formatBytes(sizeBytes)}; free some, choose ` +
    'another disk, or leave --no-sparse out if enough of the image is zeros';
  throw new Failure('target', 'NO_SPACE', text);
}

/** Of what is planned with a target. */
interface Place {
  path: string;
  kind: 'file' | 'device';
  roomBytes: number | null;
}

/** @returns what to tell before a file is written that may not fit; null when it does */
export function shortRoomText({ path, kind, roomBytes }: Place, sizeBytes: number): string | null {
  if (kind === 'device' || roomBytes === null || roomBytes >= sizeBytes) return null;
  const room = `the file system of ${path} has room for ${formatBytes(roomBytes)}`;
  return `${room}; the image has ${formatBytes(sizeBytes)}, of which zeros take no room`;
}
