/**
 * A small real system: a disk with a GPT that starts by BIOS, by UEFI and with Secure Boot, of
 * Debian's own boot loaders, kernel and busybox. It says on the serial line that it runs, and ends.
 */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Scratch } from '../lab/scratch.js';
import { runTool, toolPath } from '../lab/tools.js';
import { emulatorWords } from './firmware.js';
import { debianArchive, outPath } from './out.js';

const mebibyte = 1 << 20;
const sectorBytes = 512;
const biosSector = 2048;
const espSector = 4096;
const espBytes = 16 * mebibyte;
const rootSector = espSector + espBytes / sectorBytes;
const rootBytes = 80 * mebibyte;
export const systemBytes = (rootSector + 2048) * sectorBytes + rootBytes;

/** What the root file system needs, on disks of QEMU. The bus is in the kernel itself. */
const modules = ['virtio_blk', 'crc32c_generic', 'ext4'];
const label = 'COPY';

const init = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
firmware=BIOS
[ ! -d /sys/firmware/efi ] || firmware=UEFI
/bin/busybox dmesg | /bin/busybox grep -q 'Secure boot enabled' && firmware='Secure Boot'
name=$(/bin/busybox cat /etc/hostname)
blocks=$(/bin/busybox df -m / | /bin/busybox awk 'NR == 2 { print $2 }')
echo "THE COPY RUNS: $name, by $firmware, $blocks MiB" >/dev/ttyS0
/bin/busybox poweroff -f
`;

const earlyInit = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in ${modules.join(' ')}; do /bin/busybox modprobe "$module"; done
until disk=$(/bin/busybox findfs LABEL=${label}); do /bin/busybox sleep 1; done
/bin/busybox mount -t ext4 -o ro "$disk" /root
exec /bin/busybox switch_root /root /sbin/init
`;

const rootConfig = `set timeout=0
linux /boot/vmlinuz console=ttyS0 quiet panic=1 ${emulatorWords}
initrd /boot/initrd.img
boot
`;
const firstConfig = `search --no-floppy --label ${label} --set=root
configfile ($root)/boot/grub/grub.cfg
`;

function put(root: string, files: Record<string, string | Buffer>, mode = 0o644): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content, { mode });
  }
}

function inShell(script: string, ...words: string[]): void {
  execFileSync('/bin/bash', ['-euo', 'pipefail', '-c', script, 'bash', ...words]);
}

/** Takes busybox and the modules out of the live system, and makes an initrd of them. */
function makeInitrd(scratch: Scratch, root: string): void {
  const live = scratch.makeFolder('live-system');
  const wanted = ['usr/bin/busybox', 'usr/lib/modules/*'];
  const unpack = 'zstd -dc "$1" | (cd "$2" && shift 2 && cpio --quiet -id "$@" 2>/dev/null)';
  inShell(unpack, outPath('initrd.img'), live, ...wanted);
  const [release = ''] = readdirSync(join(live, 'usr/lib/modules'));
  const folder = `usr/lib/modules/${release}`;
  const early = scratch.makeFolder('early');
  const dependencies = readFileSync(join(live, folder, 'modules.dep'), 'utf8').split('\n');
  for (const name of modules) {
    const line = dependencies.find((entry) => new RegExp(`/${name}\\.ko[^:]*:`).test(entry));
    if (line === undefined) throw new Error(`the live system has no module ${name}`);
    for (const file of line.replace(':', '').split(' ')) {
      put(early, { [join(folder, file)]: readFileSync(join(live, folder, file)) });
    }
  }
  put(early, { [`${folder}/modules.dep`]: dependencies.join('\n') });
  const busybox = readFileSync(join(live, 'usr/bin/busybox'));
  put(early, { 'bin/busybox': busybox, init: earlyInit }, 0o755);
  for (const name of ['proc', 'sys', 'dev', 'root']) mkdirSync(join(early, name));
  inShell(`ln -s usr/lib "$1/lib"; ln -s bin "$1/sbin"; ln -s busybox "$1/bin/modprobe"`, early);
  put(root, { 'bin/busybox': busybox, 'sbin/init': init }, 0o755);
  mkdirSync(join(root, 'boot'));
  const pack = '(cd "$1" && find . | cpio --quiet -o -H newc) | gzip -1 >"$2"';
  inShell(pack, early, join(root, 'boot/initrd.img'));
  scratch.remove(live, early);
}

function makeRoot(scratch: Scratch): string {
  const root = scratch.makeFolder('system');
  makeInitrd(scratch, root);
  for (const name of ['proc', 'sys', 'dev', 'root']) mkdirSync(join(root, name));
  put(root, {
    'boot/grub/grub.cfg': rootConfig,
    'etc/hostname': 'golden\n',
    'etc/os-release': 'ID=debian\n',
    'etc/machine-id': '',
    // More to copy, as no compression makes it small.
    'var/ballast': readFileSync(scratch.randomFile('ballast', 8 * mebibyte)),
  });
  copyFileSync(outPath('vmlinuz'), join(root, 'boot/vmlinuz'));
  const path = scratch.path('root.ext4');
  const options = ['-q', '-t', 'ext4', '-L', label, '-d', root];
  runTool('mke2fs', [...options, path, `${rootBytes / 1024}k`]);
  scratch.remove(root);
  return path;
}

/** The partition that UEFI starts from. */
function makeEsp(scratch: Scratch): string {
  const path = scratch.sparseFile('esp.fat', espBytes, []);
  const folder = scratch.makeFolder('esp');
  const grub = debianArchive('grub-efi-amd64-signed');
  const loader = './usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed';
  const take = 'dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" >"$3"';
  inShell(take, grub, loader, join(folder, 'grubx64.efi'));
  copyFileSync(outPath('boot/shimx64.efi'), join(folder, 'bootx64.efi'));
  put(folder, { 'grub.cfg': firstConfig });
  runTool('mformat', ['-i', path, '-v', 'ESP', '::']);
  runTool('mmd', ['-i', path, '::/EFI', '::/EFI/BOOT', '::/EFI/debian']);
  const loaders = ['bootx64.efi', 'grubx64.efi'].map((name) => join(folder, name));
  runTool('mcopy', ['-i', path, ...loaders, '::/EFI/BOOT']);
  runTool('mcopy', ['-i', path, join(folder, 'grub.cfg'), '::/EFI/debian']);
  return path;
}

/**
 * What a BIOS starts: boot.img in the first sector leads to the core image, whose first sector
 * leads to the rest of it. Where the places are written is in GRUB's `include/grub/offsets.h` and
 * `i386/pc/boot.h`.
 */
function putBiosLoader(scratch: Scratch, image: string): void {
  const [core, config] = [scratch.path('core.img'), scratch.path('core.cfg')];
  writeFileSync(config, firstConfig);
  const drivers = ['biosdisk', 'part_gpt', 'ext2', 'search', 'search_label', 'search_fs_file'];
  const format = ['--format', 'i386-pc', '--prefix', '/boot/grub', '--config', config];
  const commands = ['linux', 'normal', 'configfile', 'test', 'echo'];
  runTool('grub-mkimage', [...format, '--output', core, ...drivers, ...commands]);
  const bytes = readFileSync(core);
  const sectors = Math.ceil(bytes.length / sectorBytes);
  bytes.writeBigUInt64LE(BigInt(biosSector + 1), 500);
  bytes.writeUInt16LE(sectors - 1, 508);
  const boot = readFileSync('/usr/lib/grub/i386-pc/boot.img').subarray(0, 440);
  boot.writeBigUInt64LE(BigInt(biosSector), 0x5c);
  const fd = openSync(image, 'r+');
  writeSync(fd, boot, 0, boot.length, 0);
  writeSync(fd, bytes, 0, bytes.length, biosSector * sectorBytes);
  closeSync(fd);
}

/** @returns the path of the image */
export function makeSystemImage(scratch: Scratch): string {
  const image = scratch.sparseFile('system.img', systemBytes, []);
  const table = [
    'label: gpt',
    `start=${biosSector}, size=2048, type=21686148-6449-6E6F-744E-656564454649`,
    `start=${espSector}, size=${espBytes / sectorBytes}, type=U`,
    `start=${rootSector}, size=${rootBytes / sectorBytes}, type=L`,
  ];
  const quietly = ['--quiet', '--no-reread', '--no-tell-kernel', image];
  runTool('sfdisk', quietly, `${table.join('\n')}\n`);
  putBiosLoader(scratch, image);
  for (const [part, sector] of [
    [makeEsp(scratch), espSector],
    [makeRoot(scratch), rootSector],
  ] as const) {
    const place = ['bs=1M', `seek=${sector * sectorBytes}`, 'oflag=seek_bytes'];
    const how = ['conv=notrunc,sparse', 'status=none'];
    execFileSync(toolPath('dd'), [`if=${part}`, `of=${image}`, ...place, ...how]);
    scratch.remove(part);
  }
  return image;
}
