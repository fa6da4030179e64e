/**
 * File systems of many kinds as people have them: filled with files, half of which were deleted,
 * so that what is unused is full of what nobody may see. Where the kernel lacks a driver, FUSE or
 * programs that need none put the files in.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../sim/random.js';
import { onCleanup } from './cleanup.js';
import type { Scratch } from './scratch.js';
import { runTool } from './tools.js';

const mebibyte = 1 << 20;

export interface Kind {
  sizeBytes: number;
  make(path: string): void;
  /** Null where the files are put in by mtools. */
  mount: ((path: string, folder: string) => void) | null;
  /** Its own check, which changes nothing. @throws Error when it is not sound */
  check(path: string): void;
}

const mounted = (path: string, folder: string): void => {
  runTool('mount', ['-o', 'loop', path, folder]);
};

/** For drivers that want a device. It goes when it is unmounted. */
function throughDevice(path: string, folder: string, driver: string): void {
  const device = runTool('losetup', ['--find', '--show', path]).trim();
  try {
    runTool(driver, [device, folder]);
  } finally {
    runTool('losetup', ['--detach', device]);
  }
}

const ext = (type: string, ...options: string[]): Kind => ({
  sizeBytes: 96 * mebibyte,
  make: (path) => void runTool('mke2fs', ['-q', '-t', type, ...options, path]),
  mount: mounted,
  check: (path) => void runTool('e2fsck', ['-fn', path]),
});

const fat = (sizeBytes: number, ...options: string[]): Kind => ({
  sizeBytes,
  make: (path) => void runTool('mkfs.vfat', [...options, path]),
  mount: null,
  check: (path) => void runTool('fsck.vfat', ['-n', path]),
});

export const kinds: Record<string, Kind> = {
  'ext4 of 1 KiB': ext('ext4', '-b', '1024'),
  'ext4 of 4 KiB': ext('ext4', '-b', '4096'),
  'ext4 of 64 bits': ext('ext4', '-b', '4096', '-O', '64bit,metadata_csum'),
  'ext4 of 32 bits': ext('ext4', '-b', '2048', '-O', '^64bit,^metadata_csum,^flex_bg'),
  'ext4 bigalloc': ext('ext4', '-b', '4096', '-O', 'bigalloc', '-C', '65536'),
  'ext4 bigalloc of 1 KiB': ext('ext4', '-b', '1024', '-O', 'bigalloc', '-C', '16384'),
  ext2: ext('ext2'),
  ntfs: {
    sizeBytes: 96 * mebibyte,
    make: (path) => void runTool('mkntfs', ['-qF', path]),
    mount: (path, folder) => void runTool('ntfs-3g', [path, folder]),
    check: (path) => void runTool('ntfsfix', ['-n', path]),
  },
  FAT32: fat(80 * mebibyte, '-F', '32', '-s', '1'),
  FAT16: fat(64 * mebibyte, '-F', '16'),
  exfat: {
    sizeBytes: 96 * mebibyte,
    make: (path) => void runTool('mkfs.exfat', [path]),
    mount: (path, folder) => throughDevice(path, folder, 'mount.exfat-fuse'),
    check: (path) => void runTool('fsck.exfat', ['-n', path]),
  },
  xfs: {
    sizeBytes: 320 * mebibyte,
    make: (path) => void runTool('mkfs.xfs', ['-q', path]),
    mount: mounted,
    check: (path) => void runTool('xfs_repair', ['-n', '-f', path]),
  },
  btrfs: {
    sizeBytes: 256 * mebibyte,
    make: (path) => void runTool('mkfs.btrfs', ['-q', path]),
    mount: mounted,
    check: (path) => void runTool('btrfs', ['check', '--check-data-csum', path]),
  },
};

export interface Filled {
  path: string;
  /** Digests of the files that are there. */
  digests: Map<string, string>;
  /** 16 bytes of each 64 KiB of the files that were deleted, as latin1. */
  deleted: string[];
}

export function fill(
  scratch: Scratch,
  name: string,
  kind: Kind,
  contentBytes: number,
  random: Random,
): Filled {
  const path = scratch.sparseFile(name, kind.sizeBytes, []);
  kind.make(path);
  const digests = new Map<string, string>();
  const deleted: string[] = [];
  inside(scratch, path, kind, (files) => {
    let left = contentBytes;
    for (let count = 0; left > 0; count++) {
      const lengthBytes = Math.min(left, Math.ceil(random.next() ** 4 * 4 * mebibyte));
      const bytes = random.fill(Buffer.alloc(lengthBytes));
      files.write(`file-${count}`, bytes);
      if (count % 2 === 0) digests.set(`file-${count}`, digestOf(bytes));
      else for (let at = 0; at + 16 <= lengthBytes; at += 65_536) deleted.push(markOf(bytes, at));
      left -= lengthBytes;
    }
    files.settle();
    for (const file of files.names()) if (!digests.has(file)) files.remove(file);
  });
  return { path, digests, deleted };
}

/** The digests of the files in a copy. */
export function digestsIn(scratch: Scratch, path: string, kind: Kind): Map<string, string> {
  const digests = new Map<string, string>();
  inside(scratch, path, kind, (files) => {
    for (const file of files.names()) digests.set(file, digestOf(files.read(file)));
  });
  return digests;
}

interface Files {
  names(): string[];
  read(name: string): Buffer;
  write(name: string, bytes: Buffer): void;
  remove(name: string): void;
  /** What was written lies on the disk, not in memory alone. */
  settle(): void;
}

let mountCount = 0;

function inside(scratch: Scratch, path: string, kind: Kind, work: (files: Files) => void): void {
  const folder = scratch.makeFolder(`mounted-${mountCount++}`);
  if (kind.mount === null) work(throughMtools(path, folder));
  else {
    kind.mount(path, folder);
    const unmount = onCleanup(() => runTool('umount', [folder]));
    try {
      work(inFolder(folder));
    } finally {
      unmount();
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

const inFolder = (folder: string): Files => ({
  names: () => readdirSync(folder).filter((name) => name.startsWith('file-')),
  read: (name) => readFileSync(join(folder, name)),
  write: (name, bytes) => writeFileSync(join(folder, name), bytes),
  remove: (name) => rmSync(join(folder, name)),
  settle: () => void runTool('sync', ['-f', folder]),
});

function throughMtools(path: string, folder: string): Files {
  mkdirSync(folder, { recursive: true });
  return {
    names() {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      runTool('mcopy', ['-s', '-n', '-i', path, '::', folder]);
      return readdirSync(folder);
    },
    read: (name) => readFileSync(join(folder, name)),
    write(name, bytes) {
      writeFileSync(join(folder, name), bytes);
      runTool('mcopy', ['-n', '-i', path, join(folder, name), '::']);
    },
    remove: (name) => void runTool('mdel', ['-i', path, `::${name}`]),
    settle: () => {},
  };
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const markOf = (bytes: Buffer, at: number): string => bytes.toString('latin1', at, at + 16);
