/** Reads the list of machines that the operator expects. */

import { readFileSync } from 'node:fs';
import { Failure } from '../../failure.js';
import { ExpectedMachines, parseNames } from '../../server/clients/expected-machines.js';
import { fileTrouble } from '../system/file-trouble.js';

/**
 * @param path of a file with a name or MAC a line; undefined for no list
 * @throws Failure when it cannot be read, or names nobody
 */
export function readExpected(path: string | undefined): ExpectedMachines | null {
  if (path === undefined) return null;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const text = `--expect-clients: cannot read ${path}: ${fileTrouble(path, error)}`;
    throw new Failure('usage', 'CANNOT_READ_LIST', text);
  }
  const names = parseNames(text);
  if (names.length > 0) return new ExpectedMachines(names);
  const advice = 'write a host name or a MAC on each line';
  throw new Failure('usage', 'EMPTY_LIST', `--expect-clients: ${path} names no client; ${advice}`);
}
