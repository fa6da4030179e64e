/** What `npm run portable` and `npm run live` have made. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @throws Error that says how to make it, when it is not there */
export function outPath(name: string): string {
  const path = fileURLToPath(new URL(`../../../live/out/${name}`, import.meta.url));
  if (!existsSync(path)) {
    const script = name.includes('multiclient') ? 'npm run portable' : 'sudo npm run live';
    throw new Error(`${path} is missing: make it with '${script}'`);
  }
  return path;
}
