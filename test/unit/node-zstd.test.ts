import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { claimsLength } from '../../src/codec/zstd-frame.js';
import {
  type LoadedZstd,
  loadZstd,
  loadZstdOf,
  type ZstdKind,
} from '../../src/node/workers/zstd.js';

const kinds: ZstdKind[] = ['node', 'library', 'wasm'];
const available: LoadedZstd[] = [];
for (const kind of kinds) {
  const zstd = await loadZstdOf([kind]);
  if (zstd !== null) available.push(zstd);
}
const wasm = (await loadZstdOf(['wasm']))!;

function compressed(zstd: LoadedZstd, content: Buffer, level: number): Buffer {
  const output = Buffer.alloc(content.length + 1024);
  const length = zstd.compress(content, output, level);
  assert.ok(length > 0);
  return output.subarray(0, length);
}

/** Text-like: long enough for several blocks of zstd when asked for. */
function sampleOf(lengthBytes: number): Buffer {
  const words = ['disk', 'image', 'chunk', 'block', 'pass', 'a', 'the', '\n'];
  let text = '';
  for (let i = 0; text.length < lengthBytes; i++)
    text += `${words[(i * i + 7 * i) % 8]} ${i % 97} `;
  return Buffer.from(text).subarray(0, lengthBytes);
}

test('there is always one implementation', async () => {
  assert.equal(wasm.kind, 'wasm');
  assert.notEqual(await loadZstd(), null);
});

test('every implementation reads what every other one wrote', () => {
  const content = sampleOf(262_144);
  for (const level of [1, 3, 19]) {
    for (const writer of available) {
      const frame = compressed(writer, content, level);
      assert.ok(frame.length < content.length / 2);
      for (const reader of available) {
        const output = Buffer.alloc(content.length);
        assert.ok(reader.decompress(frame, output), `${reader.kind} reads ${writer.kind}`);
        assert.ok(output.equals(content));
      }
    }
  }
});

test('contents of any length survive', () => {
  for (const zstd of available) {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 5000 }), (bytes) => {
        const content = Buffer.from(bytes);
        const output = Buffer.alloc(content.length);
        assert.ok(zstd.decompress(compressed(zstd, content, 1), output));
        assert.ok(output.equals(content));
      }),
      { numRuns: 50 },
    );
  }
});

test('works on memory that threads share', () => {
  const content = Buffer.from(new SharedArrayBuffer(65_536));
  sampleOf(65_536).copy(content);
  const output = Buffer.from(new SharedArrayBuffer(65_536));
  for (const zstd of available) {
    const frame = Buffer.from(new SharedArrayBuffer(65_536));
    const length = zstd.compress(content, frame, 1);
    assert.ok(length > 0);
    output.fill(0);
    assert.ok(zstd.decompress(frame.subarray(0, length), output), zstd.kind);
    assert.ok(output.equals(content));
  }
});

test('says that an output is too small instead of writing past it', () => {
  const content = sampleOf(10_000);
  for (const zstd of available) assert.equal(zstd.compress(content, Buffer.alloc(20), 1), -1);
});

test('a frame of another size is refused before it is unpacked', () => {
  const bomb = compressed(wasm, Buffer.alloc(8 * 1024 * 1024), 19);
  assert.ok(bomb.length < 2000);
  for (const zstd of available) {
    assert.equal(zstd.decompress(bomb, Buffer.alloc(262_144)), false);
    const short = compressed(zstd, sampleOf(1000), 3);
    for (const lengthBytes of [1, 999, 1001, 262_144]) {
      assert.equal(zstd.decompress(short, Buffer.alloc(lengthBytes)), false);
    }
  }
});

test('a frame that lies about its size is refused', () => {
  // The claim of a large frame is made to be that of a small one.
  const frame = Buffer.from(compressed(wasm, sampleOf(200_000), 1));
  assert.ok(claimsLength(frame, 200_000));
  frame.writeUInt32LE(100_000, 5);
  assert.ok(claimsLength(frame, 100_000));
  for (const zstd of available) {
    assert.equal(zstd.decompress(frame, Buffer.alloc(100_000)), false, zstd.kind);
  }
});

test('two frames in a row are refused', () => {
  const one = compressed(wasm, sampleOf(5000), 1);
  const two = Buffer.concat([one, one]);
  for (const zstd of available) {
    assert.equal(zstd.decompress(two, Buffer.alloc(5000)), false, zstd.kind);
    assert.equal(zstd.decompress(two, Buffer.alloc(10_000)), false, zstd.kind);
  }
});

test('damaged and invented frames never throw', () => {
  const frame = compressed(wasm, sampleOf(20_000), 1);
  for (const zstd of available) {
    for (let length = 0; length < frame.length; length += 1 + (length >> 3)) {
      assert.equal(zstd.decompress(frame.subarray(0, length), Buffer.alloc(20_000)), false);
    }
    fc.assert(
      fc.property(fc.nat(frame.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(frame);
        damaged[at]! ^= flip;
        zstd.decompress(damaged, Buffer.alloc(20_000));
      }),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        assert.equal(zstd.decompress(Buffer.from(bytes), Buffer.alloc(20_000)), false);
      }),
    );
  }
});

test('a frame that wants a huge window or a dictionary is refused', () => {
  const header = (descriptor: number, ...rest: number[]) =>
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...rest]);
  assert.ok(claimsLength(header(0xa0, 0, 0, 4, 0), 262_144));
  assert.ok(claimsLength(header(0x60, 0, 0), 256));
  assert.ok(claimsLength(header(0x20, 9), 9));
  assert.ok(claimsLength(header(0x80, 0x58, 0, 0, 4, 0), 262_144));
  const hugeWindow = 0xf8;
  assert.ok(!claimsLength(header(0x80, hugeWindow, 0, 0, 4, 0), 262_144));
  assert.ok(!claimsLength(header(0xa1, 5, 0, 0, 4, 0), 262_144));
  assert.ok(!claimsLength(header(0x00, 0x58, 0, 0), 262_144));
  assert.ok(!claimsLength(header(0xe0, 0, 0, 4), 262_144));
});
