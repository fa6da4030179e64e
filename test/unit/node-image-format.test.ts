import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatOf, unpackedName } from '../../src/node/source/image-format.js';

const format = (bytes: Buffer) =>
  formatOf((offsetBytes, lengthBytes) => {
    const at = offsetBytes < 0 ? bytes.length + offsetBytes : offsetBytes;
    return at < 0 ? Buffer.alloc(0) : bytes.subarray(at, at + lengthBytes);
  });

const skippable = (length: number) => {
  const frame = Buffer.alloc(8 + length, 7);
  frame.writeUInt32LE(0x184d2a53, 0);
  frame.writeUInt32LE(length, 4);
  return frame;
};
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0]);
const LZ4 = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0]);

test('forms are known by their bytes', () => {
  const known: [string, Buffer | string][] = [
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0])],
    ['zstd', ZSTD],
    ['zstd', Buffer.concat([skippable(4), skippable(0), ZSTD])],
    ['LZ4', LZ4],
    ['LZ4', Buffer.concat([skippable(9), LZ4])],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])],
    ['bzip2', Buffer.from('425a6839314159265359', 'hex')],
    ['a zip archive', 'PK\x03\x04'],
    ['a 7z archive', Buffer.from('377abcaf271c', 'hex')],
    ['a qcow2 disk', Buffer.from('514649fb', 'hex')],
    ['a VMDK disk', 'KDMV'],
    ['a VDI disk', Buffer.concat([Buffer.alloc(64), Buffer.from('7f10dabe', 'hex')])],
    ['a VHD disk', 'conectix'],
    [
      'a VHD disk',
      Buffer.concat([Buffer.alloc(4096, 1), Buffer.from('conectix'), Buffer.alloc(504)]),
    ],
    ['a VHDX disk', 'vhdxfile'],
    ['a partclone image', 'partclone-image0002'],
  ];
  for (const [name, bytes] of known) assert.equal(format(Buffer.from(bytes))?.name, name);
});

test('property: other bytes are a raw image', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      assert.equal(format(Buffer.concat([Buffer.from([0xeb, 0x63]), bytes])), null);
    }),
  );
  assert.equal(format(Buffer.alloc(0)), null);
  assert.equal(format(Buffer.from('BZh9 is text')), null);
});

test('a name loses the suffix of its packing, and no other', () => {
  const gzip = format(Buffer.from([0x1f, 0x8b, 8, 0]));
  assert.equal(gzip?.kind, 'packed');
  if (gzip?.kind !== 'packed') return;
  assert.equal(unpackedName('LAB.IMG.GZ', gzip), 'LAB.IMG');
  assert.equal(unpackedName('lab.img', gzip), 'lab.img');
});
