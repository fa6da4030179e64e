/**
 * AES-256-GCM (NIST SP 800-38D) over bytes where they lie: a nonce of 12 bytes, a tag of 16 bytes
 * behind the text, and bytes beside it that are vouched for and not hidden.
 *
 * Node's ciphers hand each result out in memory of its own. In pieces of 16 KiB that memory comes
 * from the heap of the C library and stays in the cache: whole chunks at once take twice as long.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

/** As a session's keys are made, or as they come from another thread. */
export type Key = KeyObject | Uint8Array;

export const TAG_BYTES = 16;
export const NONCE_BYTES = 12;

const CIPHER = 'aes-256-gcm';
const PIECE_BYTES = 16_384;
const NOTHING = Buffer.alloc(0);

interface Transform {
  update(bytes: Uint8Array): Buffer;
}

function transform(cipher: Transform, bytes: Uint8Array, lengthBytes: number): void {
  for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, lengthBytes);
    bytes.set(cipher.update(bytes.subarray(at, end)), at);
  }
}

/**
 * Seals the first `lengthBytes` of `bytes` in their place, and writes the tag behind them.
 * Nobody may call it twice with one key and one nonce, unless all else is the same, too.
 * @param beside what the tag vouches for without being in the text
 */
export function sealInPlace(
  key: Key,
  nonce: Uint8Array,
  bytes: Uint8Array,
  lengthBytes: number,
  beside: Uint8Array = NOTHING,
): void {
  if (bytes.length < lengthBytes + TAG_BYTES) throw new RangeError('no room for the tag');
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(beside);
  transform(cipher, bytes, lengthBytes);
  cipher.final();
  bytes.set(cipher.getAuthTag(), lengthBytes);
}

/**
 * Opens the seal that fills the first `sealedBytes` of `bytes`, in its place.
 * @returns whether the tag fits. If it does not, the text is rubbish, and the tag untouched
 */
export function openInPlace(
  key: Key,
  nonce: Uint8Array,
  bytes: Uint8Array,
  sealedBytes: number,
  beside: Uint8Array = NOTHING,
): boolean {
  const lengthBytes = sealedBytes - TAG_BYTES;
  if (lengthBytes < 0 || sealedBytes > bytes.length) return false;
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(beside);
  decipher.setAuthTag(bytes.subarray(lengthBytes, sealedBytes));
  transform(decipher, bytes, lengthBytes);
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}

/**
 * Turns what `openInPlace` made of a false seal into that seal again, byte for byte: sealing and
 * opening both add the same stream of bits to the text.
 */
export function restoreSealed(
  key: Key,
  nonce: Uint8Array,
  bytes: Uint8Array,
  sealedBytes: number,
): void {
  transform(createCipheriv(CIPHER, key, nonce), bytes, sealedBytes - TAG_BYTES);
}

/** Who computes it, for chunks: as above, with nothing beside the text. */
export interface Gcm {
  seal(key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array, lengthBytes: number): void;
  open(key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array, sealedBytes: number): boolean;
  restore(key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array, sealedBytes: number): void;
}

/** Node itself. */
export const NODE_GCM: Gcm = {
  seal: sealInPlace,
  open: openInPlace,
  restore: restoreSealed,
};
