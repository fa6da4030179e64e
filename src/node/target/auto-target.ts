/**
 * `--output auto`: the one disk of this machine that can take the image. Nothing is chosen by a
 * guess: with none or several that fit, all are named, with what speaks against each.
 */
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../failure.js';
import { formatBytes } from '../../sizes.js';
import { BlockDevice, SYSTEM, type SystemFiles } from './block-device.js';

/** What the operator writes for a disk that is chosen. */
export const AUTO = 'auto';

/** No disks of a machine: made of files, memory or other disks, or read by light. */
const OTHER_DEVICES = /^(loop|ram|zram|sr|fd|dm-|md|nbd|mtdblock|pmem|drbd|bcache|zd)\d/;

/** What choosing needs of the system besides its files. */
export interface DiskSystem extends SystemFiles {
  /** Whether some program or file system keeps the device for itself. */
  isHeld(path: string): boolean;
}

const DISKS: DiskSystem = {
  ...SYSTEM,
  isHeld(path) {
    try {
      // Linux grants this while nobody else has it so: file systems, swap, LVM, RAID, ZFS do.
      closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL));
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EBUSY';
    }
  },
};

interface Disk {
  path: string;
  sizeBytes: number;
  /** Name, size, model and serial number. */
  description: string;
  /** Why no image may go there; null when one may. */
  objection: string | null;
  /** What speaks against it can be ended: somebody uses it, and it is not the system. */
  canBeFreed: boolean;
}

type Objection = Pick<Disk, 'objection' | 'canBeFreed'>;

/**
 * @param sizeBytes of the image
 * @returns the path of the disk
 * @throws Failure when not exactly one disk can take the image (`NO_DISK`, `SEVERAL_DISKS`)
 */
export function chooseDisk(sizeBytes: number, system: DiskSystem = DISKS): string {
  const disks = findDisks(system).map((disk) =>
    disk.sizeBytes < sizeBytes ? { ...disk, ...tooSmall(disk) } : disk,
  );
  const fitting = disks.filter(({ objection }) => objection === null);
  if (fitting.length > 1) throw severalDisks(fitting);
  if (fitting[0] === undefined) throw noDisk(disks);
  return fitting[0].path;
}

/**
 * What of a choice is certain before the image's size is known.
 * @throws Failure as `chooseDisk`, when it would fail with every image
 */
export function refuseChoiceEarly(system: DiskSystem = DISKS): void {
  const disks = findDisks(system);
  const usable = disks.filter(({ objection }) => objection === null);
  if (usable.length === 0) throw noDisk(disks);
  const mostBytes = Math.max(...usable.map(({ sizeBytes }) => sizeBytes));
  const largest = usable.filter((disk) => disk.sizeBytes === mostBytes);
  // Whatever the image, these are too small for it together, or fit it together.
  if (largest.length > 1) throw severalDisks(usable);
}

/** However it is used: no freeing it helps. */
const tooSmall = ({ objection }: Disk): Objection => ({
  objection: [...(objection === null ? [] : [objection]), 'too small for the image'].join(', '),
  canBeFreed: false,
});

function severalDisks(fitting: readonly Disk[]): Failure {
  const text = `several disks could take the image (-o auto); name the one that is meant with -o:`;
  return new Failure('target', 'SEVERAL_DISKS', `${text}\n${listOf(fitting)}`);
}

function noDisk(disks: readonly Disk[]): Failure {
  if (disks.length === 0) {
    const text = 'this machine shows no disk (-o auto): look at its controller, and its driver';
    return new Failure('target', 'NO_DISK', text);
  }
  const text = disks.some(({ canBeFreed }) => canBeFreed)
    ? 'no disk can be chosen (-o auto); free one that is in use, or name the target with -o:'
    : 'no disk of this machine can take the image (-o auto); name a target with -o, if one of ' +
      'these is meant all the same, or add a disk:';
  return new Failure('target', 'NO_DISK', `${text}\n${listOf(disks)}`);
}

function listOf(disks: readonly Disk[]): string {
  return disks
    .map(({ description, objection }) => `  ${description}${objection ? `: ${objection}` : ''}`)
    .join('\n');
}

/** The machine's disks, by name. Readers without a card have no size, and are none. */
function findDisks(system: DiskSystem): Disk[] {
  const block = join(system.root, 'sys/block');
  let names: string[];
  try {
    names = readdirSync(block).sort();
  } catch {
    return [];
  }
  const disks: Disk[] = [];
  for (const name of names) {
    if (OTHER_DEVICES.test(name)) continue;
    // One path of several to an NVMe disk is hidden, and has no number.
    const number = read(block, name, 'dev');
    if (number === null) continue;
    const device = new BlockDevice(number, system);
    const { sizeBytes, identity } = device;
    if (sizeBytes === null || sizeBytes === 0) continue;
    const path = `/dev/${name.replaceAll('!', '/')}`;
    const words = [path, formatBytes(sizeBytes), ...(identity === '' ? [] : [identity])];
    const objection = objectionTo(device, join(block, name), path, system);
    disks.push({ path, sizeBytes, description: words.join(', '), ...objection });
  }
  return disks;
}

function objectionTo(
  device: BlockDevice,
  folder: string,
  path: string,
  system: DiskSystem,
): Objection {
  const uses = device.uses();
  const use = uses.find(({ kind }) => kind === 'system') ?? uses[0];
  const lasting = device.isReadOnly
    ? 'read-only'
    : isRemovable(folder)
      ? 'removable'
      : existsSync(join(folder, 'device'))
        ? null
        : 'no disk of hardware';
  const isHeld = use === undefined && lasting === null && system.isHeld(path);
  const passing = use?.text ?? (isHeld ? 'in use by a program or a file system' : null);
  return {
    objection: passing ?? lasting,
    canBeFreed: passing !== null && lasting === null && use?.kind !== 'system',
  };
}

/** Sticks, cards, and whatever hangs on USB: what somebody carries about is not the machine's. */
function isRemovable(folder: string): boolean {
  if (read(folder, 'removable') === '1' || read(folder, 'device/type') === 'SD') return true;
  try {
    return /\/usb\d+\//.test(realpathSync(folder));
  } catch {
    return false;
  }
}

function read(...parts: string[]): string | null {
  try {
    return readFileSync(join(...parts), 'utf8').trim();
  } catch {
    return null;
  }
}
