/**
 * The statement beside an image, `NAME.image`, and the operator's signature of it, which minisign
 * leaves as `NAME.image.minisig`.
 */

import { readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { Failure } from '../../failure.js';
import type { BlockMap } from '../../image/block-map.js';
import type { SignedStatement } from '../../server/client-messages.js';
import { MAX_SIGNATURE_FILE_BYTES } from '../../trust/minisign.js';
import {
  formatStatement,
  isName,
  MAX_STATEMENT_BYTES,
  parseStatement,
  type Statement,
} from '../../trust/statement.js';
import { fileTrouble } from '../system/file-trouble.js';
import { shellWord } from '../system/shell-word.js';

const NOTHING = Buffer.alloc(0);

const pathOf = (imagePath: string): string => `${imagePath}.image`;

const signingText = (path: string): string => `to sign the image: minisign -Sm ${shellWord(path)}`;

/** What an image is said to be, but for the time. */
const contentOf = (name: string, map: BlockMap): Omit<Statement, 'time'> => ({
  name,
  sizeBytes: map.geometry.sizeBytes,
  chunkSizeBytes: map.geometry.chunkSizeBytes,
  mapId: map.id.toString('hex'),
});

function isOf(bytes: Buffer | null, content: Omit<Statement, 'time'>): boolean {
  const statement = bytes === null ? null : parseStatement(bytes);
  return (
    statement !== null &&
    statement.name === content.name &&
    statement.sizeBytes === content.sizeBytes &&
    statement.chunkSizeBytes === content.chunkSizeBytes &&
    statement.mapId === content.mapId
  );
}

/** @returns null for what is not there, is no file, or is longer than such a file can be */
function readSmall(path: string, mostBytes: number): Buffer | null {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > mostBytes) return null;
    return readFileSync(path);
  } catch {
    return null;
  }
}

/**
 * Writes the statement of an image that is prepared. One of the same image stays as it is, with
 * its time: its signature stays good.
 * @returns what the operator should know
 * @throws Failure when it cannot be written
 */
export function writeStatement(imagePath: string, name: string, map: BlockMap): string {
  const path = pathOf(imagePath);
  const content = contentOf(name, map);
  if (isOf(readSmall(path, MAX_STATEMENT_BYTES), content)) {
    const isSigned = statSync(`${path}.minisig`, { throwIfNoEntry: false }) !== undefined;
    return isSigned ? `${path} is signed already` : signingText(path);
  }
  if (!isName(name)) {
    throw new Failure('source', 'CANNOT_WRITE_MAP', `'${name}' is no name that can be signed`);
  }
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, formatStatement({ ...content, time }), { flush: true });
    renameSync(temporary, path);
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // It was never made.
    }
    const text = `cannot write the statement as ${path}: ${fileTrouble(path, error)}`;
    throw new Failure('source', 'CANNOT_WRITE_MAP', text);
  }
  return signingText(path);
}

/**
 * Reads what lies beside an image that is served.
 * @param tell gets what the operator should know
 * @returns what to hand out; nothing of what is about another image
 */
export function readStatement(
  imagePath: string,
  name: string,
  map: BlockMap,
  tell: (text: string) => void,
): SignedStatement {
  const path = pathOf(imagePath);
  const statement = readSmall(path, MAX_STATEMENT_BYTES);
  const signature = readSmall(`${path}.minisig`, MAX_SIGNATURE_FILE_BYTES);
  const isSigned = statSync(`${path}.minisig`, { throwIfNoEntry: false }) !== undefined;
  if (statement === null && !isSigned) return { statement: NOTHING, signature: NOTHING };
  if (!isOf(statement, contentOf(name, map))) {
    tell(`${path} is not the statement of this image: clients with --trust will not take it`);
    return { statement: NOTHING, signature: NOTHING };
  }
  if (isSigned && signature === null) {
    const most = MAX_SIGNATURE_FILE_BYTES;
    tell(`${path}.minisig is no file of at most ${most} bytes: use a shorter trusted comment`);
  }
  return { statement: statement ?? NOTHING, signature: signature ?? NOTHING };
}
