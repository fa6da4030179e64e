/**
 * The seal of one encoded chunk, or of one part of the block map: its bytes encrypted in their
 * place, and a tag of 16 bytes behind them.
 *
 * The nonce is what the headers of the chunk's blocks say of it, and is not sent: number, length
 * and kind. So blocks that a client may put together are blocks of one seal, and a server that
 * seals other bytes under the same headers would break both; `SealRegister` forbids it.
 */
import { type Gcm, NODE_GCM, NONCE_BYTES, TAG_BYTES } from './gcm.js';

/** What a seal adds to a chunk. */
export const SEAL_BYTES = TAG_BYTES;

/** What the headers of a sealed chunk's blocks have in common. */
export interface SealAddress {
  /** Number within its space. */
  chunk: number;
  /** Of the chunk as it travels: with the tag. */
  sealedBytes: number;
  /** Space, encoding and variant: the last byte of a block's header. */
  kindByte: number;
}

/** Seals and opens the chunks of one session. For one thread; nothing is kept between calls. */
export class ChunkSealer {
  private readonly nonce = Buffer.alloc(NONCE_BYTES);

  /**
   * @param key from `chunkKeyOf`
   * @param gcm who computes it
   */
  constructor(
    private readonly key: Uint8Array,
    private readonly gcm: Gcm = NODE_GCM,
  ) {}

  /**
   * Seals `bytes[0, encodedBytes)` in their place; there must be room for the tag behind them.
   * @returns the sealed length in bytes
   */
  seal(bytes: Uint8Array, encodedBytes: number, chunk: number, kindByte: number): number {
    const sealedBytes = encodedBytes + SEAL_BYTES;
    this.setNonce({ chunk, sealedBytes, kindByte });
    this.gcm.seal(this.key, this.nonce, bytes, encodedBytes);
    return sealedBytes;
  }

  /**
   * Opens a seal in its place.
   * @returns the encoded length in bytes; -1 for what is no seal of this chunk in this session:
   *   then all bytes are as they were, so that single blocks of them can be mended
   */
  open(bytes: Uint8Array, address: SealAddress): number {
    if (address.sealedBytes < SEAL_BYTES || address.sealedBytes > bytes.length) return -1;
    this.setNonce(address);
    if (this.gcm.open(this.key, this.nonce, bytes, address.sealedBytes)) {
      return address.sealedBytes - SEAL_BYTES;
    }
    this.gcm.restore(this.key, this.nonce, bytes, address.sealedBytes);
    return -1;
  }

  /** Makes a seal again of what was opened in its place, and not changed since. */
  restore(bytes: Uint8Array, address: SealAddress): void {
    this.setNonce(address);
    this.gcm.restore(this.key, this.nonce, bytes, address.sealedBytes);
  }

  /** Bytes 16 to 19 and 24 to 27 of a block's header, and zeros. */
  private setNonce({ chunk, sealedBytes, kindByte }: SealAddress): void {
    this.nonce.writeUInt32BE(chunk, 0);
    this.nonce.writeUIntBE(sealedBytes, 4, 3);
    this.nonce.writeUInt8(kindByte, 7);
  }
}
