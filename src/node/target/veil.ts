/**
 * Keeps a device from looking whole before it is. Firmware, boot loaders and the system know a disk
 * by its first sectors; so these are cleared before anything else is written, and written last,
 * when all else is on the disk. Until then the first chunk lives in a file without a name.
 */

import {
  closeSync,
  constants,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../../failure.js';
import { syncHandle } from '../system/leave.js';

/** What is written last of all: the sector that says that there is something. */
const LAST_BYTES = 4096;

export class Veil {
  private readonly deviceFd: number;
  private readonly lengthBytes: number;
  /** Holds what the first chunk is to be. */
  readonly fd: number;
  private isDrawn = false;
  private isChanged: boolean;

  /**
   * @param deviceFd open for reading and writing
   * @param lengthBytes of the image's first chunk
   * @throws Failure when there is no place for that
   */
  constructor(deviceFd: number, lengthBytes: number) {
    this.deviceFd = deviceFd;
    this.lengthBytes = lengthBytes;
    const there = present(deviceFd, lengthBytes);
    // What cannot be read is written, whatever it is to be.
    this.isChanged = there === null;
    this.fd = openHolding(there ?? Buffer.alloc(lengthBytes));
  }

  /** Whether a place begins within the first chunk. */
  covers(offsetBytes: number): boolean {
    return offsetBytes < this.lengthBytes;
  }

  /** The bytes of a place that lie in the first chunk. */
  shareOf(offsetBytes: number, lengthBytes: number): number {
    return Math.max(0, Math.min(lengthBytes, this.lengthBytes - offsetBytes));
  }

  /** The first chunk is about to be written here. */
  change(): void {
    this.isChanged = true;
  }

  /** Something else is about to be written to the device: from now on it looks like nothing. */
  draw(): void {
    if (this.isDrawn) return;
    this.isDrawn = true;
    const zeros = Buffer.alloc(this.lengthBytes);
    writeFully(this.deviceFd, zeros, 0);
    fsyncSync(this.deviceFd);
  }

  /**
   * All else is on the disk: writes the first chunk, and its first sectors behind the rest of it.
   */
  async lift(device: FileHandle): Promise<void> {
    if (!this.isDrawn && !this.isChanged) return;
    const lastBytes = Math.min(LAST_BYTES, this.lengthBytes);
    copy(this.fd, this.deviceFd, lastBytes, this.lengthBytes);
    await syncHandle(device);
    copy(this.fd, this.deviceFd, 0, lastBytes);
    await syncHandle(device);
    this.isDrawn = false;
    this.isChanged = false;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** A device's first chunk as it is; null when it cannot be read. */
function present(deviceFd: number, lengthBytes: number): Buffer | null {
  try {
    return readFully(deviceFd, 0, lengthBytes);
  } catch {
    return null;
  }
}

/**
 * A file that nobody else sees, and that ends with its descriptor; in memory where that can be had.
 */
function openHolding(bytes: Buffer): number {
  const parents = ['/dev/shm', tmpdir()];
  for (const parent of parents) {
    let fd = -1;
    try {
      fd = openUnnamed(parent);
      writeFully(fd, bytes, 0);
      return fd;
    } catch {
      // It is not there, full or read-only: the next one.
      if (fd >= 0) closeSync(fd);
    }
  }
  const what = `the first ${bytes.length} bytes of the image are kept until all else is written`;
  const text =
    `${what}, and neither ${parents.join(' nor ')} takes them; make room, or name ` +
    `a folder with TMPDIR`;
  throw new Failure('target', 'NO_SPACE', text);
}

/** Of Linux, on all its processors: with O_DIRECTORY, a file that never had a name. */
const O_TMPFILE = 0o20_000_000 | constants.O_DIRECTORY;

function openUnnamed(parent: string): number {
  try {
    return openSync(parent, constants.O_RDWR | O_TMPFILE, 0o600);
  } catch {
    // Not every file system has such files. A program that is killed in between leaves a folder.
  }
  const folder = mkdtempSync(join(parent, 'multiclient-'));
  try {
    return openSync(join(folder, 'first-chunk'), 'wx+', 0o600);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function copy(from: number, to: number, startBytes: number, endBytes: number): void {
  writeFully(to, readFully(from, startBytes, endBytes), startBytes);
}

function readFully(from: number, startBytes: number, endBytes: number): Buffer {
  const bytes = Buffer.alloc(endBytes - startBytes);
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(from, bytes, done, bytes.length - done, startBytes + done);
    if (count === 0) throw Object.assign(new Error('unexpected end'), { code: 'EIO' });
    done += count;
  }
  return bytes;
}

function writeFully(fd: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, offsetBytes + done);
  }
}
