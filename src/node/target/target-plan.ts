/**
 * Looks at a target, and says what will be done with it or why it cannot be used. Changes
 * nothing: `--dry-run` stops here.
 */

import {
  type BigIntStats,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Failure } from '../../failure.js';
import { formatBytes, formatExactBytes } from '../../sizes.js';
import { deviceNumber } from '../system/device-number.js';
import { loadNative } from '../system/native.js';
import { AUTO, chooseDisk } from './auto-target.js';
import { BlockDevice, type DeviceUse, listDisks, loopsOn } from './block-device.js';
import { refuseShortRoom, roomFor } from './room.js';
import { targetFailure } from './target-failure.js';
import type { TargetOptions } from './target-options.js';

/** As many as the system itself follows. */
const MAX_LINKS = 40;
const MAX_NAME_BYTES = 255;

export interface TargetPlan {
  /** The name that the copy will have. */
  path: string;
  kind: 'file' | 'device';
  /** Where the bytes go until the copy is proven. */
  workPath: string;
  /** An existing file that becomes the work file when it is first written to. */
  takesOver: string | null;
  /** It has another name that must go on meaning what it does: the work file is a copy of it. */
  isCopied: boolean;
  /** Rights and owner of the file that is replaced; null when there is none. */
  inherits: { mode: number; uid: number; gid: number } | null;
  holdsEarlierData: boolean;
  /** Kind, size and, of a device, whose it is: for people. */
  description: string;
  /** Bytes of a device, or that a file may have where it lies; null when that is not known. */
  roomBytes: number | null;
  /** Where a device's partitions begin now, in bytes. */
  partitionStarts: number[];
  /** What else uses a device, though the operator insists. */
  isForced: boolean;
  /** Paths of what would be overwritten: nobody on this host may serve or write them. */
  mustBeFree: string[];
}

/** @throws Failure when the target cannot take the image */
export function planTarget(options: TargetOptions): TargetPlan {
  const isChosen = options.output === AUTO;
  const wanted = isChosen
    ? chooseDisk(options.sizeBytes)
    : (options.output ?? safeName(options.imageName));
  refuseLongName(wanted);
  const path = whereLeads(wanted);
  refuseLongName(path);
  const stats = statOf(path);
  if (stats?.isBlockDevice()) return planDevice(path, stats, options);
  if (stats?.isDirectory()) {
    throw new Failure('target', 'NOT_A_TARGET', `${path} is a folder; name a file in it`);
  }
  if (stats !== null && !stats.isFile()) {
    throw new Failure('target', 'NOT_A_TARGET', `${path} is neither a file nor a block device`);
  }
  if (isAmongDevices(path)) throw noDevice(path);
  return options.check ? planCheck(path, stats, options) : planFile(path, stats, options);
}

/** File systems have their own limit; what is longer than this none of them takes. */
function refuseLongName(path: string): void {
  if (Buffer.byteLength(`${basename(path)}.part`) <= MAX_NAME_BYTES) return;
  const name = basename(path);
  const text = `the name ${name} is too long for a file and its .part; give another with -o`;
  throw new Failure('target', 'NAME_TOO_LONG', text);
}

/**
 * Where symbolic links lead in the end, be there something or not: the copy and its work file lie
 * there.
 */
function whereLeads(path: string): string {
  let place = path;
  for (let links = 0; links < MAX_LINKS && isLink(place); links++) {
    const next = resolve(dirname(place), readlinkSync(place));
    // Links among the devices only name them: messages speak of the name that was given.
    if (statOf(next)?.isBlockDevice()) return path;
    place = next;
  }
  return place;
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/**
 * What cannot be renamed at the end is found out now.
 * @throws Failure when the file in the way, or its folder, may not be changed
 */
function refuseFixed(path: string, stats: BigIntStats | null, workPath: string): void {
  const folder = dirname(resolve(path));
  for (const place of [path, workPath, folder]) {
    const how = fixedHow(place);
    if (how === null) continue;
    const text =
      `${place} is ${how}, so that ${path} cannot be replaced; change that with ` +
      `'chattr -${how === 'immutable' ? 'i' : 'a'} ${place}'`;
    throw new Failure('target', 'CANNOT_WRITE', text);
  }
  const uid = process.geteuid?.() ?? 0;
  const around = statOf(folder);
  const STICKY = 0o1000n;
  const isOthers = stats !== null && uid !== 0 && stats.uid !== BigInt(uid);
  if (isOthers && around !== null && (around.mode & STICKY) !== 0n && around.uid !== BigInt(uid)) {
    const text =
      `${path} belongs to somebody else, and its folder lets only owners replace ` +
      `files; name another`;
    throw new Failure('target', 'CANNOT_WRITE', text);
  }
}

/**
 * An image may be larger than what it takes, but not by any measure: a name for 281 TB helps
 * nobody.
 */
const MAX_TIMES_THE_DISK = 128;

function refuseAbsurd(path: string, { sizeBytes, force }: TargetOptions): void {
  const folder = dirname(resolve(path));
  // A folder that is not there is told of when it is opened.
  if (!existsSync(folder)) return;
  const { blocks, bsize } = statfsSync(folder);
  const diskBytes = blocks * bsize;
  if (force || diskBytes === 0 || sizeBytes <= MAX_TIMES_THE_DISK * diskBytes) return;
  throw new Failure(
    'target',
    'TOO_SMALL',
    `the image has ${formatBytes(sizeBytes)}, the file system of ${path} holds ` +
      `${formatBytes(diskBytes)}: name another place, or --force if hardly any of the image is ` +
      'data',
  );
}

/** Marks that not even root may pass over (chattr). */
function fixedHow(path: string): 'immutable' | 'append-only' | null {
  const native = loadNative();
  if (native === null || !existsSync(path)) return null;
  const IMMUTABLE = 0x10;
  const APPEND_ONLY = 0x20;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // Whoever opens it to write says why that cannot be.
    return null;
  }
  try {
    const flags = native.fileFlags(fd) ?? 0;
    if ((flags & IMMUTABLE) !== 0) return 'immutable';
    return (flags & APPEND_ONLY) !== 0 ? 'append-only' : null;
  } finally {
    closeSync(fd);
  }
}

function statOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw targetFailure(path, error as NodeJS.ErrnoException);
  }
}

function planDevice(path: string, stats: BigIntStats, options: TargetOptions): TargetPlan {
  const device = new BlockDevice(deviceNumber(stats.rdev));
  const { sizeBytes, identity, partitions } = device;
  const label = identity === '' ? path : `${path} (${identity})`;
  if (sizeBytes === null) {
    throw new Failure('target', 'NO_SIZE', `the size of ${label} cannot be found in /sys`);
  }
  if (sizeBytes < options.sizeBytes) {
    throw new Failure(
      'target',
      'TOO_SMALL',
      `${label} holds ${formatExactBytes(sizeBytes)}, the image has ` +
        `${formatExactBytes(options.sizeBytes)}; use a larger device`,
    );
  }
  if (!options.check) {
    if (device.isReadOnly) {
      throw new Failure('target', 'READ_ONLY', `${label} is read-only; unlock it or use another`);
    }
    refuseUses(label, device.uses(), options.force);
    refuseOtherSectors(label, device.sectorSizeBytes, options);
  }
  const details = [`device of ${formatExactBytes(sizeBytes)}`];
  if (identity !== '') details.push(identity);
  if (partitions.length > 0) details.push(`holds partitions ${partitions.join(', ')}`);
  return {
    path,
    kind: 'device',
    workPath: path,
    takesOver: null,
    isCopied: false,
    inherits: null,
    holdsEarlierData: options.resume || options.check,
    description: details.join(', '),
    roomBytes: sizeBytes,
    partitionStarts: device.partitionStarts,
    isForced: options.force && device.uses().length > 0,
    mustBeFree: options.check ? [] : [path, ...device.overlapping],
  };
}

/**
 * A partition table means other places where sectors have another size: nothing would start from
 * it.
 */
function refuseOtherSectors(
  label: string,
  deviceBytes: number | null,
  { sectorSizeBytes: imageBytes, force }: TargetOptions,
): void {
  if (imageBytes === 0 || deviceBytes === null || imageBytes === deviceBytes || force) return;
  throw new Failure(
    'target',
    'SECTOR_SIZE',
    `the image's partition table counts in sectors of ${imageBytes} bytes, ${label} has ` +
      `sectors of ` +
      `${deviceBytes}: no system would find its partitions there; use another disk, or --force`,
  );
}

/**
 * Whether a file there would lie in memory, among the devices: somebody mistyped the name of one.
 */
function isAmongDevices(path: string): boolean {
  const place = dirname(resolve(path));
  const devices = statOf('/dev');
  if (devices === null || statOf(place)?.dev !== devices.dev) return false;
  // In a bare chroot it is a folder like any other: only what lies in it is among the devices.
  const isPlainFolder = devices.dev === statOf('/')?.dev;
  return !isPlainFolder || /^\/dev(\/|$)/.test(realpathSync(place));
}

function noDevice(path: string): Failure {
  const disks = listDisks();
  const list = disks.length === 0 ? '' : `. The disks that there are:\n${disks.join('\n')}`;
  return new Failure('target', 'NO_DEVICE', `there is no device ${path}${list}`);
}

/** Mounted file systems, swap and the system's own disk are refused whatever is forced. */
function refuseUses(label: string, uses: readonly DeviceUse[], force: boolean): void {
  const use =
    uses.find(({ kind }) => kind === 'system') ??
    uses.find(({ kind }) => kind === 'mounted' || kind === 'swap') ??
    uses[0];
  if (use === undefined) return;
  const mayForce = use.kind === 'holder' || use.kind === 'loop';
  if (mayForce && force) return;
  const advice: Record<DeviceUse['kind'], string> = {
    system: 'choose another disk',
    mounted: 'unmount it first, or choose another disk',
    swap: 'switch it off with swapoff first, or choose another disk',
    holder: 'release it there first, or choose another disk',
    loop: 'detach it with losetup -d first, or choose another disk',
  };
  const code = use.kind === 'system' ? 'SYSTEM_DISK' : 'BUSY';
  throw new Failure('target', code, `${label} is in use: ${use.text}; ${advice[use.kind]}`);
}

function planCheck(path: string, stats: BigIntStats | null, options: TargetOptions): TargetPlan {
  if (stats === null) {
    throw new Failure('target', 'NO_TARGET', `there is no ${path} to check; name it with -o`);
  }
  const isOtherSize = Number(stats.size) !== options.sizeBytes;
  const remark = isOtherSize ? `, the image has ${formatExactBytes(options.sizeBytes)}` : '';
  return {
    path,
    kind: 'file',
    workPath: path,
    takesOver: null,
    isCopied: false,
    inherits: null,
    holdsEarlierData: true,
    description: `file of ${formatExactBytes(Number(stats.size))}${remark}`,
    roomBytes: null,
    partitionStarts: [],
    isForced: false,
    mustBeFree: [],
  };
}

function planFile(path: string, stats: BigIntStats | null, options: TargetOptions): TargetPlan {
  const workPath = `${path}.part`;
  if (isLink(workPath)) {
    throw new Failure('target', 'NOT_A_TARGET', `${workPath} is in the way: it is a symbolic link`);
  }
  const part = statOf(workPath);
  if (part !== null && !part.isFile()) {
    throw new Failure('target', 'NOT_A_TARGET', `${workPath} is in the way: it is not a file`);
  }
  const mayTakeOver = stats !== null && part === null && options.resume;
  const isNamedByImage = options.output === undefined;
  const isNamed = !isNamedByImage || options.force || options.resume;
  if (stats !== null && !isNamed) {
    throw new Failure(
      'target',
      'EXISTS',
      `${path} exists already; name another file with -o, bring it up to date with --resume, ` +
        'or replace it with --force',
    );
  }
  refuseFixed(path, stats, workPath);
  refuseAbsurd(path, options);
  const present = [...(stats === null ? [] : [path]), ...(part === null ? [] : [workPath])];
  for (const file of present) refuseLoopOn(file);
  const earlier = part ?? (mayTakeOver ? stats : null);
  const roomBytes = roomFor(workPath, earlier);
  if (!options.sparse) refuseShortRoom(path, roomBytes, options.sizeBytes);
  const allocated = options.sparse ? '' : ', fully allocated';
  const size = isNamedByImage ? ` of ${formatBytes(options.sizeBytes)}` : '';
  const place = isNamedByImage ? ` in ${dirname(resolve(path))}, as no -o names another place` : '';
  const what =
    earlier === null
      ? `file${size}`
      : `file${size} with ${formatBytes(Number(earlier.size))} of an earlier copy`;
  return {
    path,
    kind: 'file',
    workPath,
    takesOver: mayTakeOver ? path : null,
    isCopied: mayTakeOver && stats.nlink > 1n,
    inherits:
      stats === null
        ? null
        : { mode: Number(stats.mode) & 0o7777, uid: Number(stats.uid), gid: Number(stats.gid) },
    holdsEarlierData: earlier !== null && earlier.size > 0n,
    description: `${what}${allocated}${place}`,
    roomBytes,
    partitionStarts: [],
    isForced: false,
    mustBeFree: present,
  };
}

/** A file that is used as a device just now must not be replaced under its users. */
function refuseLoopOn(path: string): void {
  const loop = loopsOn(realpathSync(path))[0];
  if (loop === undefined) return;
  const text = `${path} is in use: loop device ${loop} is set up on it; detach it first`;
  throw new Failure('target', 'BUSY', text);
}

/** The server's name for the image as a file name in this folder, without path or tricks. */
export function safeName(name: string): string {
  const base = basename(name.replaceAll('\\', '/'))
    .replace(/[^\p{L}\p{N}._+ -]/gu, '_')
    .replace(/^[. -]+/, '');
  return join('.', base === '' ? 'image' : base);
}
