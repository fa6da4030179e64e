import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatKeyFile, MAX_KEY_FILE_BYTES, parseKeyFile } from '../../src/trust/key-file.js';

const secrets = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));

test('property: a key that was written is read again, whatever ends its line', () => {
  fc.assert(
    fc.property(secrets, fc.constantFrom('', '\n', '\r\n'), (secret, end) => {
      const text = formatKeyFile(secret);
      assert(text.length <= MAX_KEY_FILE_BYTES && text.endsWith('=\n'));
      assert.deepEqual(parseKeyFile(text.trimEnd() + end), secret);
    }),
  );
});

test('property: nothing but 32 bytes in base64 is a key', () => {
  const good = formatKeyFile(Buffer.alloc(32, 0xa5));
  const edits = fc.tuple(fc.nat({ max: 43 }), fc.constantFrom('', ' ', '\n', '-', '_', '=', '\0'));
  fc.assert(
    fc.property(edits, ([at, text]) => {
      const edited = good.slice(0, at) + text + good.slice(at + 1);
      const expected = edited === good ? Buffer.alloc(32, 0xa5) : null;
      assert.deepEqual(parseKeyFile(edited), expected);
    }),
  );
});

test('keys of other lengths, more than one line, and other ways to write one are refused', () => {
  for (const lengthBytes of [0, 16, 31, 33, 64]) {
    assert.equal(parseKeyFile(`${Buffer.alloc(lengthBytes, 7).toString('base64')}\n`), null);
    assert.throws(() => formatKeyFile(Buffer.alloc(lengthBytes)), RangeError);
  }
  const good = formatKeyFile(Buffer.alloc(32, 7));
  for (const text of [`${good}\n`, `\n${good}`, ` ${good}`, good + good, `\ufeff${good}`]) {
    assert.equal(parseKeyFile(text), null, JSON.stringify(text));
  }
  // The last two bits of the last digit say nothing: other digits would be the same key.
  assert.equal(parseKeyFile(good.replace('c=', 'd=')), null);
  assert.equal(parseKeyFile(Buffer.alloc(32, 7).toString('hex')), null);
});
