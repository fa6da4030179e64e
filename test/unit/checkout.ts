/**
 * The checkout that the tests run from: some tests hold its sources and documents against rules.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Compiled tests lie in a folder of the checkout, or somewhere else while they run in it. */
function findCheckout(): string {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      if (existsSync(join(folder, 'src', 'protocol', 'packet.ts'))) return folder;
      if (folder === dirname(folder)) break;
    }
  }
  throw new Error('the sources are not to be found: run the tests in the checkout');
}

/** The checkout's own folder. */
export const CHECKOUT = findCheckout();

/** Text of a file of the checkout. */
export function readCheckout(path: string): string {
  return readFileSync(join(CHECKOUT, path), 'utf8');
}

/** Paths of all TypeScript files under some folders, from the checkout on, with `/` between. */
export function sourcePaths(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(CHECKOUT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => relative(CHECKOUT, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
      .sort(),
  );
}

/** Whether the checkout has this file or folder. */
export function isInCheckout(path: string): boolean {
  return existsSync(join(CHECKOUT, path));
}

/** Paths of the documents for people: those of the checkout itself, of `docs` and of `bench`. */
export function documentPaths(): string[] {
  return ['.', 'docs', 'bench'].flatMap((folder) =>
    readdirSync(join(CHECKOUT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => (folder === '.' ? name : `${folder}/${name}`))
      .sort(),
  );
}
