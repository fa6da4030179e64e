import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  isSignedBy,
  MAX_PUBLIC_KEY_FILE_BYTES,
  MAX_SIGNATURE_FILE_BYTES,
  parsePublicKey,
  parseSignature,
} from '../../src/trust/minisign.js';
import { Signer } from '../minisign.js';

interface Vector {
  what: string;
  key: string;
  file: string;
  signature: string;
  isPrehashed: boolean;
  comment: string;
}

const AUTHORS_KEY = 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3';
const DEBIANS_KEY = `untrusted comment: minisign public key 9AE45CB3777986D7
RWTXhnl3s1zkmpsK9FFhsMh8AbFFSnCWjd3bqHuFtrO3sjqVzYpKsqQu
`;

/** Of minisign's author, as its verifiers in other languages test with them; and of Debian 12's. */
const VECTORS: Vector[] = [
  {
    what: "the author's key, legacy",
    key: AUTHORS_KEY,
    file: 'test',
    signature: `untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==
`,
    isPrehashed: false,
    comment: 'timestamp:1555779966\tfile:test',
  },
  {
    what: "the author's key, prehashed",
    key: AUTHORS_KEY,
    file: 'test',
    signature: `untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==`,
    isPrehashed: true,
    comment: 'timestamp:1633700835\tfile:test\tprehashed',
  },
  {
    what: 'minisign 0.11 of Debian, legacy',
    key: DEBIANS_KEY,
    file: 'hello\n',
    signature: `untrusted comment: signature from minisign secret key
RWTXhnl3s1zkmhTUaF2z7Z2Oqs0BRaRXwU0Le44GdMntQkStOIIfAAquwT1tGytg1DjtDEqLWvufxrOfSU7qx2v38lwNLUpvxQ8=
trusted comment: timestamp:1795955602\tfile:f
yWRggpOBRUp1FszV3J4nrfqS91+wFOwiEwsZV14gi6Lvf8uRZfSKJ6ZxdOQepLe7u6twMJQsR3u5N516CM6dDQ==
`,
    isPrehashed: false,
    comment: 'timestamp:1795955602\tfile:f',
  },
  {
    what: 'minisign 0.11 of Debian, prehashed, with line ends of Windows',
    key: DEBIANS_KEY.replaceAll('\n', '\r\n'),
    file: 'hello\n',
    signature: `untrusted comment: signature from minisign secret key
RUTXhnl3s1zkmuRAw79lYPf/7smqjqC+DmqRNWl/4/bt2idkTXxVLjrc9YJ9qEEPZEZ/PHBvy5U5kt05iD/ereoT+O2+0CuvigU=
trusted comment: a trusted comment
TqMKChhAfD/qlVTvNTkkksnzOIdcfinx/Maq8boSRlclE2mrCU0hyTVkazYpyR138wf3ZAtkvZfeEiYEVXdGCQ==
`.replaceAll('\n', '\r\n'),
    isPrehashed: true,
    comment: 'a trusted comment',
  },
];

for (const { what, key, file, signature, isPrehashed, comment } of VECTORS) {
  test(`a signature of ${what} is taken, and nothing near it`, () => {
    const publicKey = parsePublicKey(key)!;
    const bytes = Buffer.from(signature);
    const parsed = parseSignature(bytes)!;
    assert.equal(parsed.isPrehashed, isPrehashed);
    assert.equal(parsed.trustedComment.toString(), comment);
    const isTaken = (of: Buffer, by: Buffer) => {
      const other = parseSignature(by);
      return other !== null && isSignedBy(publicKey, of, other);
    };
    const content = Buffer.from(file);
    assert(isTaken(content, bytes));
    for (let at = 0; at < content.length; at++) {
      const flipped = Buffer.from(content);
      flipped[at]! ^= 1;
      assert(!isTaken(flipped, bytes), `byte ${at} of the file`);
    }
    assert(!isTaken(Buffer.concat([content, content]), bytes));
    // The untrusted comment is what it is called, so all but that.
    const untrusted = signature.indexOf('\n');
    for (let at = untrusted + 1; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1;
      const isEnd = '\r\n'.includes(String.fromCharCode(bytes[at]!));
      if (!isEnd) assert(!isTaken(content, flipped), `byte ${at} of the signature`);
    }
    const whole = signature.trimEnd().length;
    for (let end = 0; end < whole; end++) assert(!isTaken(content, bytes.subarray(0, end)));
    assert(isTaken(content, bytes.subarray(0, whole)), 'the last line need not be ended');
  });
}

test('another key, or one that only bears its id, signs nothing', () => {
  const id = Buffer.from('12345678');
  const signer = new Signer(Buffer.alloc(32, 1), id);
  const impostor = new Signer(Buffer.alloc(32, 2), id);
  const file = Buffer.from('of the tests');
  const publicKey = parsePublicKey(signer.publicKeyFile)!;
  const by = (one: Signer) => parseSignature(Buffer.from(one.sign(file)))!;
  assert(isSignedBy(publicKey, file, by(signer)));
  assert(!isSignedBy(publicKey, file, by(impostor)));
  assert(!isSignedBy(parsePublicKey(AUTHORS_KEY)!, file, by(signer)));
  const renamed = new Signer(Buffer.alloc(32, 1), Buffer.from('87654321'));
  assert(!isSignedBy(publicKey, file, by(renamed)));
});

test('a signature of the file is none of its digest, nor the other way round', () => {
  const signer = new Signer(Buffer.alloc(32, 1), Buffer.from('12345678'));
  const publicKey = parsePublicKey(signer.publicKeyFile)!;
  const file = Buffer.from('of the tests');
  for (const isPrehashed of [false, true]) {
    const signature = parseSignature(Buffer.from(signer.sign(file, { isPrehashed })))!;
    assert(isSignedBy(publicKey, file, signature));
    assert(!isSignedBy(publicKey, file, { ...signature, isPrehashed: !isPrehashed }));
  }
});

test('a trusted comment of another signature is not taken', () => {
  const signer = new Signer(Buffer.alloc(32, 1), Buffer.from('12345678'));
  const publicKey = parsePublicKey(signer.publicKeyFile)!;
  const file = Buffer.from('of the tests');
  const [old, young] = ['old', 'young'].map(
    (comment) => parseSignature(Buffer.from(signer.sign(file, { comment })))!,
  );
  const mixed = { ...old!, trustedComment: young!.trustedComment };
  assert(!isSignedBy(publicKey, file, mixed));
  // Ed25519 gives one signature for one file and key: so both parts fit each other.
  const { trustedComment, globalSignature } = young!;
  assert(isSignedBy(publicKey, file, { ...old!, trustedComment, globalSignature }));
});

/** RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature. */
const ED25519 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
].map((row) => row.map((part) => Buffer.from(part, 'hex')) as [Buffer, Buffer, Buffer, Buffer]);

for (const [index, [seed, key, message, signature]] of ED25519.entries()) {
  test(`test ${index + 1} of RFC 8032 is a legacy signature`, () => {
    const signer = new Signer(seed, Buffer.alloc(8));
    const line = Buffer.from(signer.publicKeyLine, 'base64');
    assert.deepEqual(line.subarray(10), key);
    const parsed = parseSignature(Buffer.from(signer.sign(message, { isPrehashed: false })))!;
    assert.deepEqual(parsed.signature, signature);
    assert(isSignedBy(parsePublicKey(signer.publicKeyLine)!, message, parsed));
  });
}

test('the digest of prehashed signatures is that of RFC 7693', () => {
  assert.equal(
    createHash('blake2b512').update('abc').digest('hex'),
    'ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923',
  );
});

test('public keys: the file, or its second line alone, and nothing else', () => {
  const [comment, line] = DEBIANS_KEY.split('\n') as [string, string];
  for (const text of [DEBIANS_KEY, DEBIANS_KEY.trimEnd(), line, `${line}\n`]) {
    assert.equal(parsePublicKey(text)?.id, '9AE45CB3777986D7', text);
  }
  const others = [
    '',
    comment,
    `${line}\n${line}\n`,
    `comment\n${line}\n`,
    `${DEBIANS_KEY}${line}\n`,
    ` ${line}`,
    line.slice(0, -1),
    `${line}=`,
    line.replace('RW', 'RU'),
    `untrusted comment: ${'x'.repeat(MAX_PUBLIC_KEY_FILE_BYTES)}\n${line}`,
  ];
  for (const text of others) assert.equal(parsePublicKey(text), null, text);
});

test('property: what is no signature file is refused without an exception', () => {
  const [legacy] = VECTORS;
  const lines = legacy!.signature.split('\n');
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
    fc.array(fc.constantFrom(...lines, ''), { maxLength: 7 }).map((some) => {
      return Buffer.from(some.join('\n'));
    }),
  );
  fc.assert(
    fc.property(junk, (bytes) => {
      const parsed = parseSignature(bytes);
      if (parsed !== null) assert.equal(bytes.toString().trimEnd(), legacy!.signature.trimEnd());
    }),
  );
  const long = legacy!.signature.replace('key', 'x'.repeat(MAX_SIGNATURE_FILE_BYTES));
  assert.equal(parseSignature(Buffer.from(long)), null);
});
