/** What a network interface says of its own speed. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const BYTES_PER_MS_OF_MBIT = 125;

/**
 * @param name of an interface
 * @returns bytes per millisecond; null when unknown, as for virtual interfaces, which make
 *   their speed up
 */
export function linkBytesPerMs(name: string, root = '/sys/class/net'): number | null {
  const folder = join(root, name);
  if (!existsSync(join(folder, 'device'))) return null;
  try {
    const megabits = Number(readFileSync(join(folder, 'speed'), 'utf8'));
    return megabits > 0 ? megabits * BYTES_PER_MS_OF_MBIT : null;
  } catch {
    return null;
  }
}
