/**
 * The number that tells a machine and its target apart from all others, in every run of a client.
 */

import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { resolve } from 'node:path';

/** Where the target leads to, as far as it exists. */
function placeOf(output: string | undefined): string {
  const path = resolve(output ?? '.');
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * @param output the target as the operator named it; undefined: named by the image, in this folder
 */
export function machineOf(output: string | undefined): bigint {
  const interfaces = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const cards = new Set(interfaces.filter(({ internal }) => !internal).map(({ mac }) => mac));
  const words = [hostname(), ...[...cards].sort(), placeOf(output)];
  return createHash('sha256').update(words.join('\0')).digest().readBigUInt64BE();
}
