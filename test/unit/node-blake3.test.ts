import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nativeBlake3, wasmBlake3 } from '../../src/node/system/blake3.js';

/** Of the published test vectors: the input's bytes count up from 0 to 250 and start again. */
const VECTORS: readonly (readonly [lengthBytes: number, hex: string])[] = [
  [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [1025, 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
  [102_400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
];

const wasm = await wasmBlake3();
const native = nativeBlake3();

for (const [name, digestOf] of [
  ['WebAssembly', wasm],
  ['native code', native],
] as const) {
  test(`digests by ${name} are those of the specification`, () => {
    assert(digestOf !== null, 'none for this machine');
    for (const [lengthBytes, hex] of VECTORS) {
      const input = Buffer.from(Array.from({ length: lengthBytes }, (_, i) => i % 251));
      assert.equal(digestOf(input).toString('hex'), hex, `${lengthBytes} bytes`);
    }
  });
}

test('both make the same digests, of memory that threads share as well', () => {
  assert(native !== null, 'none for this machine');
  const memory = Buffer.from(new SharedArrayBuffer(300_000));
  fc.assert(
    fc.property(
      fc.nat(memory.length),
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      (end, seed) => {
        const bytes = memory.subarray(Math.floor(end / 3), end);
        bytes.fill(seed);
        assert.deepEqual(native(bytes), wasm(bytes));
      },
    ),
    { numRuns: 50 },
  );
});
