/** Programs of the system that are only started: where they are, and what they say. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * PATH as it is now, with the folders of the administrator's tools, which a plain user's often
 * lacks. An empty entry would mean whichever folder we are in, so there is none.
 */
export function pathOfTools(): string {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders, '/usr/sbin', '/sbin'].join(delimiter);
}

/** What a program of the system is started with, so that it is found and speaks English. */
export const environmentOfTools = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: pathOfTools(),
  LC_ALL: 'C',
});

/** @returns the full path of a program, or null when it is not there */
export function findTool(tool: string): string | null {
  for (const folder of pathOfTools().split(delimiter)) {
    const path = join(folder, tool);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next folder.
    }
  }
  return null;
}

/**
 * Runs a program to its end. @returns its exit status, null when it has none, and all that it wrote
 */
export async function runTool(
  tool: string,
  args: readonly string[],
): Promise<{ status: number | null; output: string }> {
  // Only few runs start a program: loading what does that would make every start longer.
  const { execFile } = await import('node:child_process');
  const env = environmentOfTools();
  return new Promise((resolve) => {
    execFile(tool, [...args], { env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      const said = stdout + stderr;
      const output = said.trim() === '' && error !== null ? error.message : said;
      resolve({ status: typeof code === 'number' ? code : null, output });
    });
  });
}
