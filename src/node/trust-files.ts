/** Keys that the operator names on the command line, by their files. */

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { Failure } from '../failure.js';
import { formatKeyFile, MAX_KEY_FILE_BYTES, parseKeyFile } from '../trust/key-file.js';
import { MAX_PUBLIC_KEY_FILE_BYTES, type PublicKey, parsePublicKey } from '../trust/minisign.js';
import { KEY_BYTES } from '../trust/session-keys.js';
import { fileTrouble } from './system/file-trouble.js';
import { shellWord } from './system/shell-word.js';

/**
 * @param given a public key of minisign itself, or the name of its file
 * @throws Failure when it is neither
 */
export function readPublicKey(given: string): PublicKey {
  const key = parsePublicKey(given) ?? parsePublicKey(readText(given));
  if (key !== null) return key;
  const text = `${given} holds no public key of minisign; give a file that minisign -G has made`;
  throw new Failure('usage', 'PUBLIC_KEY_FORMAT', text);
}

function readText(path: string): string {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > MAX_PUBLIC_KEY_FILE_BYTES) return '';
    return readFileSync(path, 'utf8');
  } catch (error) {
    const text =
      `--trust: '${path}' is neither a public key of minisign nor its file: ` +
      `${fileTrouble(path, error)}; give the file that minisign -G has made (minisign.pub), or ` +
      'the key in it, which begins with RW';
    throw new Failure('usage', 'PUBLIC_KEY_FORMAT', text);
  }
}

/**
 * Reads the key that both sides share.
 * @throws Failure when it is none, or others can read it
 */
export function readKeyFile(path: string): Buffer {
  let text = '';
  let stats: Stats;
  try {
    const fd = openSync(path, 'r');
    try {
      stats = fstatSync(fd);
      refuseNoFile(path, stats);
      const bytes = Buffer.alloc(MAX_KEY_FILE_BYTES + 1);
      text = bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const advice = '; copy the key of the other side there, or make one with multiserver --new-key';
    const text = `--key: cannot read ${path}: ${fileTrouble(path, error)}`;
    throw new Failure('usage', 'KEY_FILE_FORMAT', isMissing ? `${text}${advice}` : text);
  }
  const key = parseKeyFile(text);
  if (key !== null) {
    refuseOpenFile(path, stats);
    return key;
  }
  // Either half of its file.
  const isPublic = /^(untrusted comment:|RW)/.test(text);
  const advice = isPublic
    ? 'a public key of minisign is given with --trust'
    : 'make one with multiserver --new-key FILE';
  throw new Failure('usage', 'KEY_FILE_FORMAT', `--key: ${path} holds no key; ${advice}`);
}

function refuseNoFile(path: string, stats: Stats): void {
  if (stats.isFile()) return;
  throw new Failure(
    'usage',
    'KEY_FILE_FORMAT',
    `--key: ${path} is not a file; name one that --new-key has made`,
  );
}

/** @throws Failure when anybody but its owner, or root, could have read or written it */
function refuseOpenFile(path: string, stats: Stats): void {
  const own = process.geteuid?.() ?? stats.uid;
  const isOurs = stats.uid === own || stats.uid === 0;
  if (isOurs && (stats.mode & 0o077) === 0) return;
  const text =
    `--key: others can read or change ${path}; make a new key or, if nobody did that, ` +
    `chmod 600 ${shellWord(path)}`;
  throw new Failure('usage', 'KEY_FILE_MODE', text);
}

/** Makes a key that both sides are to share. @throws Failure when there is a file already */
export function makeKeyFile(path: string): void {
  try {
    writeFileSync(path, formatKeyFile(randomBytes(KEY_BYTES)), {
      flag: 'wx',
      mode: 0o600,
      flush: true,
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw keyExists(path);
    const text = `--new-key: cannot make ${path}: ${fileTrouble(path, error)}`;
    throw new Failure('usage', 'KEY_FILE_FORMAT', text);
  }
}

function keyExists(path: string): Failure {
  const text =
    `--new-key: ${path} exists already, and is not overwritten, as machines may use the key in ` +
    `it; if it is the key to use, give it with --key ${path}, else name another file`;
  return new Failure('usage', 'KEY_FILE_EXISTS', text);
}
