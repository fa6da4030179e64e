/** What machines start from: the folder that `npm run live` makes. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../failure.js';

/**
 * Loaded by TFTP, as firmware can do no more: from the folder `boot`. Names are what firmware asks
 * for.
 */
export const LOADERS = {
  /** iPXE for machines with a BIOS: it goes by the card's own driver. */
  bios: 'undionly.kpxe',
  /** Microsoft's signature is on it, so that Secure Boot lets it run. */
  shim: 'shimx64.efi',
  /** Signed by Debian; shim loads it by this name. */
  grub: 'grubx64.efi',
} as const;

/** A table of machines for `live/hooks/personalize`: handed out where the folder has it. */
export const MACHINES = 'machines.csv';

const BY_HTTP = ['vmlinuz', 'initrd.img'];

export class BootFolder {
  /** @throws Failure when there is no live system in it */
  constructor(readonly path: string) {
    const files = [...BY_HTTP, ...Object.values(LOADERS).map((name) => join('boot', name))];
    const missing = files.filter((name) => !isFile(join(path, name)));
    if (missing.length === 0) return;
    throw new Failure(
      'source',
      'NO_LIVE_SYSTEM',
      `${path} has no ${missing.join(', ')}: make the live system with 'sudo npm run live', ` +
        `and name ` +
        'its folder (live/out) after --netboot',
    );
  }

  get loaders(): string[] {
    return Object.values(LOADERS).map((name) => join(this.path, 'boot', name));
  }

  /** Where a file lies that is handed out by HTTP; null for all others. */
  find(name: string): string | null {
    if (![...BY_HTTP, MACHINES].includes(name)) return null;
    const path = join(this.path, name);
    return isFile(path) ? path : null;
  }

  get hasMachines(): boolean {
    return existsSync(join(this.path, MACHINES));
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
