/** Opens what is to be served: as it is, or as what it contains when it is stored compressed. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { Failure } from '../../failure.js';
import type { ServerEvent } from '../../server/events.js';
import { type Foreign, formatOf, type ImageFormat } from './image-format.js';
import { openSource, type Source } from './source.js';
import { unpack } from './unpack.js';

export interface OpenOptions {
  file: string;
  /** Serve it itself, whatever it contains. */
  asIs: boolean;
  /** Serve it though somebody may write to it. */
  force: boolean;
}

/** @throws Failure when it cannot be served */
export async function openImage(
  { file, asIs, force }: OpenOptions,
  observe: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<Source> {
  const tell = (text: string): void => observe({ type: 'notice', text });
  const format = asIs ? null : formatOfFile(file);
  if (format === null) return openSource(file, force, tell);
  if (format.kind === 'foreign') throw foreign(file, format);
  observe({ type: 'unpacking', ratio: 0, sizeBytes: 0 });
  const report = (ratio: number, sizeBytes: number) =>
    observe({ type: 'unpacking', ratio, sizeBytes });
  const { fd, name, sizeBytes, dataBytes, folder, remark } = await unpack(
    file,
    format,
    report,
    signal,
  );
  if (sizeBytes === 0) {
    throw new Failure('source', 'EMPTY', `${file} contains nothing: there is nothing to serve`);
  }
  observe({ type: 'unpacked', name, sizeBytes, dataBytes, folder });
  if (remark !== null) tell(remark);
  return { fd, path: file, name, sizeBytes };
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

function foreign(path: string, { name, convert }: Foreign): Failure {
  const command = convert.replace('FILE', path);
  const text = `${path} is ${name}, which cannot be served as a disk; convert it: ${command} (or --as-is to serve the file itself)`;
  return new Failure('source', 'FOREIGN_FORMAT', text);
}
