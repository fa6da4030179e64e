/** Who may write to a source while it is served: a mounted file system, or swap space. */
import { realpathSync } from 'node:fs';
import { BlockDevice, loopsOn, SYSTEM, type SystemFiles } from '../target/block-device.js';

/** Loop devices may lie on loop devices; nobody stacks so many. */
const MOST_DEVICES = 256;

/**
 * @param path a file or block device
 * @returns who, as a clause with the advice that fits; null when nobody does
 */
export function writerOf(path: string, files: SystemFiles = SYSTEM): string | null {
  const own = files.deviceOf(path);
  const numbers = own === null ? numbersOf(loopsOn(realpathSync(path), files), files) : [own];
  const seen = new Set(numbers);
  for (const number of seen) {
    const device = new BlockDevice(number, files);
    for (const use of device.uses()) {
      if (use.isReadOnly) continue;
      if (use.kind === 'swap') return `${use.text}; switch it off with swapoff first`;
      if (use.kind !== 'mounted' && use.kind !== 'system') continue;
      return `${use.text}; unmount it, or remount it read-only (mount -o remount,ro)`;
    }
    for (const loop of numbersOf(device.loopDevices, files)) {
      if (seen.size < MOST_DEVICES) seen.add(loop);
    }
  }
  return null;
}

function numbersOf(names: readonly string[], files: SystemFiles): string[] {
  return names.map((name) => files.deviceOf(`/dev/${name}`)).filter((number) => number !== null);
}
