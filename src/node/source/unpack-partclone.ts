/** A partclone image as a source of its own: one file system, in a file without a name. */
import { closeSync, fstatSync, ftruncateSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename } from 'node:path';
import { Failure } from '../../failure.js';
import type { Packing } from './image-format.js';
import {
  bytesIn,
  PackedStream,
  type PartcloneHeader,
  parseHeader,
  partsOfSplit,
  restorePartclone,
} from './partclone-image.js';
import { noRoom, openUnnamed, RESERVE_BYTES, type Unpacked } from './unpack.js';

/**
 * @param packing how it is compressed; null when it is not
 * @returns null when what is compressed is no partclone image
 * @throws Failure when it is damaged, or there is no room for it
 */
export async function unpackPartclone(
  path: string,
  packing: Packing | null,
  onProgress: (ratio: number, sizeBytes: number) => void,
  signal: AbortSignal,
): Promise<Unpacked | null> {
  const files = partsOfSplit(path);
  const packedBytes = bytesIn(files);
  let readBytes = 0;
  let header: PartcloneHeader | null = null;
  const onRead = (lengthBytes: number): void => {
    readBytes += lengthBytes;
    const ratio = readBytes / packedBytes;
    if (header !== null) onProgress(ratio, Math.round(ratio * header.sizeBytes));
  };
  const stream = await PackedStream.open(files, packing, onRead, signal);
  try {
    header = parseHeader(stream.beginning);
    if (header === null) {
      if (packing !== null) return null;
      throw new Failure(
        'source',
        'CANNOT_UNPACK',
        `cannot unpack ${path}: it was made by a partclone that is not known`,
      );
    }
    return await restored(path, header, stream, signal);
  } finally {
    await stream.close();
  }
}

async function restored(
  path: string,
  { sizeBytes, usedBytes }: PartcloneHeader,
  stream: PackedStream,
  signal: AbortSignal,
): Promise<Unpacked> {
  const { fd, folder } = openUnnamed(path);
  try {
    const { bavail, bsize } = await statfs(folder);
    if (usedBytes > bavail * bsize - RESERVE_BYTES) throw noRoom(path, folder);
    ftruncateSync(fd, sizeBytes);
    await restorePartclone(path, stream, fd, { offsetBytes: 0, sizeBytes }, signal);
    // Nothing was written behind its end, whatever the bitmap says.
    if (fstatSync(fd).size !== sizeBytes) ftruncateSync(fd, sizeBytes);
    const dataBytes = fstatSync(fd).blocks * 512;
    const name = nameOf(path);
    return { fd, name, sizeBytes, dataBytes, folder, remark: null };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** `sda1.img` for `sda1.ext4-ptcl-img.zst.aa`. */
function nameOf(path: string): string {
  const name = basename(path).replace(/(\.[\w+]+-ptcl-img|\.pcl|\.partclone)?(\.\w+){0,2}$/, '');
  return `${name || 'image'}.img`;
}
