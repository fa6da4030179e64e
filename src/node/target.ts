/**
 * Where a copy is written. A regular file grows as `NAME.part` and gets its name when it is
 * proven and synced; a block device is written in place.
 */
import { constants, existsSync, statSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Failure } from '../failure.js';
import { loadNative } from './native.js';
import { deviceSizeBytes } from './source.js';

export interface TargetOptions {
  /** What the operator named; undefined takes the image's name. */
  output: string | undefined;
  imageName: string;
  sizeBytes: number;
  sparse: boolean;
  force: boolean;
}

export class TargetFile {
  private constructor(
    readonly path: string,
    readonly kind: 'file' | 'device',
    /** Reads as zeros wherever nothing was written. */
    readonly isBlank: boolean,
    readonly description: string,
    private readonly handle: FileHandle,
  ) {}

  get fd(): number {
    return this.handle.fd;
  }

  /** @throws Failure when the target cannot take the image */
  static async open(options: TargetOptions): Promise<TargetFile> {
    const path = options.output ?? safeName(options.imageName);
    const stats = existsSync(path) ? statSync(path, { bigint: true }) : null;
    if (stats?.isBlockDevice()) {
      return TargetFile.#openDevice(path, deviceSizeBytes(stats), options);
    }
    if (stats !== null && !stats.isFile()) {
      throw new Failure('target', 'NOT_A_TARGET', `${path} is neither a file nor a block device`);
    }
    if (stats !== null && options.output === undefined && !options.force) {
      throw new Failure(
        'target',
        'EXISTS',
        `${path} exists already; name another file with -o, or replace it with --force`,
      );
    }
    return TargetFile.#openFile(path, options);
  }

  static async #openDevice(
    path: string,
    deviceBytes: number,
    options: TargetOptions,
  ): Promise<TargetFile> {
    if (deviceBytes < options.sizeBytes) {
      throw new Failure(
        'target',
        'TOO_SMALL',
        `${path} holds ${deviceBytes} bytes, the image has ${options.sizeBytes}; use a larger device`,
      );
    }
    try {
      // On a block device O_EXCL fails while it is mounted or claimed by swap, LVM or RAID.
      const handle = await open(path, constants.O_RDWR | constants.O_EXCL);
      return new TargetFile(path, 'device', false, `device of ${deviceBytes} bytes`, handle);
    } catch (error) {
      throw targetFailure(path, error as NodeJS.ErrnoException);
    }
  }

  static async #openFile(path: string, options: TargetOptions): Promise<TargetFile> {
    try {
      const handle = await open(`${path}.part`, 'w+');
      try {
        await handle.truncate(options.sizeBytes);
        if (!options.sparse) await allocate(handle, options.sizeBytes);
      } catch (error) {
        await handle.close();
        throw error;
      }
      const description = options.sparse ? 'file' : 'file, fully allocated';
      return new TargetFile(path, 'file', true, description, handle);
    } catch (error) {
      throw targetFailure(path, error as NodeJS.ErrnoException);
    }
  }

  /** Brings everything to the disk and gives the copy its name. */
  async finish(): Promise<void> {
    try {
      await this.handle.sync();
      await this.handle.close();
      if (this.kind === 'device') return;
      await rename(`${this.path}.part`, this.path);
      const folder = await open(dirname(resolve(this.path)), 'r');
      await folder.sync();
      await folder.close();
    } catch (error) {
      throw targetFailure(this.path, error as NodeJS.ErrnoException);
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** Reserves the file's whole size, so that too little space is found out now. */
async function allocate(handle: FileHandle, sizeBytes: number): Promise<void> {
  const native = loadNative();
  if (native !== null) {
    const status = native.allocate(handle.fd, sizeBytes);
    if (status === 0) return;
    const ENOSPC = 28;
    if (status === ENOSPC) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  }
  const zeros = Buffer.alloc(4 * 1024 * 1024);
  for (let at = 0; at < sizeBytes; at += zeros.length) {
    await handle.write(zeros, 0, Math.min(zeros.length, sizeBytes - at), at);
  }
}

/** The server's name for the image as a file name in this folder, without path or tricks. */
export function safeName(name: string): string {
  const base = basename(name.replaceAll('\\', '/'))
    .replace(/[^\p{L}\p{N}._+ -]/gu, '_')
    .replace(/^[. -]+/, '');
  return join('.', base === '' ? 'image' : base);
}

export function targetFailure(
  path: string,
  error: { code?: string | undefined; message?: string },
): Failure {
  const reasons: Record<string, string> = {
    ENOSPC: 'no space is left; free some or choose another disk',
    EFBIG: 'the file system does not allow a file of that size',
    EACCES: 'permission is missing (try as root)',
    EPERM: 'permission is missing (try as root)',
    EROFS: 'it is read-only',
    EBUSY: 'it is in use (mounted, swap, LVM or RAID); unmount it first',
    ENOENT: 'its folder does not exist',
    EIO: 'the device reported an input/output error; check its cables and health',
    ENXIO: 'the device is gone',
    ENODEV: 'the device is gone',
  };
  const code = error.code ?? 'UNKNOWN';
  return new Failure(
    'target',
    code === 'ENOSPC' ? 'NO_SPACE' : code === 'EBUSY' ? 'BUSY' : 'CANNOT_WRITE',
    `cannot write ${path}: ${reasons[code] ?? error.message ?? code}`,
  );
}
