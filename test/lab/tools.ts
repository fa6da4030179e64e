/** The system programs that the lab and the bench lean on, and where Debian has them. */

import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What the tests start, and the Debian packages that have it. */
const testPackages: Record<string, string> = {
  blkid: 'util-linux',
  bridge: 'iproute2',
  bzip2: 'bzip2',
  chattr: 'e2fsprogs',
  cmp: 'diffutils',
  dd: 'coreutils',
  e2fsck: 'e2fsprogs',
  ethtool: 'ethtool',
  gzip: 'gzip',
  ip: 'iproute2',
  losetup: 'mount',
  lz4: 'lz4',
  'mkfs.exfat': 'exfatprogs',
  'mount.exfat-fuse': 'exfat-fuse',
  mke2fs: 'e2fsprogs',
  nft: 'nftables',
  mount: 'mount',
  partx: 'util-linux',
  'qemu-img': 'qemu-utils',
  sfdisk: 'fdisk',
  sysctl: 'procps',
  tc: 'iproute2',
  xz: 'xz-utils',
  zstd: 'zstd',
};

/** What only the bench starts. */
const benchPackages: Record<string, string> = {
  'udp-receiver': 'udpcast',
  'udp-sender': 'udpcast',
  uftp: 'uftp',
  uftpd: 'uftp',
};

// A plain user's PATH often lacks the folders of the administrator's tools.
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function findTool(tool: string): string | undefined {
  return folders.map((folder) => join(folder, tool)).find(isExecutable);
}

/** The Debian packages that the tests need and this machine lacks. */
export function missingPackages(): string[] {
  const missing = Object.entries(testPackages).filter(([tool]) => findTool(tool) === undefined);
  return [...new Set(missing.map(([, debianPackage]) => debianPackage))].sort();
}

/**
 * @returns the full path of a tool
 * @throws Error that names the Debian package to install
 */
export function toolPath(tool: string): string {
  const found = findTool(tool);
  if (found !== undefined) return found;
  const debianPackage = { ...testPackages, ...benchPackages }[tool] ?? tool;
  throw new Error(`${tool} is missing: install the Debian package ${debianPackage}`);
}

/** @throws Error that says which package is missing, or that root is needed */
export function requireLab(...tools: string[]): void {
  if (process.platform !== 'linux') throw new Error('the lab needs Linux: network namespaces');
  if (process.getuid?.() !== 0) throw new Error('the lab needs root, to make network namespaces');
  for (const tool of ['ip', 'tc', 'ethtool', ...tools]) toolPath(tool);
}

/**
 * Runs a tool to its end.
 *
 * @returns what it wrote to its standard output
 * @throws Error with the command line and what it wrote to its standard error
 */
export function runTool(tool: string, args: string[], input = ''): string {
  const path = toolPath(tool);
  try {
    return execFileSync(path, args, {
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      maxBuffer: 1 << 24,
    });
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    const said = stderr?.trim() || stdout?.trim() || String(error);
    throw new Error(`${[tool, ...args].join(' ')}: ${said}${input && `\n${input}`}`);
  }
}
