/**
 * Standard output and error as descriptors that nobody has to wait for, and what became of SIGHUP.
 */

import { constants, fstatSync, openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;

/** @returns a descriptor that never waits, or null where there can be none */
export function ownDescriptor(fd: number): number | null {
  try {
    const stats = fstatSync(fd);
    // A file never makes anybody wait, and who writes to it next goes on where we ended.
    if (stats.isFile()) return fd;
    if (!stats.isFIFO() && !stats.isCharacterDevice()) return null;
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // Elsewhere than on Linux there is no such path, and a closed one cannot be written to anyhow.
    return null;
  }
}

/** @returns bytes taken; null when nobody will ever take any */
export function writeSome(fd: number, bytes: Buffer): number | null {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EAGAIN' || code === 'EINTR' ? 0 : null;
  }
}

/** A stream tells of what it was given only when its reader has taken all of that. */
const HANDED_BYTES = 16 * 1024;

/**
 * As `writeSome`, to a stream of Node's own. That would keep all that it is given, without a bound.
 */
export function handSome(stream: Writable, bytes: Buffer): number {
  if (stream.writableLength > 0) return 0;
  const some = bytes.subarray(0, HANDED_BYTES);
  stream.write(some);
  return some.length;
}

/**
 * Whether the shell, or nohup, arranged that a terminal's end does not matter. Node takes such
 * arrangements back when it starts, so traces of them are looked for: a parent that ignores the
 * signal, the command that the shell named in `_`, and the standard input that nohup leaves behind.
 */
export function isHangUpIgnored(env: Readonly<Record<string, string | undefined>>): boolean {
  return isIgnoredBy(process.ppid) || /(^|\/)nohup$/.test(env._ ?? '') || isInputWriteOnly();
}

function isIgnoredBy(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
    // SIGHUP is signal 1: the lowest bit.
    return (Number.parseInt(ignored.slice(-1), 16) & 1) === 1;
  } catch {
    return false;
  }
}

/** Nobody else opens /dev/null for writing as standard input. */
function isInputWriteOnly(): boolean {
  try {
    if (readlinkSync('/proc/self/fd/0') !== '/dev/null') return false;
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & 3) === O_WRONLY;
  } catch {
    return false;
  }
}
