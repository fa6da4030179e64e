/** A client's target: an image in memory, written by a few workers that each take their time. */
import type { SimImage } from './image.js';
import type { Random } from './random.js';

export class SimDisk {
  readonly bytes: Buffer;
  /** Bytes of chunks that are as the image has them. */
  rightBytes = 0;
  /** Time of one store, in ms on average. */
  storeMs = 0.4;
  readonly #image: SimImage;
  readonly #random: Random;
  readonly #right: Uint8Array;
  readonly #freeAtMs: number[];

  /** @param isBlank zeros; otherwise what somebody else left there */
  constructor(image: SimImage, isBlank: boolean, workers: number, random: Random) {
    this.#image = image;
    this.#random = random;
    this.bytes = Buffer.alloc(image.bytes.length);
    if (!isBlank) random.fill(this.bytes);
    this.#right = new Uint8Array(image.geometry.chunkCount);
    this.#freeAtMs = new Array(workers).fill(0);
    for (let chunk = 0; chunk < image.geometry.chunkCount; chunk++) this.#look(chunk);
  }

  /** When a store ordered now will be done: each worker does one after the other. */
  doneAt(now: number): number {
    let worker = 0;
    for (let i = 1; i < this.#freeAtMs.length; i++) {
      if (this.#freeAtMs[i]! < this.#freeAtMs[worker]!) worker = i;
    }
    const start = Math.max(now, this.#freeAtMs[worker]!);
    const done = start + this.storeMs * this.#random.between(0.3, 2);
    this.#freeAtMs[worker] = done;
    return done;
  }

  /** The workers of a client that died do no more. */
  forgetOrders(): void {
    this.#freeAtMs.fill(0);
  }

  write(offsetBytes: number, bytes: Buffer): void {
    bytes.copy(this.bytes, offsetBytes);
    const { chunkSizeBytes } = this.#image.geometry;
    const first = Math.floor(offsetBytes / chunkSizeBytes);
    const last = Math.floor((offsetBytes + bytes.length - 1) / chunkSizeBytes);
    for (let chunk = first; chunk <= last; chunk++) this.#look(chunk);
  }

  get isImage(): boolean {
    return this.bytes.equals(this.#image.bytes);
  }

  isRight(chunk: number): boolean {
    return this.#right[chunk] === 1;
  }

  #look(chunk: number): void {
    const { geometry, bytes } = this.#image;
    const start = geometry.chunkOffset(chunk);
    const length = geometry.chunkLength(chunk);
    const end = start + length;
    const isRight = this.bytes.compare(bytes, start, end, start, end) === 0 ? 1 : 0;
    this.rightBytes += (isRight - this.#right[chunk]!) * length;
    this.#right[chunk] = isRight;
  }
}
