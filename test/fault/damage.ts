/** Changes to files behind a program's back, and file systems that are too small. */

import { closeSync, mkdirSync, openSync, truncateSync, writeSync } from 'node:fs';
import { onCleanup } from '../lab/cleanup.js';
import { runTool } from '../lab/tools.js';

/** Writes bytes that differ from what random content has there, but for one case in 256 each. */
export function overwrite(path: string, offsetBytes: number, lengthBytes: number): void {
  const file = openSync(path, 'r+');
  try {
    writeSync(file, Buffer.alloc(lengthBytes, 0xa5), 0, lengthBytes, offsetBytes);
  } finally {
    closeSync(file);
  }
}

/**
 * Takes away all that is behind a loop device, as when a stick is pulled out. What the system
 * still holds in memory for it has nowhere to go.
 */
export function emptyDevice(device: string, backing: string): void {
  truncateSync(backing, 0);
  runTool('losetup', ['--set-capacity', device]);
}

/** A file system in memory with so much room, mounted on a folder that is made for it. */
export class SmallDisk {
  readonly path: string;
  private readonly undo: (() => void)[] = [];

  constructor(path: string, sizeBytes: number) {
    this.path = path;
    mkdirSync(path);
    runTool('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', path]);
    this.undo.push(onCleanup(() => runTool('umount', [path])));
  }

  /** @returns a block device over a file in here */
  loopDevice(file: string): string {
    const device = runTool('losetup', ['--find', '--show', file]).trim();
    this.undo.push(onCleanup(() => runTool('losetup', ['--detach', device])));
    return device;
  }

  resize(sizeBytes: number): void {
    runTool('mount', ['-o', `remount,size=${sizeBytes}`, this.path]);
  }

  /** To be called when nobody uses it any more, and before the folder around it is removed. */
  close(): void {
    for (const undo of this.undo.splice(0).reverse()) undo();
  }
}
