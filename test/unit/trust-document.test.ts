/** What docs/TRUST.md says of keys, nonces and seals is what the code makes. */
import assert from 'node:assert/strict';
import { createCipheriv, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { encodeFarewell } from '../../src/protocol/from-server.js';
import { openPacket, PacketSealer } from '../../src/trust/control-seal.js';
import { parseKeyFile } from '../../src/trust/key-file.js';
import { MAX_SIGNATURE_FILE_BYTES } from '../../src/trust/minisign.js';
import { ChunkSealer } from '../../src/trust/seal.js';
import { chunkKeyOf, controlKeysOf, LABELS } from '../../src/trust/session-keys.js';
import { MAX_STATEMENT_BYTES, parseStatement } from '../../src/trust/statement.js';
import { readCheckout } from './checkout.js';
import { parseLayouts, tableBelow, writeAs } from './protocol-tables.js';

const DOCUMENT = readCheckout('docs/TRUST.md');
const VECTORS = new Map(
  tableBelow(DOCUMENT, 'Test vectors').map(([what, bytes]) => [what!, Buffer.from(bytes!, 'hex')]),
);
const SESSION = 0x0123_4567_89ab_cdefn;
const SALT = Buffer.from('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', 'hex');
const secret = parseKeyFile(/The key file is `([^`]+)`/.exec(DOCUMENT)![1]!)!;
const farewell = encodeFarewell({
  session: SESSION,
  client: 0x1122_3344_5566_7788n,
  isDropped: false,
});
const text = Buffer.from('sixteen bytes ok');

function sessionBytes(session: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(session);
  return bytes;
}

/** RFC 5869, for results as long as the digest: extract, then the first block of expand. */
function hkdf(salt: Buffer, info: string): Buffer {
  const extracted = createHmac('sha256', salt).update(secret).digest();
  return createHmac('sha256', extracted)
    .update(info)
    .update(Buffer.from([1]))
    .digest();
}

test('the keys of sessions are those of the document, by HKDF written out', () => {
  for (const session of [0n, SESSION]) {
    const keys = controlKeysOf(secret, session);
    for (const purpose of ['requests', 'answers', 'group'] as const) {
      const name = session === 0n ? `${purpose}, session 0` : purpose;
      assert.deepEqual(keys[purpose].export(), VECTORS.get(name), name);
      assert.deepEqual(hkdf(sessionBytes(session), LABELS[purpose]), VECTORS.get(name), name);
    }
  }
  assert.deepEqual(chunkKeyOf(secret, SESSION, SALT), VECTORS.get('chunks'));
  const salt = Buffer.concat([sessionBytes(SESSION), SALT]);
  assert.deepEqual(hkdf(salt, LABELS.chunks), VECTORS.get('chunks'));
});

test('the document names every key with its label', () => {
  const rows = tableBelow(DOCUMENT, 'Keys of a session').map(([key, , info]) => [key, info]);
  assert.deepEqual(rows, Object.entries(LABELS));
});

test('keys and salts of another length are a mistake of the caller', () => {
  assert.throws(() => controlKeysOf(Buffer.alloc(31), 1n), RangeError);
  assert.throws(() => chunkKeyOf(secret, 1n, Buffer.alloc(15)), RangeError);
});

test('the sealed chunk is that of the document, by its table of the nonce', () => {
  const bytes = Buffer.concat([text, Buffer.alloc(16)]);
  new ChunkSealer(VECTORS.get('chunks')!).seal(bytes, text.length, 5, 0x13);
  assert.deepEqual(bytes, VECTORS.get('sealed chunk'));
  const layouts = parseLayouts(DOCUMENT);
  const layout = layouts.get('nonce of a chunk')!;
  const nonce = writeAs([layout], { chunk: 5, encodedLength: 32, kind: 0x13 }, layouts);
  const cipher = createCipheriv('aes-256-gcm', VECTORS.get('chunks')!, nonce);
  const parts = [cipher.update(text), cipher.final(), cipher.getAuthTag()];
  assert.deepEqual(Buffer.concat(parts), VECTORS.get('sealed chunk'));
});

test('the sealed packet is that of the document, by its table', () => {
  const nonce = Buffer.from('a0a1a2a3a4a5b0b1b2b3b4b5', 'hex');
  const { answers } = controlKeysOf(secret, SESSION);
  const sealed = new PacketSealer(answers, nonce).seal(farewell);
  assert.deepEqual(sealed, VECTORS.get('sealed farewell'));
  assert.deepEqual(openPacket(answers, sealed), farewell);

  const cipher = createCipheriv('aes-256-gcm', VECTORS.get('answers')!, nonce);
  cipher.setAAD(sealed.subarray(0, 16));
  const body = cipher.update(farewell.subarray(16));
  cipher.final();
  const layouts = parseLayouts(DOCUMENT);
  const values = {
    magic: farewell.readUInt16BE(0),
    version: farewell[2]!,
    type: farewell[3]!,
    length: farewell.length + 28,
    flags: 1,
    session: SESSION,
    sender: 0xa0a1_a2a3_a4a5,
    count: 0xb0b1_b2b3_b4b5,
    bodyLength: body.length,
    body,
    tag: cipher.getAuthTag(),
  };
  assert.deepEqual(writeAs([layouts.get('sealed control packet')!], values, layouts), sealed);
});

test('the statement that the document shows is one, and its limits are those of the code', () => {
  const shown = /```\n(multiserver image 1\n.*?)```/s.exec(DOCUMENT)![1]!;
  assert.notEqual(parseStatement(Buffer.from(shown)), null);
  assert(DOCUMENT.includes(`at most ${MAX_STATEMENT_BYTES} bytes`));
  assert(DOCUMENT.includes(`at most ${MAX_SIGNATURE_FILE_BYTES} bytes`));
});
