/**
 * BLAKE3, the digest of chunks, of map pages and of the map's root: 32 bytes, no key
 * (https://github.com/BLAKE3-team/BLAKE3-specs).
 *
 * Native code where there is some for this machine, otherwise WebAssembly, at a quarter of the
 * speed. SHA-256 would come with Node, but takes twice the time where the processor helps with
 * it, and five times where it does not: it was the largest part of a copy's work.
 */

import { createRequire } from 'node:module';
import type { Digest } from '../../image/block-map.js';
import { debugLog } from './debug-log.js';

const debug = debugLog('multiserver:digest');

/** @returns null where there is no native code for this machine */
export function nativeBlake3(): Digest | null {
  try {
    const native = createRequire(import.meta.url)('@napi-rs/blake-hash') as { blake3: Digest };
    return native.blake3;
  } catch (error) {
    debug('no native code: %s', (error as Error).message);
    return null;
  }
}

export async function wasmBlake3(): Promise<Digest> {
  const { createBLAKE3 } = await import('hash-wasm');
  const hasher = await createBLAKE3();
  return (bytes) => Buffer.from(hasher.init().update(bytes).digest('binary'));
}

export async function loadBlake3(): Promise<Digest> {
  return nativeBlake3() ?? (await wasmBlake3());
}
