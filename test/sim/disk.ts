/** A client's target: an image in memory, worked on by a few workers that each take their time. */
import type { SimImage } from './image.js';
import type { Random } from './random.js';

const WORKERS = 3;

export class SimDisk {
  readonly bytes: Buffer;
  /** Bytes of chunks that are as the image has them. */
  rightBytes = 0;
  /** Time of one store or look, in ms on average. */
  storeMs = 0.4;
  /** For chunks listed here: so many writes do not end up as they should, and nobody is told. */
  readonly badWrites = new Map<number, number>();
  private image: SimImage;
  private readonly random: Random;
  private readonly right: Uint8Array;
  private readonly freeAtMs: number[] = new Array(WORKERS).fill(0);

  /** @param isBlank zeros; otherwise what somebody else left there */
  constructor(image: SimImage, isBlank: boolean, random: Random) {
    this.image = image;
    this.random = random;
    this.bytes = Buffer.alloc(image.bytes.length);
    if (!isBlank) random.fill(this.bytes);
    this.right = new Uint8Array(image.geometry.chunkCount);
    this.expect(image);
  }

  /** From now on, a copy of `image` is right. It must be as large as the first one. */
  expect(image: SimImage): void {
    this.image = image;
    this.lookAll();
  }

  /**
   * Puts a copy there of which `share` of the chunks are right, and the others as they were.
   * @param edits share of those chunks that are of an older version, of which a byte is another
   */
  fillPartly(share: number, edits = 0): void {
    const { geometry, bytes } = this.image;
    for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
      if (!this.random.chance(share)) continue;
      const start = geometry.chunkOffset(chunk);
      const length = geometry.chunkLength(chunk);
      bytes.copy(this.bytes, start, start, start + length);
      if (edits === 0 || !this.random.chance(edits)) continue;
      this.bytes[start + this.random.below(length)]! ^= 1 + this.random.below(255);
    }
    this.lookAll();
  }

  isRight(chunk: number): boolean {
    return this.right[chunk] === 1;
  }

  get wrongChunks(): number {
    return this.right.reduce((count, isRight) => count + 1 - isRight, 0);
  }

  /** When work ordered now will be done: each worker does one thing after the other. */
  doneAt(now: number): number {
    let worker = 0;
    for (let i = 1; i < WORKERS; i++) {
      if (this.freeAtMs[i]! < this.freeAtMs[worker]!) worker = i;
    }
    const start = Math.max(now, this.freeAtMs[worker]!);
    const done = start + this.storeMs * this.random.between(0.3, 2);
    this.freeAtMs[worker] = done;
    return done;
  }

  /** The workers of a client that died do no more. */
  forgetOrders(): void {
    this.freeAtMs.fill(0);
  }

  write(offsetBytes: number, bytes: Buffer): void {
    bytes.copy(this.bytes, offsetBytes);
    const { chunkSizeBytes } = this.image.geometry;
    const first = Math.floor(offsetBytes / chunkSizeBytes);
    const last = Math.floor((offsetBytes + bytes.length - 1) / chunkSizeBytes);
    for (let chunk = first; chunk <= last; chunk++) {
      this.spoil(chunk);
      this.look(chunk);
    }
  }

  private spoil(chunk: number): void {
    const left = this.badWrites.get(chunk) ?? 0;
    if (left === 0) return;
    this.badWrites.set(chunk, left - 1);
    this.bytes[this.image.geometry.chunkOffset(chunk)]! ^= 1;
  }

  get isImage(): boolean {
    return this.image.isAt(0, this.bytes);
  }

  private lookAll(): void {
    for (let chunk = 0; chunk < this.right.length; chunk++) this.look(chunk);
  }

  private look(chunk: number): void {
    const { geometry } = this.image;
    const start = geometry.chunkOffset(chunk);
    const length = geometry.chunkLength(chunk);
    const isRight = this.image.isAt(start, this.bytes.subarray(start, start + length)) ? 1 : 0;
    this.rightBytes += (isRight - this.right[chunk]!) * length;
    this.right[chunk] = isRight;
  }
}
