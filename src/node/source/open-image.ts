/** Opens what is to be served: as it is, or as what it contains when it is stored compressed. */

import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { Failure } from '../../failure.js';
import type { ServerEvent } from '../../server/events.js';
import { now } from '../system/clock.js';
import { shellWord } from '../system/shell-word.js';
import { isClonezilla } from './clonezilla.js';
import { type Foreign, formatOf, type ImageFormat } from './image-format.js';
import { openSource, type Source } from './source.js';
import { type Unpacked, unpack } from './unpack.js';
import { unpackClonezilla } from './unpack-clonezilla.js';
import { unpackPartclone } from './unpack-partclone.js';
import { convertDisk } from './virtual-disk.js';

const PROGRESS_MS = 200;

interface OpenOptions {
  file: string;
  /** Serve it itself, whatever it contains. */
  asIs: boolean;
  /** Serve it though somebody may write to it, and what is known of it though more follows. */
  force: boolean;
  /** Make its block map and leave. */
  prepareOnly?: boolean;
}

/** @throws Failure when it cannot be served */
export async function openImage(
  { file, asIs, force, prepareOnly = false }: OpenOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<Source> {
  const tell = (text: string): void => observe({ type: 'notice', text });
  const unpackable = asIs ? null : unpackerOf(file, force);
  if (unpackable === null) return openSource(file, force, tell);
  if (prepareOnly) throw cannotKeepMap(file);
  observe({ type: 'unpacking', ratio: 0, sizeBytes: 0 });
  let toldMs = now();
  const report = (ratio: number, sizeBytes: number): void => {
    if (now() - toldMs < PROGRESS_MS) return;
    toldMs = now();
    observe({ type: 'unpacking', ratio, sizeBytes });
  };
  const unpackedImage = await unpackable(report, signal);
  const { fd, name, sizeBytes, dataBytes, folder, remark } = unpackedImage;
  if (sizeBytes === 0) {
    throw new Failure('source', 'EMPTY', `${file} contains nothing: there is nothing to serve`);
  }
  observe({ type: 'unpacked', name, sizeBytes, dataBytes, folder });
  if (remark !== null) tell(remark);
  const isOurs = { isUnpacked: true, isClaimed: false, hasUnseenUser: false };
  return { fd, path: file, name, sizeBytes, ...isOurs };
}

type Unpacker = (
  report: (ratio: number, sizeBytes: number) => void,
  signal: AbortSignal,
) => Promise<Unpacked>;

/**
 * What makes a disk or file system of what is stored; null for what is served as it is.
 * @throws Failure for what cannot be served
 */
function unpackerOf(file: string, force: boolean): Unpacker | null {
  if (isFolder(file) && isClonezilla(file)) {
    return (report, signal) => unpackClonezilla(file, report, signal);
  }
  const format = formatOfFile(file);
  switch (format?.kind) {
    case undefined:
      return null;
    case 'foreign':
      throw foreign(file, format);
    case 'virtual':
      return (report, signal) => convertDisk(file, format, report, signal);
    case 'partclone':
      return async (report, signal) => (await unpackPartclone(file, null, report, signal))!;
    case 'packed':
      return async (report, signal) =>
        (await unpackPartclone(file, format, report, signal)) ??
        (await unpack(file, format, force, report, signal));
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Null for devices as well, and for what cannot be read: whoever opens it to serve it says why. */
function formatOfFile(path: string): ImageFormat | null {
  let fd: number;
  try {
    // Opening a pipe would wait for whoever writes to it.
    if (!statSync(path).isFile()) return null;
    fd = openSync(path, 'r');
  } catch {
    return null;
  }
  try {
    const { size } = fstatSync(fd);
    return formatOf((offsetBytes, lengthBytes) => {
      const bytes = Buffer.alloc(lengthBytes);
      const at = offsetBytes < 0 ? size + offsetBytes : offsetBytes;
      if (at < 0) return bytes.subarray(0, 0);
      return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, at));
    });
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

function cannotKeepMap(path: string): Failure {
  const text =
    `no block map can be kept of what ${path} contains, as what is unpacked is gone with the ` +
    'server; unpack it and prepare that, or serve it without --prepare';
  return new Failure('source', 'NOT_CACHED', text);
}

function foreign(path: string, { name, convert }: Foreign): Failure {
  const command = convert.replace('FILE', () => shellWord(path));
  const text =
    `${path} is ${name}, which cannot be served as a disk; convert it: ${command} ` +
    `(or --as-is to serve the file itself)`;
  return new Failure('source', 'FOREIGN_FORMAT', text);
}
