/** Base64 (RFC 4648, section 4) as keys and signatures are written in it: no byte more or less. */

/** @returns null for what is not exactly `lengthBytes` bytes in base64, padded, in one way */
export function decodeBase64(text: string, lengthBytes: number): Buffer | null {
  if (text.length !== Math.ceil(lengthBytes / 3) * 4) return null;
  const bytes = Buffer.from(text, 'base64');
  // Buffer passes over what is no base64: writing it again shows that.
  return bytes.length === lengthBytes && bytes.toString('base64') === text ? bytes : null;
}
