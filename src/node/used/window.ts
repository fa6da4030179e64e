/**
 * A part of a file or device as a block device of its own: the programs that read file systems take
 * no offset. The loop device goes when its last descriptor does, so that nothing stays behind
 * whatever ends us; and it needs no name of the file, which an unpacked image does not have.
 *
 * Layout of `struct loop_config`: linux/loop.h.
 */

import { closeSync, openSync } from 'node:fs';
import { Failure } from '../../failure.js';
import { loadNative } from '../system/native.js';

const CONFIG_BYTES = 304;
const AT_FD = 0;
const AT_SECTOR_SIZE = 4;
const AT_OFFSET = 32;
const AT_LENGTH = 40;
const AT_FLAGS = 60;
const READ_ONLY = 1;
const GONE_WHEN_CLOSED = 4;

const EBUSY = 16;
/** Others take loop devices, too. */
const ATTEMPTS = 16;

export class Window {
  private constructor(
    /** `/dev/loop7`, for programs to open. */
    readonly path: string,
    readonly fd: number,
    readonly sizeBytes: number,
  ) {}

  /**
   * @param fd the source, open for reading
   * @param sectorSizeBytes 512 or 4096; offset and size are multiples of it, or the end is cut off
   * @throws Failure where the system gives no loop device
   */
  static open(fd: number, offsetBytes: number, sizeBytes: number, sectorSizeBytes = 512): Window {
    return Window.make(fd, offsetBytes, sizeBytes, sectorSizeBytes, false);
  }

  /** The same, to be written to. */
  static openWritable(fd: number, offsetBytes: number, sizeBytes: number): Window {
    return Window.make(fd, offsetBytes, sizeBytes, 512, true);
  }

  private static make(
    fd: number,
    offsetBytes: number,
    sizeBytes: number,
    sectorSizeBytes: number,
    isWritable: boolean,
  ): Window {
    const native = loadNative();
    if (native === null) throw noWindow('this needs Linux on a 64-bit machine, and koffi');
    const config = Buffer.alloc(CONFIG_BYTES);
    config.writeUInt32LE(fd, AT_FD);
    config.writeUInt32LE(sectorSizeBytes, AT_SECTOR_SIZE);
    config.writeBigUInt64LE(BigInt(offsetBytes), AT_OFFSET);
    config.writeBigUInt64LE(BigInt(sizeBytes), AT_LENGTH);
    config.writeUInt32LE((isWritable ? 0 : READ_ONLY) | GONE_WHEN_CLOSED, AT_FLAGS);
    const control = openForLoop('/dev/loop-control', 'r');
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const number = native.freeLoop(control);
        if (number < 0) throw noWindow('the system has no loop devices');
        const path = `/dev/loop${number}`;
        const loop = openForLoop(path, isWritable ? 'r+' : 'r');
        const trouble = native.configureLoop(loop, config);
        if (trouble === 0) return new Window(path, loop, sizeBytes);
        closeSync(loop);
        if (trouble !== EBUSY) throw noWindow(`${path} refuses the source (error ${trouble})`);
      }
      throw noWindow('others take each loop device that becomes free');
    } finally {
      closeSync(control);
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

function openForLoop(path: string, flags: string): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    throw noWindow(`${(error as Error).message}; try as root`);
  }
}

const noWindow = (why: string): Failure =>
  new Failure('source', 'NO_LOOP_DEVICE', `cannot look into the source's partitions: ${why}`);
