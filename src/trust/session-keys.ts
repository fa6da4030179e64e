/**
 * The keys of one session, made from the operator's key by HKDF-SHA256 (RFC 5869). There is one
 * for each direction and purpose: a packet that is reflected, or a chunk that is passed off as a
 * packet, is opened with another key than it was sealed with, and fails.
 *
 *     key = HKDF(secret: 32 bytes of the key file, salt: see below, info: label, length: 32)
 */
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

export const KEY_BYTES = 32;
/** Random bytes of one run of a server, which its sealed descriptions tell. */
export const STREAM_SALT_BYTES = 16;

/** HKDF's `info`, ASCII. The number changes with anything that is sealed otherwise. */
export const LABELS = {
  /** Control packets of clients, and of servers that look for others. */
  requests: 'multiserver 1 requests',
  /** Control packets of a server to one address. */
  answers: 'multiserver 1 answers',
  /** Control packets of a server to the group. */
  group: 'multiserver 1 group',
  /** Chunks and parts of the block map. */
  chunks: 'multiserver 1 chunks',
} as const;

/**
 * What is said before a session is agreed on: map requests of session 0, and all descriptions.
 * No server may choose this session for itself.
 */
export const DOOR_SESSION = 0n;

/** Keys of control packets. */
export interface ControlKeys {
  readonly requests: KeyObject;
  readonly answers: KeyObject;
  readonly group: KeyObject;
}

/** @throws RangeError unless the operator's key has 32 bytes: reading it is `parseKeyFile`'s */
function derive(secret: Uint8Array, salt: Uint8Array, label: string): Buffer {
  if (secret.length !== KEY_BYTES) throw new RangeError(`key of ${secret.length} bytes`);
  return Buffer.from(hkdfSync('sha256', secret, salt, label, KEY_BYTES));
}

function sessionBytes(session: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(session);
  return bytes;
}

/** @param session `DOOR_SESSION` for what comes before one. Salt: its 8 bytes, big endian */
export function controlKeysOf(secret: Uint8Array, session: bigint): ControlKeys {
  const salt = sessionBytes(session);
  const keyOf = (label: string) => createSecretKey(derive(secret, salt, label));
  return {
    requests: keyOf(LABELS.requests),
    answers: keyOf(LABELS.answers),
    group: keyOf(LABELS.group),
  };
}

/**
 * The key of a session's chunks, as bytes: threads that seal get it in a message.
 * Salt: the session's 8 bytes, big endian, and the stream's 16.
 */
export function chunkKeyOf(secret: Uint8Array, session: bigint, streamSalt: Uint8Array): Buffer {
  if (streamSalt.length !== STREAM_SALT_BYTES) throw new RangeError('salt of another length');
  const salt = Buffer.concat([sessionBytes(session), streamSalt]);
  return derive(secret, salt, LABELS.chunks);
}
