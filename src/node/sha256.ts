/** The digest of chunks, of map pages and of the map's root. */
import { createHash } from 'node:crypto';

/** @returns 32 bytes */
export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
