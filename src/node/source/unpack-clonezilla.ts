/**
 * Makes the disk again that a folder of Clonezilla's is of, in a file without a name: the partition
 * table, what boots, and each partition's file system. What was not saved is a hole.
 */

import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { Failure } from '../../failure.js';
import { lastWords, read } from '../system/tool.js';
import { Window } from '../used/window.js';
import { type ClonezillaImage, type ClonezillaPart, readClonezilla } from './clonezilla.js';
import { formatOf, type Packing } from './image-format.js';
import { bytesIn, PackedStream, parseHeader, restorePartclone } from './partclone-image.js';
import { SparseWriter } from './sparse-writer.js';
import { noRoom, openUnnamed, RESERVE_BYTES, type Unpacked } from './unpack.js';

/** What boots a disk with an MBR, before its table. */
const BOOT_CODE_BYTES = 440;
const SECTOR_BYTES = 512;

/**
 * @param onProgress bytes of the folder read so far, as a share of all; disk so far, in bytes
 * @throws Failure when it is not understood, damaged, or there is no room for it
 */
export async function unpackClonezilla(
  folder: string,
  onProgress: (ratio: number, sizeBytes: number) => void,
  signal: AbortSignal,
): Promise<Unpacked> {
  const image = readClonezilla(folder);
  const { fd, folder: beside } = openUnnamed(join(folder, 'disk'));
  try {
    const roomBytes = await roomIn(beside);
    let readBytes = 0;
    const packedBytes = bytesIn(image.parts.flatMap(filesOf));
    const onRead = (lengthBytes: number): void => {
      readBytes += lengthBytes;
      const ratio = readBytes / packedBytes;
      onProgress(ratio, Math.round(ratio * image.sizeBytes));
    };
    let neededBytes = 0;
    const streams: Opened[] = [];
    try {
      for (const part of image.parts) {
        if (filesOf(part).length === 0) continue;
        const opened = await open(folder, part, onRead, signal);
        streams.push(opened);
        neededBytes += opened.dataBytes;
      }
      if (neededBytes > roomBytes) throw noRoom(folder, beside);
      ftruncateSync(fd, image.sizeBytes);
      await writeTable(folder, image, fd, signal);
      let budgetBytes = roomBytes - neededBytes;
      for (const { part, stream } of streams) {
        budgetBytes -= await writePart(folder, part, stream, fd, budgetBytes, signal);
        if (budgetBytes < 0) throw noRoom(folder, beside);
      }
    } finally {
      for (const { stream } of streams) await stream.close();
    }
    for (const part of image.parts) await makeSwap(folder, part, fd, signal);
    if (fstatSync(fd).size !== image.sizeBytes) {
      throw damaged(folder, 'a partition of it reaches beyond the disk');
    }
    const dataBytes = fstatSync(fd).blocks * 512;
    const { sizeBytes } = image;
    const name = `${basename(resolve(folder))}.img`;
    return { fd, name, sizeBytes, dataBytes, folder: beside, remark: remarkOn(image) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

interface Opened {
  part: ClonezillaPart;
  stream: PackedStream;
  /** At most so much is written of it; 0 for a raw image, where nobody knows before. */
  dataBytes: number;
}

const filesOf = ({ content }: ClonezillaPart): string[] =>
  content.kind === 'partclone' || content.kind === 'raw' ? content.files : [];

async function roomIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize - RESERVE_BYTES;
}

async function open(
  folder: string,
  part: ClonezillaPart,
  onRead: (lengthBytes: number) => void,
  signal: AbortSignal,
): Promise<Opened> {
  const files = filesOf(part);
  const stream = await PackedStream.open(files, packingOf(folder, files[0]!), onRead, signal);
  if (part.content.kind === 'raw') return { part, stream, dataBytes: 0 };
  const header = parseHeader(stream.beginning);
  if (header !== null && header.sizeBytes <= part.sizeBytes) {
    return { part, stream, dataBytes: header.usedBytes };
  }
  await stream.close();
  throw damaged(
    folder,
    header === null
      ? `what is saved of ${part.name} is no partclone image`
      : `what is saved of ${part.name} is larger than the partition`,
  );
}

function packingOf(folder: string, file: string): Packing | null {
  const fd = openSync(file, 'r');
  try {
    const format = formatOf((offsetBytes, lengthBytes) => {
      const bytes = Buffer.alloc(lengthBytes);
      if (offsetBytes < 0) return bytes.subarray(0, 0);
      return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, offsetBytes));
    });
    if (format?.kind === 'packed') return format;
    if (format === null || format.kind === 'partclone') return null;
    throw damaged(folder, `${file} is ${format.name}`);
  } finally {
    closeSync(fd);
  }
}

async function writeTable(
  folder: string,
  { table, bootSector, hidden, parts }: ClonezillaImage,
  fd: number,
  signal: AbortSignal,
): Promise<void> {
  const { size } = fstatSync(fd);
  const window = Window.openWritable(fd, 0, size);
  try {
    const args = ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'never', window.path];
    const input = (async function* () {
      yield Buffer.from(`${table}\n`);
    })();
    const tool = { command: 'sfdisk', args, debianPackage: 'fdisk', input };
    const end = await read(tool, signal);
    if (end.status !== 0) throw damaged(folder, `sfdisk makes no table of it: ${lastWords(end)}`);
  } finally {
    window.close();
  }
  if (bootSector !== null) writeSync(fd, bootSector, 0, BOOT_CODE_BYTES, 0);
  const first = Math.min(...parts.map(({ offsetBytes }) => offsetBytes));
  // A GPT lies where, on other disks, boot loaders hide.
  if (hidden !== null && /^label: dos$/m.test(table) && hidden.length + SECTOR_BYTES <= first) {
    writeSync(fd, hidden, 0, hidden.length, SECTOR_BYTES);
  }
}

/** @returns bytes that were written of a raw image: only while reading it shows how many */
async function writePart(
  folder: string,
  { name, offsetBytes, sizeBytes, content }: ClonezillaPart,
  stream: PackedStream,
  fd: number,
  budgetBytes: number,
  signal: AbortSignal,
): Promise<number> {
  if (content.kind === 'partclone') {
    const place = { offsetBytes, sizeBytes };
    await restorePartclone(`${name} of ${folder}`, stream, fd, place, signal);
    return 0;
  }
  const writer = new SparseWriter(fd, offsetBytes);
  for await (const bytes of stream) {
    signal.throwIfAborted();
    if (writer.sizeBytes + bytes.length > offsetBytes + sizeBytes) {
      throw damaged(folder, `what is saved of ${name} is larger than the partition`);
    }
    await writer.write(bytes);
    if (writer.dataBytes > budgetBytes) break;
  }
  return writer.dataBytes;
}

async function makeSwap(
  folder: string,
  { name, offsetBytes, sizeBytes, content }: ClonezillaPart,
  fd: number,
  signal: AbortSignal,
): Promise<void> {
  if (content.kind !== 'swap') return;
  const window = Window.openWritable(fd, offsetBytes, sizeBytes);
  try {
    const uuid = content.uuid === '' ? [] : ['-U', content.uuid];
    const label = content.label === '' ? [] : ['-L', content.label];
    const args = [...uuid, ...label, window.path];
    const end = await read({ command: 'mkswap', args, debianPackage: 'util-linux' }, signal);
    if (end.status !== 0) throw damaged(folder, `mkswap fails on ${name}: ${lastWords(end)}`);
  } finally {
    window.close();
  }
}

function remarkOn({ parts }: ClonezillaImage): string | null {
  const empty = parts.filter(({ content }) => content.kind === 'none').map(({ name }) => name);
  return empty.length === 0 ? null : `nothing was saved of ${empty.join(', ')}: it stays empty`;
}

const damaged = (folder: string, why: string): Failure =>
  new Failure('source', 'CANNOT_UNPACK', `cannot unpack ${folder}: ${why}`);
