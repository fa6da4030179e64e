/** A filesystem image like those that users copy: made of what this machine itself runs on. */

import { cpSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Scratch } from '../test/lab/scratch.js';
import { runTool } from '../test/lab/tools.js';

/** Programs, libraries, and texts of many kinds, in shares of the whole. */
const parts = [
  { folder: 'bin', share: 0.25 },
  { folder: 'lib', share: 0.4 },
  { folder: 'share', share: 0.35 },
];
/** A single large file would make the image one of that file. */
const largestFileBytes = 64 * 2 ** 20;

/**
 * An ext4 image with about `contentBytes` of this machine's `/usr`.
 *
 * @returns its path
 */
export function debianImage(
  scratch: Scratch,
  name: string,
  sizeBytes: number,
  contentBytes: number,
): string {
  const files = scratch.makeFolder(`${name}.files`);
  for (const { folder, share } of parts) {
    let leftBytes = contentBytes * share;
    const filter = (path: string): boolean => {
      const stats = lstatSync(path);
      if (stats.isDirectory()) return leftBytes > 0;
      if (stats.isSymbolicLink()) return true;
      if (!stats.isFile() || stats.size > Math.min(leftBytes, largestFileBytes)) return false;
      leftBytes -= stats.size;
      return true;
    };
    cpSync(join('/usr', folder), join(files, folder), {
      recursive: true,
      verbatimSymlinks: true,
      filter,
    });
  }
  const path = scratch.path(name);
  runTool('mke2fs', ['-q', '-t', 'ext4', '-d', files, path, `${sizeBytes / 1024}k`]);
  scratch.remove(files);
  return path;
}
