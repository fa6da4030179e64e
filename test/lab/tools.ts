/** The system programs that the lab and the bench lean on, and where Debian has them. */

import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What the tests start, and the Debian packages that have it. */
const testPackages: Record<string, string> = {
  blkid: 'util-linux',
  blockdev: 'util-linux',
  bridge: 'iproute2',
  btrfs: 'btrfs-progs',
  'btrfs-map-logical': 'btrfs-progs',
  bzip2: 'bzip2',
  chattr: 'e2fsprogs',
  chromium: 'chromium',
  cmp: 'diffutils',
  cp: 'coreutils',
  curl: 'curl',
  dd: 'coreutils',
  debugfs: 'e2fsprogs',
  dumpe2fs: 'e2fsprogs',
  dnsmasq: 'dnsmasq-base',
  e2fsck: 'e2fsprogs',
  ethtool: 'ethtool',
  fish: 'fish',
  groff: 'groff',
  'fsck.exfat': 'exfatprogs',
  'fsck.vfat': 'dosfstools',
  fusermount3: 'fuse3',
  gzip: 'gzip',
  ip: 'iproute2',
  ldd: 'libc-bin',
  losetup: 'mount',
  lz4: 'lz4',
  mcopy: 'mtools',
  mdel: 'mtools',
  mformat: 'mtools',
  mkfifo: 'coreutils',
  'mkfs.btrfs': 'btrfs-progs',
  'mkfs.exfat': 'exfatprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.xfs': 'xfsprogs',
  mkntfs: 'ntfs-3g',
  mknod: 'coreutils',
  mkswap: 'util-linux',
  'mount.exfat-fuse': 'exfat-fuse',
  mke2fs: 'e2fsprogs',
  mmd: 'mtools',
  minisign: 'minisign',
  nft: 'nftables',
  'ntfs-3g': 'ntfs-3g',
  ntfscat: 'ntfs-3g',
  ntfsfix: 'ntfs-3g',
  ntfsresize: 'ntfs-3g',
  mount: 'mount',
  'partclone.extfs': 'partclone',
  partx: 'util-linux',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  'qemu-img': 'qemu-utils',
  script: 'bsdutils',
  sfdisk: 'fdisk',
  sgdisk: 'gdisk',
  sh: 'dash',
  sync: 'coreutils',
  'ssh-keygen': 'openssh-client',
  stat: 'coreutils',
  sysctl: 'procps',
  tar: 'tar',
  tc: 'iproute2',
  tcpdump: 'tcpdump',
  unshare: 'util-linux',
  umount: 'mount',
  xfs_db: 'xfsprogs',
  xfs_logprint: 'xfsprogs',
  xfs_repair: 'xfsprogs',
  xz: 'xz-utils',
  zsh: 'zsh',
  zstd: 'zstd',
};

/** What the tests of the live system start besides, and what `npm run live` does. */
const livePackages: Record<string, string> = {
  cpio: 'cpio',
  debootstrap: 'debootstrap',
  'dpkg-deb': 'dpkg',
  'grub-mkimage': 'grub-common',
  mcopy: 'mtools',
  'qemu-system-x86_64': 'qemu-system-x86',
};

/** Files that are no programs. */
const fileOfPackages: Record<string, string> = {
  '/usr/lib/grub/i386-pc/boot.img': 'grub-pc-bin',
  '/usr/share/keyrings/debian-archive-keyring.gpg': 'debian-archive-keyring',
  '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd': 'ovmf',
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

/** The Debian package of a program that tests, bench or live system start. */
export const packageOf = (tool: string): string | undefined =>
  ({ ...testPackages, ...livePackages, ...benchPackages })[tool];

/** The Debian packages that the tests need and this machine lacks. */
export function missingPackages(): string[] {
  const tools = Object.entries({ ...testPackages, ...livePackages });
  const missing = [
    ...tools.filter(([tool]) => findTool(tool) === undefined),
    ...Object.entries(fileOfPackages).filter(([path]) => !existsSync(path)),
  ];
  return [...new Set(missing.map(([, debianPackage]) => debianPackage))].sort();
}

/**
 * @returns the full path of a tool
 * @throws Error that names the Debian package to install
 */
export function toolPath(tool: string): string {
  const found = findTool(tool);
  if (found !== undefined) return found;
  const debianPackage = packageOf(tool) ?? tool;
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
