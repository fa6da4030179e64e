/** Images to serve and places for copies: files, filesystems and loop devices. */

import { createCipheriv, createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { onCleanup } from './cleanup.js';
import { runTool } from './tools.js';

/** Part of a sparse image that holds random bytes. */
export interface DataRun {
  offsetBytes: number;
  lengthBytes: number;
}

const stepBytes = 1 << 20;

/** A folder in memory where the system has one, else in the system's folder for such things. */
export class Scratch {
  readonly folder: string;
  private readonly removeFolder: () => void;
  private readonly detach: (() => void)[] = [];

  constructor() {
    const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    this.folder = mkdtempSync(join(parent, 'mcast-'));
    this.removeFolder = onCleanup(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  makeFolder(name: string): string {
    const path = this.path(name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** A file of bytes that look random and depend on `seed` alone. */
  randomFile(name: string, sizeBytes: number, seed = name): string {
    return this.sparseFile(name, sizeBytes, [{ offsetBytes: 0, lengthBytes: sizeBytes }], seed);
  }

  /** A file of holes, but for the given runs of random bytes. */
  sparseFile(name: string, sizeBytes: number, runs: DataRun[], seed = name): string {
    const path = this.path(name);
    const fd = openSync(path, 'wx');
    try {
      ftruncateSync(fd, sizeBytes);
      const key = createHash('sha256').update(seed).digest();
      const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
      const zeros = Buffer.alloc(stepBytes);
      for (const run of runs) {
        for (let done = 0; done < run.lengthBytes; done += stepBytes) {
          const bytes = stream.update(
            zeros.subarray(0, Math.min(stepBytes, run.lengthBytes - done)),
          );
          writeSync(fd, bytes, 0, bytes.length, run.offsetBytes + done);
        }
      }
    } finally {
      closeSync(fd);
    }
    return path;
  }

  /** An ext4 filesystem with files of many sizes, proven sound. */
  ext4Image(name: string, sizeBytes: number, contentBytes: number): string {
    const folder = `${name}.files`;
    this.makeFolder(folder);
    let left = contentBytes;
    for (let count = 0; left > 0; count += 1) {
      const lengthBytes = Math.min(left, 1 + ((count * 7919 * 4099) % (2 * stepBytes)));
      this.randomFile(join(folder, `file-${count}`), lengthBytes);
      left -= lengthBytes;
    }
    const path = this.path(name);
    const args = ['-q', '-t', 'ext4', '-d', this.path(folder), path, `${sizeBytes / 1024}k`];
    runTool('mke2fs', args);
    checkFilesystem(path);
    return path;
  }

  /** @returns the path of a block device over the file, detached on close */
  loopDevice(path: string, sectorSizeBytes = 512): string {
    const sectors = ['--sector-size', `${sectorSizeBytes}`];
    const device = runTool('losetup', ['--find', '--show', ...sectors, path]).trim();
    this.detach.push(onCleanup(() => runTool('losetup', ['--detach', device])));
    return device;
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  remove(...paths: string[]): void {
    for (const path of paths) rmSync(path, { recursive: true, force: true });
  }

  /**
   * @param lengthBytes compare so many bytes; all, and the sizes too, if not given
   * @throws Error that says where the two differ
   */
  assertCopy(copy: string, image: string, lengthBytes?: number): void {
    const limit = lengthBytes === undefined ? [] : [`--bytes=${lengthBytes}`];
    runTool('cmp', [...limit, copy, image]);
  }

  /** Removes all that was made here. */
  close(): void {
    for (const detach of this.detach.splice(0)) detach();
    this.removeFolder();
  }
}

/** @throws Error with what e2fsck says when the filesystem is not sound */
export function checkFilesystem(path: string): void {
  runTool('e2fsck', ['-fn', path]);
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: stepBytes }), hash);
  return hash.digest('hex');
}

/** Bytes a file takes on its disk; less than its size when it has holes. */
export function allocatedBytes(path: string): number {
  return statSync(path).blocks * 512;
}
