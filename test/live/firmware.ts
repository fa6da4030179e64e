/** What a machine starts with, and what QEMU has to be told for it. */

import { copyFileSync } from 'node:fs';

/** `secure`: UEFI with Secure Boot, and Microsoft's keys. */
export type Firmware = 'bios' | 'uefi' | 'secure';

/** Of a machine that starts by itself; a BIOS takes next to nothing of it. */
export const memoryMegabytes: Record<Firmware, number> = { bios: 512, uefi: 768, secure: 768 };

/** For the kernel: an emulator that gets little time fails its test of the timer. */
export const emulatorWords = 'no_timer_check';

const folder = '/usr/share/OVMF';

/** @param settingsPath where the firmware's settings may be kept: a name for a new file */
export function firmwareArguments(firmware: Firmware, settingsPath: string): string[] {
  if (firmware === 'bios') return [];
  const isSecure = firmware === 'secure';
  const code = `${folder}/OVMF_CODE_4M${isSecure ? '.secboot' : ''}.fd`;
  copyFileSync(`${folder}/OVMF_VARS_4M${isSecure ? '.ms' : ''}.fd`, settingsPath);
  return [
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${code}`],
    ...['-drive', `if=pflash,format=raw,file=${settingsPath}`],
    // Secure Boot's keys are kept from the system by system management mode.
    ...(isSecure ? ['-machine', 'smm=on'] : []),
  ];
}
