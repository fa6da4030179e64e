/** An image made of random chunks and runs of zero chunks, and all that is known about it. */
import { createHash } from 'node:crypto';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

export class SimImage {
  readonly bytes: Buffer;
  readonly geometry: Geometry;
  /** Blocks of all chunks that are not zero. */
  readonly dataBlocks: number;
  readonly #digests: (Buffer | null)[] = [];

  constructor(
    readonly name: string,
    options: SimOptions,
    random: Random,
  ) {
    const { imageChunks, chunkSizeBytes, blockSizeBytes, zeros } = options;
    // The last chunk is short and ends within a block.
    const sizeBytes = imageChunks * chunkSizeBytes - Math.floor(chunkSizeBytes / 3) - 1;
    this.geometry = new Geometry(sizeBytes, chunkSizeBytes);
    this.bytes = random.fill(Buffer.alloc(sizeBytes));
    for (let chunk = 0; chunk < imageChunks; ) {
      // Holes come in runs.
      const count = Math.min(1 + random.below(12), imageChunks - chunk);
      const start = this.geometry.chunkOffset(chunk);
      if (random.chance(zeros)) this.bytes.fill(0, start, start + count * chunkSizeBytes);
      chunk += count;
    }
    let blocks = 0;
    for (let chunk = 0; chunk < imageChunks; chunk++) {
      const bytes = this.chunk(chunk);
      const isZero = bytes.every((byte) => byte === 0);
      this.#digests.push(isZero ? null : sha256(bytes));
      if (!isZero) blocks += Math.ceil(bytes.length / blockSizeBytes);
    }
    this.dataBlocks = blocks;
  }

  /** A view of a chunk's bytes. */
  chunk(chunk: number): Buffer {
    const start = this.geometry.chunkOffset(chunk);
    return this.bytes.subarray(start, start + this.geometry.chunkLength(chunk));
  }

  isZero(chunk: number): boolean {
    return this.#digests[chunk] === null;
  }

  /** The digest of `bytes`, which are meant to be `chunk`: without hashing if they are. */
  digestOf(chunk: number, bytes: Buffer): Buffer {
    const known = this.#digests[chunk];
    if (known !== null && known !== undefined && bytes.equals(this.chunk(chunk))) return known;
    return sha256(bytes);
  }

  /** A map of which nothing is known yet. */
  newMap(): BlockMapBuilder {
    return new BlockMapBuilder(this.geometry, sha256);
  }

  /** Tells the map what a chunk is. */
  teach(map: BlockMapBuilder, chunk: number): void {
    const digest = this.#digests[chunk];
    if (digest === null || digest === undefined) map.setZero(chunk);
    else map.setData(chunk, digest);
  }

  wholeMap(): BlockMapBuilder {
    const map = this.newMap();
    for (let chunk = 0; chunk < this.geometry.chunkCount; chunk++) this.teach(map, chunk);
    return map;
  }
}
