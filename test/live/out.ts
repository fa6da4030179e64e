/** What `npm run portable` and `npm run live` have made. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @throws Error that says how to make it, when it is not there */
export function outPath(name: string): string {
  const path = fileURLToPath(new URL(`../../../live/out/${name}`, import.meta.url));
  if (!existsSync(path)) {
    const script = name.endsWith('.tar.xz') ? 'npm run portable' : 'sudo npm run live';
    throw new Error(`${path} is missing: make it with '${script}'`);
  }
  return path;
}

/** The archive of a Debian package that the live system is made of. */
export function debianArchive(debianPackage: string): string {
  const folder = outPath('packages');
  const name = readdirSync(folder).find((entry) => entry.startsWith(`${debianPackage}_`));
  if (name === undefined) throw new Error(`${folder} has no ${debianPackage}`);
  return join(folder, name);
}
