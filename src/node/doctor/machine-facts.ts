/** Cores, memory, native parts, and what the target is like: nothing is written. */

import { closeSync, openSync, readSync, statfsSync, statSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { MachineFacts, TargetFacts, Unknown } from '../../doctor/facts.js';
import { nativeBlake3 } from '../system/blake3.js';
import { now } from '../system/clock.js';
import { deviceNumber } from '../system/device-number.js';
import { loadNative } from '../system/native.js';
import { loadZstd } from '../workers/zstd.js';
import { readSmall } from './link-facts.js';

const SUPPORTED = ['x64', 'arm64', 'riscv64'];

/** Memory that programs can have without swapping. */
function availableBytes(): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(readSmall('/proc/meminfo') ?? '')?.[1];
  return kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
}

export async function machineFacts(): Promise<MachineFacts> {
  const canHaveNative = process.platform === 'linux' && SUPPORTED.includes(process.arch);
  return {
    cores: availableParallelism(),
    freeBytes: availableBytes(),
    hasNative: loadNative() !== null ? true : canHaveNative ? false : null,
    blake3: nativeBlake3() === null ? 'wasm' : 'native',
    zstd: (await loadZstd())?.kind ?? null,
  };
}

/** @param output as `-o` has it; undefined: the image's name, in this folder */
export function targetFacts(output: string | undefined): TargetFacts | Unknown | null {
  if (output === undefined) return null;
  const path = resolve(output);
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat?.isBlockDevice() ? deviceFacts(path, stat.rdev) : fileFacts(path);
  } catch (error) {
    return { why: `${path} cannot be looked at (${(error as Error).message})` };
  }
}

function deviceFacts(path: string, rdev: bigint): TargetFacts {
  const folder = `/sys/dev/block/${deviceNumber(rdev)}`;
  const sectors = readSmall(`${folder}/size`);
  const roomBytes = sectors === null ? null : Number(sectors) * 512;
  const readBytesPerSecond = roomBytes === null ? null : readSpeed(path, roomBytes);
  const isRotating = isRotatingOf(folder);
  return { name: path, kind: 'device', roomBytes, readBytesPerSecond, isRotating };
}

function fileFacts(path: string): TargetFacts {
  const folder = dirname(path);
  const { bavail, bsize } = statfsSync(folder);
  const number = deviceNumber(statSync(folder, { bigint: true }).dev);
  const isRotating = isRotatingOf(`/sys/dev/block/${number}`);
  const roomBytes = bavail * bsize;
  return { name: path, kind: 'file', roomBytes, readBytesPerSecond: null, isRotating };
}

/** A partition has the queue of its disk. */
function isRotatingOf(folder: string): boolean | null {
  const name = 'queue/rotational';
  const text = readSmall(`${folder}/${name}`) ?? readSmall(`${folder}/../${name}`);
  return text === null ? null : text === '1';
}

const READ_BYTES = 1024 * 1024;
const MAX_READ_MS = 400;

/**
 * Reads here and there for a short while.
 * @returns bytes per second; null where it cannot be read
 */
function readSpeed(path: string, sizeBytes: number): number | null {
  const fd = openSync(path, 'r');
  try {
    const native = loadNative();
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const beginMs = now();
    let bytes = 0;
    let elapsedMs = 0;
    for (let i = 0; i < 64 && elapsedMs < MAX_READ_MS; i++) {
      native?.dropCache(fd);
      const place = Math.floor((sizeBytes * i) / 64 / READ_BYTES) * READ_BYTES;
      bytes += readSync(fd, buffer, 0, READ_BYTES, place);
      elapsedMs = now() - beginMs;
    }
    return elapsedMs > 0 ? (bytes * 1000) / elapsedMs : null;
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
