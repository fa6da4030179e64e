/** The image on the serving host: a file or a block device, opened for reading. */

import {
  type BigIntStats,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
} from 'node:fs';
import { basename } from 'node:path';
import { Failure } from '../../failure.js';
import { MAX_IMAGE_SIZE_BYTES } from '../../image/geometry.js';
import { sectorSizeOf } from '../../image/partition-table.js';
import { deviceNumber } from '../system/device-number.js';
import { fileTrouble } from '../system/file-trouble.js';
import { loadNative } from '../system/native.js';
import { fileShortage } from '../system/open-files.js';
import { claimDevice, isUsedUnseen, type Writer, writerOf } from './source-use.js';

export interface Source {
  fd: number;
  path: string;
  /** Base name, offered to clients. */
  name: string;
  sizeBytes: number;
  /** A file of our own that holds what `path` contains. */
  isUnpacked: boolean;
  /** Of a device: nobody can mount it while it is open. */
  isClaimed: boolean;
  /** Of a device: somebody has claimed it who cannot be seen from here. */
  hasUnseenUser: boolean;
}

const UNSEEN: Writer = {
  text:
    'somebody who cannot be seen from here has claimed it (a mount in a container, or a ' +
    'server of its disk)',
  advice: 'release it there',
};

/**
 * @param force serve it though somebody may write to it
 * @param tell gets what the operator should know
 * @throws Failure when it cannot be read, holds nothing, or is written to by others
 */
export function openSource(path: string, force: boolean, tell: (text: string) => void): Source {
  let fd: number;
  let isClaimed = false;
  try {
    // Opening a pipe would wait for whoever writes to it, and opening a terminal may do more.
    refuseOddKind(path);
    const claimed = statSync(path).isBlockDevice() ? claimDevice(path) : null;
    isClaimed = claimed !== null;
    fd = claimed ?? openSync(path, 'r');
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw cannotRead(path, error as NodeJS.ErrnoException);
  }
  try {
    // Held while it is served, so that no client on this host takes it for its target.
    if (loadNative()?.lock(fd, false) === false) throw isBeingWritten(path);
    const stats = fstatSync(fd, { bigint: true });
    const sizeBytes = stats.isBlockDevice() ? deviceSizeBytes(stats) : Number(stats.size);
    if (sizeBytes === 0) {
      throw new Failure('source', 'EMPTY', `${path} is empty: there is nothing to serve`);
    }
    if (sizeBytes > MAX_IMAGE_SIZE_BYTES) {
      const most = `${MAX_IMAGE_SIZE_BYTES / 2 ** 40} TiB`;
      const what = `${path} is too large: an image has at most ${most}`;
      const text = `${what}; serve its partitions one by one`;
      throw new Failure('source', 'IMAGE_TOO_LARGE', text);
    }
    const isUnseen = stats.isBlockDevice() && !isClaimed && isUsedUnseen(path, fd);
    refuseUse(path, writerOf(path) ?? (isUnseen ? UNSEEN : null), force, tell);
    const name = basename(path);
    return { fd, path, name, sizeBytes, isUnpacked: false, isClaimed, hasUnseenUser: isUnseen };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function refuseOddKind(path: string): void {
  const stats = statSync(path);
  if (stats.isFile() || stats.isBlockDevice()) return;
  const text = stats.isDirectory()
    ? `${path} is a folder; name a file or a device`
    : `${path} is neither a file nor a block device; an image must allow reading at any place`;
  throw new Failure('source', 'NOT_AN_IMAGE', text);
}

/** What is written to while it is read becomes a mixture that no system ever was. */
function refuseUse(
  path: string,
  writer: Writer | null,
  force: boolean,
  tell: (text: string) => void,
): void {
  if (writer === null) return;
  const use = `${path} is in use: ${writer.text}; ${writer.advice}`;
  if (force) {
    tell(`${use}. It is served all the same; what is written may tear it`);
    return;
  }
  const text = `${use}, or --force to serve it all the same`;
  throw new Failure('source', 'BUSY', text);
}

function isBeingWritten(path: string): Failure {
  const text = `${path} is being written by a multiclient on this host; wait until that is done`;
  return new Failure('source', 'BUSY', text);
}

function cannotRead(path: string, error: NodeJS.ErrnoException): Failure {
  const shortage = fileShortage(error.code);
  if (shortage !== null) return shortage;
  return new Failure('source', 'CANNOT_READ', `cannot read ${path}: ${fileTrouble(path, error)}`);
}

/** What an image's partition table counts in; 0 when it has none, or does not tell. */
export function sectorSizeOfSource({ fd }: Source): number {
  return sectorSizeOf((offsetBytes, lengthBytes) => {
    const bytes = Buffer.alloc(lengthBytes);
    try {
      return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, offsetBytes));
    } catch {
      // A bad place tells nothing here; it is told when it is to be sent.
      return bytes.subarray(0, 0);
    }
  });
}

/** Size of a block device in bytes, from sysfs, which counts sectors of 512 bytes. */
function deviceSizeBytes(stats: BigIntStats): number {
  try {
    const path = `/sys/dev/block/${deviceNumber(stats.rdev)}/size`;
    return Number(readFileSync(path, 'utf8')) * 512;
  } catch {
    throw new Failure('source', 'NO_SIZE', 'the size of the block device cannot be found in /sys');
  }
}
