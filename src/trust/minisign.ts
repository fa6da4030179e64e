/**
 * Signatures of minisign (https://jedisct1.github.io/minisign): Ed25519 (RFC 8032) over a file, or
 * over its BLAKE2b-512 (RFC 7693), and once more over the signature and a trusted comment. They
 * are made by the operator with minisign itself; here they are only checked.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { decodeBase64 } from './base64.js';

export interface PublicKey {
  /** Tells keys apart; as minisign prints it. Proves nothing. */
  id: string;
  key: KeyObject;
}

interface Signature {
  /** Of the key that made it, as it says. */
  keyId: string;
  /** Whether the file's BLAKE2b-512 is signed (`ED`), or the file itself (`Ed`). */
  isPrehashed: boolean;
  signature: Buffer;
  /** Signed as well: bytes, for they are covered as they are. */
  trustedComment: Buffer;
  globalSignature: Buffer;
}

/** Longer public key files and signature files are none. */
export const MAX_PUBLIC_KEY_FILE_BYTES = 1200;
export const MAX_SIGNATURE_FILE_BYTES = 640;

const KEY_ID_BYTES = 8;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const LEGACY = 'Ed';
const PREHASHED = 'ED';
const UNTRUSTED = 'untrusted comment: ';
const TRUSTED = 'trusted comment: ';
/** Before the 32 bytes of an Ed25519 key: SubjectPublicKeyInfo in DER (RFC 8410, section 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** minisign prints the id as a number, the last byte first. */
function keyIdText(bytes: Buffer): string {
  return Buffer.from(bytes).reverse().toString('hex').toUpperCase();
}

/** Lines as latin-1, so that every byte stays one character. The last one may lack its end. */
function linesOf(bytes: Buffer): string[] {
  const lines = bytes.toString('latin1').split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/**
 * @param text the file that `minisign -G` writes, or only its second line
 * @returns null for anything else
 */
export function parsePublicKey(text: string): PublicKey | null {
  if (text.length > MAX_PUBLIC_KEY_FILE_BYTES) return null;
  const lines = linesOf(Buffer.from(text));
  if (lines.length === 2 && lines[0]!.startsWith(UNTRUSTED)) lines.shift();
  const [encoded] = lines;
  if (encoded === undefined || lines.length > 1) return null;
  const bytes = decodeBase64(encoded, 2 + KEY_ID_BYTES + PUBLIC_KEY_BYTES);
  if (bytes === null || bytes.toString('latin1', 0, 2) !== LEGACY) return null;
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, bytes.subarray(2 + KEY_ID_BYTES)]),
    format: 'der',
    type: 'spki',
  });
  return { id: keyIdText(bytes.subarray(2, 2 + KEY_ID_BYTES)), key };
}

/**
 * @param bytes a whole `.minisig` file, from the disk or the network
 * @returns null for anything else
 */
export function parseSignature(bytes: Buffer): Signature | null {
  if (bytes.length > MAX_SIGNATURE_FILE_BYTES) return null;
  const lines = linesOf(bytes);
  if (lines.length !== 4) return null;
  const [untrusted, first, trusted, second] = lines as [string, string, string, string];
  if (!untrusted.startsWith(UNTRUSTED) || !trusted.startsWith(TRUSTED)) return null;
  const signed = decodeBase64(first, 2 + KEY_ID_BYTES + SIGNATURE_BYTES);
  const globalSignature = decodeBase64(second, SIGNATURE_BYTES);
  if (signed === null || globalSignature === null) return null;
  const algorithm = signed.toString('latin1', 0, 2);
  if (algorithm !== LEGACY && algorithm !== PREHASHED) return null;
  return {
    keyId: keyIdText(signed.subarray(2, 2 + KEY_ID_BYTES)),
    isPrehashed: algorithm === PREHASHED,
    signature: signed.subarray(2 + KEY_ID_BYTES),
    trustedComment: Buffer.from(trusted.slice(TRUSTED.length), 'latin1'),
    globalSignature,
  };
}

/** Whether `signature` is one of `file`, and its trusted comment, by the owner of `publicKey`. */
export function isSignedBy(publicKey: PublicKey, file: Uint8Array, signature: Signature): boolean {
  const { isPrehashed, trustedComment, globalSignature } = signature;
  if (signature.keyId !== publicKey.id) return false;
  const message = isPrehashed ? createHash('blake2b512').update(file).digest() : file;
  if (!verify(null, message, publicKey.key, signature.signature)) return false;
  const covered = Buffer.concat([signature.signature, trustedComment]);
  return verify(null, covered, publicKey.key, globalSignature);
}
