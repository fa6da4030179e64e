/**
 * The block map of an image file, kept beside it as `FILE.blockmap`. It is bound to the file's
 * size, times and inode, so that a changed image never meets an old map; and to what was found to
 * be used of it, so that a map of that alone is not taken for one of all, or of another reading:
 *
 *     "MCBMKEP3" | size u64 | modified ns i64 | changed ns i64 | inode u64 | chunk size u32
 *                | file system u32 | digest of the used map, or zeros, 32 bytes | map
 *
 * That is evidence only where the system dates each change by its own clock. Devices have no such
 * times, and other systems' file systems none that `touch` could not set: no map is kept there.
 */

import { createHash } from 'node:crypto';
import { type BigIntStats, fstatSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { BlockMap, type Digest } from '../../image/block-map.js';
import type { Geometry } from '../../image/geometry.js';
import type { UsedMap } from '../../image/used-map.js';
import { datesChanges, fileSystemOf } from '../system/file-system.js';
import { fileTrouble } from '../system/file-trouble.js';

const MAGIC = Buffer.from('MCBMKEP3', 'latin1');
const DIGEST_BYTES = 32;
const KEY_BYTES = MAGIC.length + 40 + DIGEST_BYTES;

/** Two writes within this time may leave a file with the same times, where those are precise. */
const TICK_MS = 20;
/** The coarsest times that a file system keeps. */
const COARSE_TICK_MS = 2_000;

export class MapCache {
  readonly path: string;
  private readonly fd: number;
  private readonly chunkSizeBytes: number;
  private readonly key: Buffer;
  private readonly isSettled: boolean;

  private constructor(
    path: string,
    fd: number,
    stats: BigIntStats,
    private readonly fileSystem: number,
    chunkSizeBytes: number,
    private readonly usedDigest: Buffer,
  ) {
    this.path = `${path}.blockmap`;
    this.fd = fd;
    this.chunkSizeBytes = chunkSizeBytes;
    this.key = keyOf(stats, fileSystem, chunkSizeBytes, usedDigest);
    this.isSettled = isSettled(stats, Date.now());
  }

  /**
   * @param fd the image, opened before anything of it was read
   * @param used null where all of it counts as used
   * @returns null where no map can be kept: devices, files that were unpacked elsewhere, and file
   *   systems that do not date each change
   */
  static of(
    path: string,
    fd: number,
    geometry: Geometry,
    used: UsedMap | null = null,
  ): MapCache | null {
    try {
      const stats = fstatSync(fd, { bigint: true });
      const named = statSync(path, { bigint: true });
      if (!stats.isFile() || named.ino !== stats.ino || named.dev !== stats.dev) return null;
      const fileSystem = fileSystemOf(path);
      if (!datesChanges(fileSystem)) return null;
      const usedDigest = used === null ? Buffer.alloc(DIGEST_BYTES) : digestOfUsed(used);
      return new MapCache(path, fd, stats, fileSystem, geometry.chunkSizeBytes, usedDigest);
    } catch {
      return null;
    }
  }

  /** @returns the map kept for this very image, proven to its id, or null */
  load(geometry: Geometry, digest: Digest): BlockMap | null {
    let bytes: Buffer;
    try {
      // A pipe by that name would never end.
      if (!statSync(this.path).isFile()) return null;
      bytes = readFileSync(this.path);
    } catch {
      return null;
    }
    if (!bytes.subarray(0, KEY_BYTES).equals(this.key)) return null;
    const map = BlockMap.decode(bytes.subarray(KEY_BYTES), digest);
    const isOurs =
      map?.geometry.sizeBytes === geometry.sizeBytes &&
      map.geometry.chunkSizeBytes === geometry.chunkSizeBytes;
    return isOurs ? map : null;
  }

  /** Forgets a map that turned out not to be this image's. */
  remove(): void {
    rmSync(this.path, { force: true });
  }

  /**
   * Keeps the map: whole, or not at all.
   * @returns why it was not kept, as a clause, or null
   */
  async save(map: BlockMap): Promise<string | null> {
    if (!this.isSettled) return 'the image was written just before';
    const temporary = `${this.path}.${process.pid}.tmp`;
    try {
      const stats = fstatSync(this.fd, { bigint: true });
      const key = keyOf(stats, this.fileSystem, this.chunkSizeBytes, this.usedDigest);
      if (!key.equals(this.key)) return 'the image has changed';
      const file = await open(temporary, 'w');
      try {
        await file.writev([this.key, ...map.encode()]);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
      return null;
    } catch (error) {
      await unlink(temporary).catch(() => {});
      return fileTrouble(this.path, error);
    }
  }
}

function keyOf(
  stats: BigIntStats,
  fileSystem: number,
  chunkSizeBytes: number,
  usedDigest: Buffer,
): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  let at = MAGIC.copy(key);
  at = key.writeBigUInt64BE(stats.size, at);
  at = key.writeBigInt64BE(stats.mtimeNs, at);
  at = key.writeBigInt64BE(stats.ctimeNs, at);
  at = key.writeBigUInt64BE(BigInt.asUintN(64, stats.ino), at);
  at = key.writeUInt32BE(chunkSizeBytes, at);
  at = key.writeUInt32BE(fileSystem, at);
  usedDigest.copy(key, at);
  return key;
}

/** SHA-256 of where each run begins and ends. */
function digestOfUsed(used: UsedMap): Buffer {
  const hash = createHash('sha256');
  const places = Buffer.alloc(16);
  for (const { start, end } of used.runs()) {
    places.writeBigUInt64BE(BigInt(start));
    places.writeBigUInt64BE(BigInt(end), 8);
    hash.update(places);
  }
  return hash.digest();
}

/**
 * Whether a write after `nowMs` is sure to leave another time of change than that in `stats`.
 * That time is always the system's own, whatever `touch` may have made of the other.
 */
export function isSettled({ ctimeNs }: BigIntStats, nowMs: number): boolean {
  const isCoarse = ctimeNs % 1_000_000n === 0n;
  const tickMs = isCoarse ? COARSE_TICK_MS : TICK_MS;
  return Number(ctimeNs / 1_000_000n) + tickMs < nowMs;
}
