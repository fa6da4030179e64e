/**
 * What the system knows of a block device, from /sys, /proc and udev's notes: its size and name,
 * and who uses it. Where a file is missing (an old kernel, a container), the fact is missing.
 */

import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { formatBytes } from '../../sizes.js';
import { deviceNumber } from '../system/device-number.js';

/** Where the system's files are; tests put a folder of their own in its place. */
export interface SystemFiles {
  root: string;
  /** Device number ("8:1") of a special file, or null. */
  deviceOf(path: string): string | null;
}

export const SYSTEM: SystemFiles = {
  root: '/',
  deviceOf(path) {
    try {
      const stats = statSync(path, { bigint: true });
      return stats.isBlockDevice() ? deviceNumber(stats.rdev) : null;
    } catch {
      return null;
    }
  },
};

/** A reason why a device is in use, as a clause: 'it is mounted on /home'. */
export interface DeviceUse {
  kind: 'system' | 'mounted' | 'swap' | 'holder' | 'loop';
  text: string;
  /** Of a file system: nobody can write to it. */
  isReadOnly: boolean;
}

export class BlockDevice {
  private readonly files: SystemFiles;
  private readonly number: string;
  private readonly path: string;

  /** @param number "major:minor" */
  constructor(number: string, files: SystemFiles = SYSTEM) {
    this.files = files;
    this.number = number;
    this.path = this.sys(number);
  }

  private sys(number: string): string {
    return join(this.files.root, 'sys/dev/block', number);
  }

  private read(...parts: string[]): string | null {
    try {
      return readFileSync(join(...parts), 'utf8').trim();
    } catch {
      return null;
    }
  }

  /** Size in bytes; null when it cannot be found. Sysfs counts sectors of 512 bytes. */
  get sizeBytes(): number | null {
    const sectors = this.read(this.path, 'size');
    return sectors === null ? null : Number(sectors) * 512;
  }

  get isReadOnly(): boolean {
    return this.read(this.path, 'ro') === '1';
  }

  /** Bytes of the sectors that the disk counts in; null when it cannot be found. */
  get sectorSizeBytes(): number | null {
    const bytes = this.read(this.diskPath, 'queue/logical_block_size');
    return bytes === null ? null : Number(bytes);
  }

  get isPartition(): boolean {
    return existsSync(join(this.path, 'partition'));
  }

  /** Whether the system looks for partitions on it: not on loop devices, unless told so. */
  get isScanned(): boolean {
    const mark = this.read(this.path, 'partscan') ?? this.read(this.path, 'loop/partscan');
    return mark !== '0';
  }

  /** Where its partitions begin, in bytes. Sysfs counts sectors of 512 bytes. */
  get partitionStarts(): number[] {
    const starts = this.partitions.map((name) => Number(this.read(this.path, name, 'start')));
    return starts.map((sector) => sector * 512);
  }

  /** Model and serial number of the disk, as far as they are known: 'Samsung SSD 870 S5Y1'. */
  get identity(): string {
    const { model, serial } = this;
    const backing = this.read(this.diskPath, 'loop/backing_file');
    const words = [model ?? '', serial === null ? '' : `serial ${serial}`];
    if (backing !== null) words.push(`loop device of ${backing}`);
    return words.filter((word) => word !== '').join(', ');
  }

  /** Model of the disk; null when it cannot be found. */
  get model(): string | null {
    const { ID_MODEL } = this.diskNotes;
    return ID_MODEL?.replaceAll('_', ' ') ?? this.read(this.diskPath, 'device/model');
  }

  /** Serial number of the disk; null when it cannot be found. */
  get serial(): string | null {
    const disk = this.diskPath;
    // Disks of virtual machines keep theirs one folder above.
    const own = this.read(disk, 'device/serial') ?? this.read(disk, 'serial');
    return this.diskNotes.ID_SERIAL_SHORT ?? own;
  }

  /** Size of the whole disk in bytes; null when it cannot be found. */
  get diskBytes(): number | null {
    const sectors = this.read(this.diskPath, 'size');
    return sectors === null ? null : Number(sectors) * 512;
  }

  private get diskNotes(): Record<string, string> {
    return this.udevNotes(this.read(this.diskPath, 'dev') ?? this.number);
  }

  /** Where the system tells of the whole disk. */
  private get diskPath(): string {
    if (!this.isPartition) return this.path;
    // The path is a link: the folder above the one it leads to is the disk's.
    return dirname(realpathSync(this.path));
  }

  /**
   * Paths of what shares bytes with it: its disk or its partitions, the file behind a loop device.
   */
  get overlapping(): string[] {
    const disk = this.diskPath;
    const names = disk === this.path ? this.partitions : [basename(disk)];
    const backing = this.read(disk, 'loop/backing_file');
    const devices = names.map((name) => join(this.files.root, 'dev', name));
    return backing === null ? devices : [...devices, backing];
  }

  private udevNotes(number: string): Record<string, string> {
    const notes = this.read(this.files.root, 'run/udev/data', `b${number}`) ?? '';
    return Object.fromEntries(
      notes
        .split('\n')
        .map((line) => /^E:([^=]+)=(.*)$/.exec(line))
        .filter((match) => match !== null)
        .map((match) => [match[1]!, match[2]!]),
    );
  }

  /** Names of its partitions, in order. */
  get partitions(): string[] {
    return this.folders(this.path).filter((name) => existsSync(join(this.path, name, 'partition')));
  }

  private folders(path: string): string[] {
    try {
      return readdirSync(path).sort();
    } catch {
      return [];
    }
  }

  /**
   * The device, its partitions, and whatever is built on them (LVM, RAID, encryption), by number.
   * The value says how it hangs together: '', 'its partition sda1', 'LVM or RAID volume dm-0 on
   * it'.
   */
  private family(): Map<string, string> {
    const family = new Map<string, string>([[this.number, '']]);
    for (const number of family.keys()) {
      const path = this.sys(number);
      for (const name of this.folders(path)) {
        const own = this.read(path, name, 'dev');
        if (own !== null && existsSync(join(path, name, 'partition')) && !family.has(own)) {
          family.set(own, `its partition ${name}`);
        }
      }
      for (const name of this.folders(join(path, 'holders'))) {
        const own = this.read(path, 'holders', name, 'dev');
        if (own !== null && !family.has(own)) family.set(own, `${name}, which is built on it,`);
      }
    }
    return family;
  }

  /** Who uses the device, a part of it, or what is built on it. */
  uses(): DeviceUse[] {
    const family = this.family();
    return [
      ...this.mounts(family),
      ...this.swaps(family),
      ...this.holders(family),
      ...this.loops(family),
    ];
  }

  private mounts(family: Map<string, string>): DeviceUse[] {
    const uses: DeviceUse[] = [];
    for (const [line, process] of this.mountLines()) {
      const fields = line.split(' ');
      const source = fields[fields.indexOf('-') + 2] ?? '';
      const part = this.partOf(family, fields[2] ?? '', unescaped(source));
      if (part === undefined) continue;
      const where = unescaped(fields[4] ?? '');
      const isOwn = process === 'self';
      const isSystem = isOwn && (where === '/' || /^\/(boot|usr)(\/|$)/.test(where));
      const what = part === '' ? 'it' : part;
      const text = isSystem
        ? `the system runs from it (${what} is mounted on ${where})`
        : `${what} is mounted on ${where}${isOwn ? '' : `, as process ${process} sees it`}`;
      // Behind the dash: type, source, and the options of the file system itself.
      const options = (fields[fields.indexOf('-') + 3] ?? '').split(',');
      const isReadOnly = options.includes('ro');
      uses.push({ kind: isSystem ? 'system' : 'mounted', text, isReadOnly });
    }
    return uses;
  }

  /**
   * Lines of the mount tables of all namespaces, ours first, each with a process that lives there.
   */
  private *mountLines(): Generator<[line: string, process: string]> {
    const proc = join(this.files.root, 'proc');
    const seen = new Set<string>();
    for (const process of ['self', ...this.folders(proc).filter((name) => /^\d+$/.test(name))]) {
      const namespace = namespaceOf(join(proc, process, 'ns/mnt'));
      // Of other people's processes only root sees that.
      if (process !== 'self' && (namespace === null || seen.has(namespace))) continue;
      if (namespace !== null) seen.add(namespace);
      const table = this.read(proc, process, 'mountinfo') ?? '';
      for (const line of table.split('\n')) yield [line, process];
    }
  }

  /** File systems that span devices have numbers of their own: their source tells. */
  private partOf(family: Map<string, string>, number: string, source: string): string | undefined {
    const part = family.get(number);
    if (part !== undefined || !source.startsWith('/')) return part;
    const ofSource = this.files.deviceOf(source);
    return ofSource === null ? undefined : family.get(ofSource);
  }

  private swaps(family: Map<string, string>): DeviceUse[] {
    const uses: DeviceUse[] = [];
    const table = this.read(this.files.root, 'proc/swaps') ?? '';
    for (const line of table.split('\n').slice(1)) {
      const number = this.files.deviceOf(unescaped(line.split(/\s/)[0] ?? ''));
      const part = number === null ? undefined : family.get(number);
      if (part === undefined) continue;
      const text = `${part === '' ? 'it' : part} is swap space in use`;
      uses.push({ kind: 'swap', text, isReadOnly: false });
    }
    return uses;
  }

  private holders(family: Map<string, string>): DeviceUse[] {
    const uses: DeviceUse[] = [];
    for (const [number, part] of family) {
      for (const name of this.folders(join(this.sys(number), 'holders'))) {
        const label = this.read(this.sys(number), 'holders', name, 'dm/name') ?? name;
        const what = part === '' ? 'it' : part;
        uses.push({
          kind: 'holder',
          text: `${what} is held by ${label} (LVM, RAID or encryption)`,
          isReadOnly: false,
        });
      }
    }
    return uses;
  }

  private loops(family: Map<string, string>): DeviceUse[] {
    return this.loopNames(family).map((name) => ({
      kind: 'loop',
      text: `loop device ${name} is set up on it`,
      isReadOnly: false,
    }));
  }

  /** Names of the loop devices that are set up on it, its partitions, or what is built on them. */
  get loopDevices(): string[] {
    return this.loopNames(this.family());
  }

  private loopNames(family: Map<string, string>): string[] {
    const block = join(this.files.root, 'sys/block');
    return this.folders(block).filter((name) => {
      const backing = this.read(block, name, 'loop/backing_file');
      const number = backing === null ? null : this.files.deviceOf(backing);
      return number !== null && family.has(number);
    });
  }
}

function namespaceOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** The disks that there are, one line each: name, size and whose they are. */
export function listDisks(files: SystemFiles = SYSTEM): string[] {
  const block = join(files.root, 'sys/block');
  let names: string[];
  try {
    names = readdirSync(block).sort();
  } catch {
    return [];
  }
  const lines: string[] = [];
  for (const name of names) {
    let number: string;
    try {
      number = readFileSync(join(block, name, 'dev'), 'utf8').trim();
    } catch {
      continue;
    }
    const device = new BlockDevice(number, files);
    const { sizeBytes, identity } = device;
    // Loop devices, card readers and the like that hold nothing.
    if (sizeBytes === null || sizeBytes === 0) continue;
    lines.push(
      `  /dev/${name}, ${formatBytes(sizeBytes)}${identity === '' ? '' : `, ${identity}`}`,
    );
  }
  return lines;
}

/** Loop devices that are set up on a file. @param path absolute, without symbolic links */
export function loopsOn(path: string, files: SystemFiles = SYSTEM): string[] {
  const block = join(files.root, 'sys/block');
  try {
    return readdirSync(block).filter((name) => {
      try {
        return readFileSync(join(block, name, 'loop/backing_file'), 'utf8').trim() === path;
      } catch {
        return false;
      }
    });
  } catch {
    return [];
  }
}

/** Spaces and the like are written in octal in the system's tables. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
