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
import { now } from '../clock.js';
import { type Packing, unpackedName } from './image-format.js';
import { SparseWriter } from './sparse-writer.js';

/** Room that others on the disk keep. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const PROGRESS_MS = 200;
const PIECE_BYTES = 1024 * 1024;
const UNNAMED = 'image';

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
 * @param onProgress packed bytes read so far, as a share of all; content so far, in bytes
 * @throws Failure when it is damaged, when the disk is full, or when a program is missing
 */
export async function unpack(
  path: string,
  packing: Packing,
  onProgress: (ratio: number, sizeBytes: number) => void,
  signal: AbortSignal,
): Promise<Unpacked> {
  const { fd, folder } = openUnnamed(path);
  try {
    const { bavail, bsize } = await statfs(folder);
    const budgetBytes = bavail * bsize - RESERVE_BYTES;
    const writer = new SparseWriter(fd);
    const packedBytes = statSync(path).size;
    let readBytes = 0;
    let toldMs = now();
    const source = createReadStream(path, { highWaterMark: PIECE_BYTES });
    source.on('data', (bytes) => {
      readBytes += bytes.length;
    });
    let remark: string | null = null;
    const note = (text: string): void => {
      remark = text;
    };
    for await (const bytes of unpacked(source, packing, path, note, signal)) {
      signal.throwIfAborted();
      await writer.write(bytes);
      if (writer.dataBytes > budgetBytes) throw noRoom(path, folder);
      if (now() - toldMs < PROGRESS_MS) continue;
      toldMs = now();
      onProgress(readBytes / packedBytes, writer.sizeBytes);
    }
    await writer.finish();
    const { sizeBytes, dataBytes } = writer;
    const name = unpackedName(basename(path), packing) || UNNAMED;
    return { fd, name, sizeBytes, dataBytes, folder, remark };
  } catch (error) {
    closeSync(fd);
    if (signal.aborted) throw signal.reason;
    if (error instanceof Failure) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC') throw noRoom(path, folder);
    throw new Failure('source', 'CANNOT_UNPACK', `cannot unpack ${path}: ${message}`);
  }
}

const noRoom = (path: string, folder: string): Failure =>
  new Failure(
    'source',
    'NO_SPACE',
    `there is no room in ${folder} for what ${path} contains; free some, or name another folder with TMPDIR`,
  );

/** A new file that vanishes with its descriptor. */
function openUnnamed(path: string): { fd: number; folder: string } {
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
 * Unpacks with a program of the system. Node's own zstd takes a file that is cut short, and the first of several
 * frames, for the whole (22.23 and 24.21 do); its gunzip what precedes a damaged member. An image must not
 * end early and nobody notice.
 */
async function* unpacked(
  source: Readable,
  packing: Packing,
  path: string,
  note: (remark: string) => void,
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
    // Some images have a signature or the like behind them, as OpenWrt's do. gzip and bzip2 warn of it.
    const hasMore = /trailing garbage .*ignored/.test(complaint);
    if (hasMore && status !== 1) {
      if (await hasFurtherMember(path)) throw new Error('a part in the middle of it is damaged');
      note(`behind the compressed image, ${path} has bytes that do not belong to it: left out`);
    } else if (status !== 0) {
      throw new Error(complaint.trim() || `${command} failed`);
    }
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

const GZIP_START = Buffer.of(0x1f, 0x8b, 8);
const BZIP2_START = Buffer.from('BZh');
/** First block of a bzip2 stream: the digits of pi, behind the level. */
const BZIP2_BLOCK = Buffer.from('1AY&SY');
const START_BYTES = 10;

/**
 * Whether the file consists of several packings. When one of them is damaged at its beginning, the
 * programs take it, and all behind it, for bytes that do not belong to the image.
 */
async function hasFurtherMember(path: string): Promise<boolean> {
  let rest = Buffer.alloc(0);
  let isFirst = true;
  for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) {
    // The file's own beginning is no further one.
    const bytes = Buffer.concat([rest, (piece as Buffer).subarray(isFirst ? 1 : 0)]);
    if (hasStart(bytes, GZIP_START, isGzipStart)) return true;
    if (hasStart(bytes, BZIP2_START, isBzip2Start)) return true;
    rest = Buffer.from(bytes.subarray(-(START_BYTES - 1)));
    isFirst = false;
  }
  return false;
}

function hasStart(bytes: Buffer, start: Buffer, isStart: (at: Buffer) => boolean): boolean {
  for (let at = bytes.indexOf(start); at >= 0; at = bytes.indexOf(start, at + 1)) {
    if (at + START_BYTES <= bytes.length && isStart(bytes.subarray(at))) return true;
  }
  return false;
}

/** RFC 1952: no reserved flags, a known way of packing and system. Chance hardly makes that. */
function isGzipStart(bytes: Buffer): boolean {
  return (
    bytes[3]! < 0x20 && [0, 2, 4].includes(bytes[8]!) && [0, 3, 7, 11, 255].includes(bytes[9]!)
  );
}

function isBzip2Start(bytes: Buffer): boolean {
  return bytes.subarray(4, 4 + BZIP2_BLOCK.length).equals(BZIP2_BLOCK);
}
