/** The image on the serving host: a file or a block device, opened for reading. */
import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { Failure } from '../../failure.js';
import { sectorSizeOf } from '../../image/partition-table.js';
import { deviceNumber } from '../device-number.js';
import { loadNative } from '../native.js';

export interface Source {
  fd: number;
  path: string;
  /** Base name, offered to clients. */
  name: string;
  sizeBytes: number;
}

/** @throws Failure when it cannot be read, or holds nothing */
export function openSource(path: string): Source {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw cannotRead(path, error as NodeJS.ErrnoException);
  }
  try {
    // Held while it is served, so that no client on this host takes it for its target.
    if (loadNative()?.lock(fd, false) === false) throw isBeingWritten(path);
    const stats = fstatSync(fd, { bigint: true });
    if (stats.isDirectory()) {
      throw new Failure('source', 'NOT_AN_IMAGE', `${path} is a folder; name a file or a device`);
    }
    if (!stats.isFile() && !stats.isBlockDevice()) {
      throw new Failure(
        'source',
        'NOT_AN_IMAGE',
        `${path} is neither a file nor a block device; an image must allow reading at any place`,
      );
    }
    const sizeBytes = stats.isBlockDevice() ? deviceSizeBytes(stats) : Number(stats.size);
    if (sizeBytes === 0) {
      throw new Failure('source', 'EMPTY', `${path} is empty: there is nothing to serve`);
    }
    return { fd, path, name: basename(path), sizeBytes };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function isBeingWritten(path: string): Failure {
  const text = `${path} is being written by a multiclient on this host; wait until that is done`;
  return new Failure('source', 'BUSY', text);
}

function cannotRead(path: string, error: NodeJS.ErrnoException): Failure {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission is missing (try as root)',
    EPERM: 'permission is missing (try as root)',
  };
  const reason = reasons[error.code ?? ''] ?? error.message;
  return new Failure('source', 'CANNOT_READ', `cannot read ${path}: ${reason}`);
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
