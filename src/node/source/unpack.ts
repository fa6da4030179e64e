/**
 * Images stored compressed are served as what they contain. Chunks are read at any place, so
 * the content is unpacked once, into a file without a name: it takes what the content's data
 * takes, beside the image or in the folder for such things, and is gone when we are.
 */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, createReadStream, openSync, statSync, unlinkSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { Failure } from '../../failure.js';
import { now } from '../system/clock.js';
import { fileTrouble } from '../system/file-trouble.js';
import { lengthWithoutAppended } from './appended.js';
import { type Packing, unpackedName } from './image-format.js';
import { SparseWriter } from './sparse-writer.js';

/** Room that others on the disk keep. */
export const RESERVE_BYTES = 64 * 1024 * 1024;
const PROGRESS_MS = 200;
const PIECE_BYTES = 1024 * 1024;
const UNNAMED = 'image';
const MORE =
  'behind its end are bytes that nobody knows, or a part that is damaged at its beginning; ' +
  'get the file anew, or --force to leave them out';

/** What zstd says of what is no frame. */
const ZSTD_MORE = /: (unsupported format|unknown header)/;
/** What the programs say of what is not whole. */
const DAMAGED = new RegExp(
  '(premature|unexpected) end|ends unexpectedly|unfinished stream|corrupt|crc error|checksum|' +
    'integrity|invalid compressed|decod|Error \\d+ :',
  'i',
);

const troubleOf = (complaint: string): string =>
  DAMAGED.test(complaint) ? 'it is cut short or damaged; get the file anew' : complaint.trim();

export interface Unpacked {
  /** To be closed by the caller; the file has no name any more. */
  fd: number;
  /** The image's name without the suffix. */
  name: string;
  sizeBytes: number;
  /** What it takes on the disk until it is closed. */
  dataBytes: number;
  folder: string;
  /** Something that the operator should know of it, or null. */
  remark: string | null;
}

/**
 * @param force leave out what follows the image, and nobody knows
 * @param onProgress packed bytes read so far, as a share of all; content so far, in bytes
 * @throws Failure when it is damaged, when the disk is full, or when a program is missing
 */
export async function unpack(
  path: string,
  packing: Packing,
  force: boolean,
  onProgress: (ratio: number, sizeBytes: number) => void,
  signal: AbortSignal,
): Promise<Unpacked> {
  const { fd, folder } = openUnnamed(path);
  try {
    const { bavail, bsize } = await statfs(folder);
    const budgetBytes = bavail * bsize - RESERVE_BYTES;
    const writer = new SparseWriter(fd);
    const packedBytes = lengthWithoutAppended(path);
    let readBytes = 0;
    let toldMs = now();
    const source = createReadStream(path, { highWaterMark: PIECE_BYTES, end: packedBytes - 1 });
    source.on('data', (bytes) => {
      readBytes += bytes.length;
    });
    let isCut = packedBytes < statSync(path).size;
    const onMore = (isZeros: boolean): void => {
      if (!isZeros && !force) throw new Error(MORE);
      isCut = true;
    };
    for await (const bytes of unpacked(source, packing, path, onMore, signal)) {
      signal.throwIfAborted();
      await writer.write(bytes);
      if (writer.dataBytes > budgetBytes) throw noRoom(path, folder);
      if (now() - toldMs < PROGRESS_MS) continue;
      toldMs = now();
      onProgress(readBytes / packedBytes, writer.sizeBytes);
    }
    await writer.finish();
    const { sizeBytes, dataBytes } = writer;
    const behind = 'has bytes that do not belong to it: left out';
    const remark = isCut ? `behind the compressed image, ${path} ${behind}` : null;
    const name = unpackedName(basename(path), packing) || UNNAMED;
    return { fd, name, sizeBytes, dataBytes, folder, remark };
  } catch (error) {
    closeSync(fd);
    if (signal.aborted) throw signal.reason;
    if (error instanceof Failure) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw noRoom(path, folder);
    throw new Failure(
      'source',
      'CANNOT_UNPACK',
      `cannot unpack ${path}: ${fileTrouble(path, error)}`,
    );
  }
}

export const noRoom = (path: string, folder: string): Failure =>
  new Failure(
    'source',
    'NO_SPACE',
    `there is no room in ${folder} for what ${path} contains; free some, or name another ` +
      `folder with TMPDIR`,
  );

/** A new file that vanishes with its descriptor. */
export function openUnnamed(path: string): { fd: number; folder: string } {
  const asked = process.env.TMPDIR;
  const beside = dirname(resolve(path));
  for (const folder of asked ? [asked] : [beside, tmpdir()]) {
    const name = join(folder, `.multiserver-${randomBytes(6).toString('hex')}.tmp`);
    try {
      const fd = openSync(name, 'wx+', 0o600);
      unlinkSync(name);
      return { fd, folder };
    } catch {
      // The next folder.
    }
  }
  const folders = asked ?? `${beside} or ${tmpdir()}`;
  throw new Failure(
    'source',
    'CANNOT_UNPACK',
    `cannot write to ${folders}, where ${path} would be unpacked; name a folder with TMPDIR`,
  );
}

/**
 * Unpacks with a program of the system. Node's own zstd takes a file that is cut short, and the
 * first of several frames, for the whole (22.23 and 24.21 do); its gunzip what precedes a damaged
 * member. An image must not end early and nobody notice.
 */
export async function* unpacked(
  source: Readable,
  packing: Packing,
  path: string,
  onMore: (isZeros: boolean) => void,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { command, args, debianPackage } = packing;
  const env = { ...process.env, LC_ALL: 'C' };
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env, signal });
  let complaint = '';
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  // It is looked at below; until then nobody may take it for forgotten.
  ended.catch(() => {});
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, 500);
  });
  // It ends before its input does when that is damaged.
  child.stdin.on('error', () => {});
  source.on('error', () => child.kill());
  source.pipe(child.stdin);
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    const status = await ended;
    // Of zstd, all that is before it has come by then.
    const isMore = packing.command === 'zstd' && ZSTD_MORE.test(complaint);
    // gzip and bzip2 take a part that is damaged at its beginning for something else, and warn.
    const [, more] = /trailing (garbage|zero bytes) .*ignored/.exec(complaint) ?? [];
    if (more !== undefined && status !== 1) onMore(more !== 'garbage');
    else if (isMore) onMore(false);
    else if (status !== 0) throw new Error(troubleOf(complaint) || `${command} failed`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Failure(
      'source',
      'NO_UNPACKER',
      `to unpack ${path}, the program ${command} is needed; install the package ${debianPackage}`,
    );
  } finally {
    source.destroy();
    if (child.exitCode === null) child.kill();
  }
}
