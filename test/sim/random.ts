/** Randomness from one seed, so that every run of the simulator can be had again. */

import { createCipheriv } from 'node:crypto';

/** sfc32 (Chris Doty-Humphrey), seeded through splitmix32. */
export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private counter = 1;

  /** @param seed any number; its lower 32 bits and the label decide everything that comes out */
  constructor(seed: number, label = '') {
    let state = seed >>> 0;
    for (let i = 0; i < label.length; i++)
      state = Math.imul(state ^ label.charCodeAt(i), 0x01000193);
    const mix = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.a = mix();
    this.b = mix();
    this.c = mix();
    for (let i = 0; i < 12; i++) this.word();
  }

  private word(): number {
    const result = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** In [0, 1). */
  readonly next = (): number => this.word() / 0x1_0000_0000;

  /** A whole number in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  chance(share: number): boolean {
    return share > 0 && this.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  id(): bigint {
    return (BigInt(this.word()) << 32n) | BigInt(this.word());
  }

  /** Fills `bytes` with what nothing compresses. */
  fill(bytes: Buffer): Buffer {
    const key = Buffer.alloc(16);
    for (let at = 0; at < key.length; at += 4) key.writeUInt32LE(this.word(), at);
    createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(bytes.fill(0)).copy(bytes);
    return bytes;
  }
}
