/**
 * What boot loaders are told: the kernel's command line, iPXE's script and GRUB's configuration.
 */

export interface BootPlan {
  /** IPv4 address of this server. */
  address: string;
  /** Of requests by HTTP, and of the multiserver's own by UDP. */
  serverPort: number;
  group: string;
  /** UDP port of the group. */
  port: number;
  /** The image's name. */
  image: string;
  isUnattended: boolean;
  /** Words that the operator adds to the kernel's command line. */
  extraWords: string;
}

/** What neither a boot loader nor the kernel takes for anything but itself. */
const PLAIN_NAME = /^[\w.+@-]+$/;

export function addressOf({ address, serverPort }: BootPlan): string {
  return `http://${address}:${serverPort}`;
}

/** The kernel's command line, without what only a boot loader knows. */
export function kernelWords(plan: BootPlan): string {
  const { address, serverPort, group, port, image } = plan;
  const words = [
    'console=ttyS0,115200',
    'console=tty0',
    'multiclient.output=auto',
    `multiclient.group=${group}`,
    `multiclient.port=${port}`,
    `multiclient.server=${address}:${serverPort}`,
    `multiclient.netboot=${addressOf(plan)}`,
    'multiclient.then=reboot',
  ];
  // A name with spaces or quotes would have to be written in three manners. One server has one
  // image.
  if (PLAIN_NAME.test(image)) words.push(`multiclient.image=${image}`);
  if (plan.isUnattended) words.push('multiclient.unattended');
  if (plan.extraWords !== '') words.push(plan.extraWords);
  return words.join(' ');
}

/** For machines that are to start from their own disk: what they hold is proven already. */
export const DISK_IPXE = `#!ipxe
echo multiserver: this machine holds a proven copy and starts from its disk
iseq \${platform} efi && exit ||
sanboot --no-describe --drive 0x80 || exit
`;

const FAILED = 'multiserver: that failed, and is tried again in 5 seconds';
/**
 * So often a loader asks again: forty machines at a prompt would help nobody when the server is
 * about to be started again. Then it may be over, and machines go by their firmware to the disk.
 */
const TRIES = 60;
const GIVEN_UP = 'multiserver: no answer for minutes: on to what the firmware starts next';

/**
 * What iPXE runs first: it says who asks, as only the loader knows its card. A script that ends is
 * one that had iPXE go on to the next device: so this one ends as well.
 */
export function firstIpxe(plan: BootPlan): string {
  return `#!ipxe
set tries:int32 0
:again
chain ${addressOf(plan)}/start/ipxe/\${netX/mac:hexhyp} && exit ||
inc tries ||
iseq \${tries} ${TRIES} && goto leave ||
echo ${FAILED}
sleep 5
goto again
:leave
echo ${GIVEN_UP}
exit
`;
}

/** @param mac of the machine, in iPXE's manner: 52-54-00-12-34-56 */
export function ipxeScript(plan: BootPlan, mac: string): string {
  const from = addressOf(plan);
  return `#!ipxe
echo multiserver: starting the live system from ${from}
imgfree
kernel ${from}/vmlinuz initrd=initrd.img BOOTIF=01-${mac} ${kernelWords(plan)} || exit 1
initrd ${from}/initrd.img || exit 1
boot || exit 1
`;
}

/**
 * What GRUB finds beside itself, by TFTP. Where it simply ended, GRUB would show a prompt, and wait
 * for somebody who types.
 */
export function firstGrub({ address, serverPort }: BootPlan): string {
  const tries = Array.from({ length: TRIES }, (_, index) => index + 1);
  return `set root=(http,${address}:${serverPort})
for try in ${tries.join(' ')}; do
  configfile /start/grub/$net_default_mac
  echo ${FAILED}
  sleep 5
done
echo ${GIVEN_UP}
sleep 5
exit
`;
}

/** Where loaders lie on disks that UEFI starts from: the usual place, and those of systems. */
const UEFI_LOADERS = [
  '/EFI/BOOT/BOOTX64.EFI',
  '/EFI/debian/shimx64.efi',
  '/EFI/Microsoft/Boot/bootmgfw.efi',
];

const ITS_DISK = 'this machine holds a proven copy and starts from its disk';

/**
 * With UEFI. Firmware that a loader goes back to may show its menu instead of trying the next
 * entry.
 */
export const DISK_GRUB = `echo multiserver: ${ITS_DISK}
for loader in ${UEFI_LOADERS.join(' ')}; do
  if search --no-floppy --file --set=root $loader; then
    chainloader $loader
    boot
  fi
done
exit
`;

/**
 * With UEFI, the kernel has GRUB load the initrd only while it starts: `boot` comes back when that
 * fails. GRUB's TCP breaks wherever sequence numbers pass 2^32 (one in 60 downloads of this size),
 * and then another download helps. When this host's hardware address changes, nothing does but to
 * start anew: GRUB keeps the old one for ever.
 */
export function grubConfig(plan: BootPlan, mac: string): string {
  return `echo multiserver: starting the live system from ${addressOf(plan)}
for try in 1 2 3; do
  if linux /vmlinuz BOOTIF=01-${mac} ${kernelWords(plan)}; then
    if initrd /initrd.img; then
      boot
      set broken=yes
    fi
  fi
  echo ${FAILED}
  sleep 5
done
if [ "$broken" = yes ]; then reboot; fi
`;
}
