/**
 * Text fields: UTF-8, without control characters, since they end up on terminals and in file names.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the purpose
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]/;
const FORBIDDEN_ALL = new RegExp(FORBIDDEN.source, 'g');

/** UTF-8 of `text`, cut at a character so that at most `mostBytes` remain. */
export function textBytes(text: string, mostBytes: number): Buffer {
  // What a decoder would refuse never leaves: a strange file name must not keep clients out.
  let bytes = Buffer.from(Buffer.from(text).toString().replace(FORBIDDEN_ALL, '_'));
  if (bytes.length <= mostBytes) return bytes;
  let end = mostBytes;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  bytes = bytes.subarray(0, end);
  return bytes;
}

/** The text in `bytes[start, end)`, or null when it is not clean UTF-8. */
export function readText(bytes: Buffer, start: number, end: number): string | null {
  const text = bytes.toString('utf8', start, end);
  return FORBIDDEN.test(text) ? null : text;
}
