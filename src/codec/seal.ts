/**
 * The layer of the seal: a packed chunk is encrypted in its place, with a tag behind it, before it
 * is cut into blocks. What it is, `trust/seal.ts` says; here is who has which key.
 */
import { kindOf, Space } from '../protocol/block.js';
import type { Gcm } from '../trust/gcm.js';
import { ChunkSealer, SEAL_BYTES, type SealAddress } from '../trust/seal.js';
import type { Packed } from './compression.js';

export { SEAL_BYTES } from '../trust/seal.js';

/** Bytes of memory that a chunk may take with all its layers. */
export function maxEncodedBytesOf(chunkBytes: number): number {
  return chunkBytes + SEAL_BYTES;
}

/** A chunk that is to be sealed. */
export interface SealOrder {
  /** Its number in the image. */
  chunk: number;
  /** Of the session's chunks. */
  key: Uint8Array;
}

/** A chunk that came sealed. */
export interface SealedOrder extends SealOrder {
  /** Space, encoding and variant, as its blocks have it. */
  kindByte: number;
}

/** Of one thread. Keys come with the jobs: a client may meet several sessions. */
export class SealLayer {
  private key: Uint8Array = Buffer.alloc(0);
  private sealer: ChunkSealer | null = null;

  /** @param gcm who computes seals */
  constructor(private readonly gcm: Gcm) {}

  /** Seals what is packed in `slot`. @returns it with the sealed length */
  seal(slot: Buffer, packed: Packed, { chunk, key }: SealOrder): Packed {
    const kindByte = kindOf(Space.image, packed.encoding, packed.variant);
    const sealer = this.sealerOf(key);
    return { ...packed, encodedLength: sealer.seal(slot, packed.encodedLength, chunk, kindByte) };
  }

  /** @returns the packed chunk, in its place; null for what is no seal: that stays as it is */
  open(sealed: Buffer, order: SealedOrder): Buffer | null {
    const packedBytes = this.sealerOf(order.key).open(sealed, addressOf(sealed, order));
    return packedBytes < 0 ? null : sealed.subarray(0, packedBytes);
  }

  /** Makes a seal again of what was opened, and is not changed since. */
  restore(sealed: Buffer, order: SealedOrder): void {
    this.sealerOf(order.key).restore(sealed, addressOf(sealed, order));
  }

  private sealerOf(key: Uint8Array): ChunkSealer {
    if (this.sealer !== null && Buffer.compare(this.key, key) === 0) return this.sealer;
    this.key = key;
    this.sealer = new ChunkSealer(key, this.gcm);
    return this.sealer;
  }
}

const addressOf = ({ length }: Buffer, { chunk, kindByte }: SealedOrder): SealAddress => ({
  chunk,
  kindByte,
  sealedBytes: length,
});
