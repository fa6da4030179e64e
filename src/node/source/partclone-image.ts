/**
 * Images that partclone wrote: a header, a bitmap, and the used blocks of one file system; often
 * compressed, and split into files of a few GiB. `partclone.restore` makes the file system of it
 * again, and holds it against the checksums within. Source of the header: partclone 0.3.23.
 */

import { createReadStream, existsSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Failure } from '../../failure.js';
import { lastWords, run } from '../system/tool.js';
import { PARTCLONE_MARK, type Packing } from './image-format.js';
import { unpacked } from './unpack.js';

const HEADER_BYTES = 110;
const PIECE_BYTES = 1024 * 1024;

export interface PartcloneHeader {
  fileSystem: string;
  /** Of the partition that it was made of. */
  sizeBytes: number;
  /** Of the blocks in use. */
  usedBytes: number;
}

/** @returns null for what is no header, or one of a version that is not known */
export function parseHeader(bytes: Buffer): PartcloneHeader | null {
  if (bytes.length < HEADER_BYTES || !bytes.toString('latin1').startsWith(PARTCLONE_MARK)) {
    return null;
  }
  const isOld = bytes.toString('latin1', 30, 34) === '0001';
  if (!isOld && bytes.toString('latin1', 30, 34) !== '0002') return null;
  // Of a machine that counts from the other end.
  if (!isOld && bytes.readUInt16LE(34) !== 0xc0de) return null;
  const text = (from: number, to: number) =>
    bytes.toString('latin1', from, to).replace(/\0.*/s, '');
  const count = (at: number): number => Number(bytes.readBigUInt64LE(at));
  // The first version has its fields in another order.
  const fields = isOld
    ? { fileSystem: text(15, 30), device: 40, blocks: 48, used: 56, block: 36 }
    : { fileSystem: text(36, 52), device: 52, blocks: 60, used: 76, block: 84 };
  const blockBytes = bytes.readUInt32LE(fields.block);
  const sizeBytes = Math.max(count(fields.device), count(fields.blocks) * blockBytes);
  const usedBytes = count(fields.used) * blockBytes;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes === 0 || usedBytes > sizeBytes) return null;
  return { fileSystem: fields.fileSystem, sizeBytes, usedBytes };
}

/**
 * The files of a split image, in order: `NAME.aa`, `NAME.ab` and on; the file alone when it is
 * not split.
 */
export function partsOfSplit(file: string): string[] {
  const first = /^(.*\.)(a{2,4})$/.exec(file);
  if (first === null) return [file];
  const parts: string[] = [];
  for (let suffix = first[2]!; ; suffix = following(suffix)) {
    const part = first[1] + suffix;
    if (!existsSync(part)) break;
    parts.push(part);
    if (/^z+$/.test(suffix)) break;
  }
  return parts;
}

/** `ab` after `aa`, `ba` after `az`. */
function following(suffix: string): string {
  const letters = [...suffix];
  for (let at = letters.length - 1; at >= 0; at--) {
    if (letters[at] !== 'z') {
      letters[at] = String.fromCharCode(letters[at]!.charCodeAt(0) + 1);
      break;
    }
    letters[at] = 'a';
  }
  return letters.join('');
}

/** The content of files that are one stream, unpacked, with a look at its beginning. */
export class PackedStream {
  private constructor(
    /** At least the first bytes of the content, where there are as many. */
    readonly beginning: Buffer,
    readonly content: AsyncGenerator<Buffer>,
  ) {}

  /**
   * @param packing null for files that are not compressed
   * @param onRead gets how many bytes of the files were read
   */
  static async open(
    files: readonly string[],
    packing: Packing | null,
    onRead: (lengthBytes: number) => void,
    signal: AbortSignal,
  ): Promise<PackedStream> {
    const bytes = bytesOf(files, onRead);
    const content =
      packing === null
        ? bytes
        : sound(
            unpacked(Readable.from(bytes), packing, files[0]!, () => {}, signal),
            files[0]!,
          );
    let beginning = Buffer.alloc(0);
    while (beginning.length < HEADER_BYTES) {
      const { value, done } = await content.next();
      if (done === true) break;
      beginning = Buffer.concat([beginning, value]);
    }
    return new PackedStream(beginning, content);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    yield this.beginning;
    yield* this.content;
  }

  async close(): Promise<void> {
    await this.content.return(undefined);
  }
}

/** What the program that unpacks it complains of is a failure that the user meets. */
async function* sound(content: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  try {
    yield* content;
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw cannotUnpack(path, (error as Error).message);
  }
}

async function* bytesOf(
  files: readonly string[],
  onRead: (lengthBytes: number) => void,
): AsyncGenerator<Buffer> {
  for (const file of files) {
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
      onRead((piece as Buffer).length);
      yield piece as Buffer;
    }
  }
}

export const bytesIn = (files: readonly string[]): number =>
  files.reduce((sum, file) => sum + statSync(file).size, 0);

/**
 * Writes the file system into a place of a file. Blocks that it does not use stay as they are.
 * @throws Failure when the image is damaged
 */
export async function restorePartclone(
  path: string,
  content: AsyncIterable<Buffer>,
  fd: number,
  { offsetBytes, sizeBytes }: { offsetBytes: number; sizeBytes: number },
  signal: AbortSignal,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'multiserver-'));
  try {
    const log = join(folder, 'log');
    const where = ['-s', '-', '-O', '/dev/fd/3', '-E', `${offsetBytes}`];
    const args = ['-q', '-C', '-L', log, ...where];
    const tool = { command: 'partclone.restore', args, debianPackage: 'partclone' };
    const end = await run({ ...tool, fd, input: content }, () => {}, signal);
    if (end.status === 0) {
      copyBootSector(fd, offsetBytes, sizeBytes);
      return;
    }
    const said = existsSync(log) ? readFileSync(log, 'utf8') : '';
    const why = /No space left/.test(said) ? 'No space left on device' : lastWords(end);
    throw cannotUnpack(path, why);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The copy of NTFS' boot sector lies behind its last cluster, where partclone does not look.
 * Windows and its tools want it there. Source: the documentation of Linux-NTFS, `$Boot`.
 */
function copyBootSector(fd: number, offsetBytes: number, sizeBytes: number): void {
  const boot = Buffer.alloc(512);
  readSync(fd, boot, 0, boot.length, offsetBytes);
  if (boot.toString('latin1', 3, 11) !== 'NTFS    ') return;
  const at = Number(boot.readBigUInt64LE(40)) * boot.readUInt16LE(11);
  // Nothing is written behind the end, whatever it says.
  if (at + boot.length > sizeBytes) return;
  writeSync(fd, boot, 0, boot.length, offsetBytes + at);
}

const cannotUnpack = (path: string, why: string): Failure =>
  new Failure('source', 'CANNOT_UNPACK', `cannot unpack ${path}: ${why}`);
