/** An image made of random chunks and runs of zero chunks, and all that is known about it. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import { digestOf } from '../digest.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';

const ZEROS = Buffer.alloc(65_536);

export function isAllZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const end = Math.min(at + ZEROS.length, bytes.length);
    if (bytes.compare(ZEROS, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}

/** A chunk as it travels. */
export interface EncodedChunk {
  bytes: Buffer;
  encoding: 0 | 1;
  variant: number;
}

/** Levels that a server may compress at; 0 is not at all. */
export const LEVELS = [0, 1, 6, 9] as const;

/**
 * Takes the encoding off. Not every Node has zstd, and any other compression does as well: to
 * the machines, an encoding is a number.
 * @returns null for a broken frame, or one of another length
 */
export function decode(encoded: Buffer, encoding: number, lengthBytes: number): Buffer | null {
  if (encoding === 0) return encoded.length === lengthBytes ? encoded : null;
  try {
    const bytes = inflateRawSync(encoded, { maxOutputLength: lengthBytes });
    return bytes.length === lengthBytes ? bytes : null;
  } catch {
    return null;
  }
}

export class SimImage {
  readonly bytes: Buffer;
  readonly geometry: Geometry;
  /** Blocks of all chunks that are not zero. */
  readonly dataBlocks: number;
  /** What is there is nobody's business: it is neither sent nor written. */
  private readonly free = new Set<number>();
  private readonly digests: (Buffer | null)[] = [];
  private readonly encoded = new Map<number, EncodedChunk>();

  constructor(
    readonly name: string,
    options: SimOptions,
    random: Random,
  ) {
    const { imageChunks, chunkSizeBytes, blockSizeBytes, zeros, free } = options;
    // The last chunk is short and ends within a block.
    const sizeBytes = imageChunks * chunkSizeBytes - Math.floor(chunkSizeBytes / 3) - 1;
    this.geometry = new Geometry(sizeBytes, chunkSizeBytes);
    this.bytes = random.fill(Buffer.alloc(sizeBytes));
    for (let chunk = 0; chunk < imageChunks; ) {
      // Holes come in runs.
      const count = Math.min(1 + random.below(12), imageChunks - chunk);
      const start = this.geometry.chunkOffset(chunk);
      if (random.chance(zeros))
        this.bytes.fill(0, start, Math.min(start + count * chunkSizeBytes, sizeBytes));
      else if (chunk > 0 && free > 0 && random.chance(free)) {
        for (let i = 0; i < count; i++) this.free.add(chunk + i);
      }
      chunk += count;
    }
    if (options.compress) this.makeCompressible(random);
    let blocks = 0;
    for (let chunk = 0; chunk < imageChunks; chunk++) {
      const bytes = this.chunk(chunk);
      const isZero = isAllZero(bytes);
      this.digests.push(isZero ? null : digestOf(bytes));
      if (!isZero && !this.isFree(chunk)) blocks += Math.ceil(bytes.length / blockSizeBytes);
    }
    this.dataBlocks = blocks;
  }

  /** A view of a chunk's bytes. */
  chunk(chunk: number): Buffer {
    const start = this.geometry.chunkOffset(chunk);
    return this.bytes.subarray(start, start + this.geometry.chunkLength(chunk));
  }

  /** Most chunks hold bytes that could be told shorter. */
  private makeCompressible(random: Random): void {
    for (let chunk = 0; chunk < this.geometry.chunkCount; chunk++) {
      if (random.chance(0.3)) continue;
      const mask = random.pick([1, 7, 31]);
      const bytes = this.chunk(chunk);
      for (let i = 0; i < bytes.length; i++) bytes[i]! &= mask;
    }
  }

  /** The chunk as it travels when it is compressed at `level`. */
  encode(chunk: number, level: number): EncodedChunk {
    const key = chunk * 16 + level;
    const known = this.encoded.get(key);
    if (known !== undefined) return known;
    const raw = { bytes: this.chunk(chunk), encoding: 0, variant: 0 } as const;
    const bytes = level === 0 ? raw.bytes : deflateRawSync(raw.bytes, { level });
    const isShorter = bytes.length < raw.bytes.length;
    const encoded: EncodedChunk = isShorter ? { bytes, encoding: 1, variant: level } : raw;
    this.encoded.set(key, encoded);
    return encoded;
  }

  isZero(chunk: number): boolean {
    return this.digests[chunk] === null;
  }

  isFree(chunk: number): boolean {
    return this.free.has(chunk);
  }

  /** Whether bytes at a place are the image's, wherever it has any. */
  isAt(offsetBytes: number, bytes: Buffer): boolean {
    const { chunkSizeBytes } = this.geometry;
    const end = offsetBytes + bytes.length;
    for (let at = offsetBytes; at < end; ) {
      const chunk = Math.floor(at / chunkSizeBytes);
      const next = Math.min(end, (chunk + 1) * chunkSizeBytes);
      const from = at - offsetBytes;
      const isSame = this.bytes.compare(bytes, from, next - offsetBytes, at, next) === 0;
      if (!isSame && !this.isFree(chunk)) return false;
      at = next;
    }
    return true;
  }

  /** The digest of `bytes`, which are meant to be `chunk`: without hashing if they are. */
  digestOf(chunk: number, bytes: Buffer): Buffer {
    const known = this.digests[chunk];
    if (known !== null && known !== undefined && bytes.equals(this.chunk(chunk))) return known;
    return digestOf(bytes);
  }

  /** A map of which nothing is known yet. */
  newMap(): BlockMapBuilder {
    const map = new BlockMapBuilder(this.geometry, digestOf);
    for (const chunk of this.free) map.setFreeRange(chunk, 1);
    return map;
  }

  /** Tells the map what a chunk is. */
  teach(map: BlockMapBuilder, chunk: number): void {
    const digest = this.digests[chunk];
    if (digest === null || digest === undefined) map.setZero(chunk);
    else map.setData(chunk, digest);
  }

  wholeMap(): BlockMapBuilder {
    const map = this.newMap();
    for (let chunk = 0; chunk < this.geometry.chunkCount; chunk++) {
      if (!this.isFree(chunk)) this.teach(map, chunk);
    }
    return map;
  }
}
