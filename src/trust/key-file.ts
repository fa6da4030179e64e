/** The operator's key as a file holds it: 32 random bytes in base64, in one line of text. */
import { decodeBase64 } from './base64.js';
import { KEY_BYTES } from './session-keys.js';

/** A longer file is none: nobody need read it to its end. */
export const MAX_KEY_FILE_BYTES = 64;

/** @param secret 32 random bytes */
export function formatKeyFile(secret: Uint8Array): string {
  if (secret.length !== KEY_BYTES) throw new RangeError(`key of ${secret.length} bytes`);
  return `${Buffer.from(secret).toString('base64')}\n`;
}

/**
 * @param text all of the file
 * @returns the key's 32 bytes; null for anything but these in base64, and the end of a line
 */
export function parseKeyFile(text: string): Buffer | null {
  if (text.length > MAX_KEY_FILE_BYTES) return null;
  return decodeBase64(text.replace(/\r?\n$/, ''), KEY_BYTES);
}
