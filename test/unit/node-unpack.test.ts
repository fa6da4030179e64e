import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Failure } from '../../src/failure.js';
import type { Packing } from '../../src/node/source/image-format.js';
import { formatOf } from '../../src/node/source/image-format.js';
import { openImage } from '../../src/node/source/open-image.js';
import { type Unpacked, unpack } from '../../src/node/source/unpack.js';

const never = new AbortController().signal;
const quiet = () => {};

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'unpack-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Data, a large hole, a little data that crosses grains, and a hole to the end. */
function imageBytes(): Buffer {
  const bytes = Buffer.alloc(3_000_001);
  bytes.fill('some data ', 0, 100_000);
  bytes.fill('more', 1_990_000, 2_010_000);
  return bytes;
}

function packWith(command: string, bytes: Buffer): Buffer {
  const { status, stdout } = spawnSync(command, ['-c'], { input: bytes });
  assert.equal(status, 0, `${command} is needed`);
  return stdout;
}

async function unpackAt(path: string, signal = never, force = false): Promise<Unpacked> {
  const bytes = readFileSync(path);
  const format = formatOf((at, length) => bytes.subarray(at, at + length));
  assert.equal(format?.kind, 'packed');
  return unpack(path, format as Packing, force, quiet, signal);
}

function contentOf({ fd, sizeBytes }: Unpacked): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  readSync(fd, bytes, 0, sizeBytes, 0);
  return bytes;
}

const writers: Record<string, (bytes: Buffer) => Buffer> = {
  gz: gzipSync,
  zst: (bytes) => packWith('zstd', bytes),
  xz: (bytes) => packWith('xz', bytes),
  bz2: (bytes) => packWith('bzip2', bytes),
  lz4: (bytes) => packWith('lz4', bytes),
};

for (const [suffix, pack] of Object.entries(writers)) {
  test(`an image stored as .${suffix} becomes what it contains, sparse and without a trace`, async (t) => {
    const bytes = imageBytes();
    const packed = pack(bytes);
    const folder = folderFor(t);
    const path = join(folder, `disk.img.${suffix}`);
    writeFileSync(path, packed);
    const unpacked = await unpackAt(path);
    t.after(() => closeSync(unpacked.fd));
    assert.equal(unpacked.name, 'disk.img');
    assert.equal(unpacked.sizeBytes, bytes.length);
    assert.ok(contentOf(unpacked).equals(bytes));
    assert.ok(unpacked.dataBytes < 400_000);
    assert.ok(fstatSync(unpacked.fd).blocks * 512 < 600_000);
    assert.deepEqual(readdirSync(folder), [`disk.img.${suffix}`]);
  });

  test(`a damaged .${suffix} is a failure that names the file`, async (t) => {
    const packed = pack(imageBytes());
    const folder = folderFor(t);
    const path = join(folder, `disk.img.${suffix}`);
    writeFileSync(path, packed.subarray(0, packed.length / 2));
    await assert.rejects(unpackAt(path), (error) => {
      assert.ok(error instanceof Failure);
      assert.equal(error.code, 'CANNOT_UNPACK');
      assert.match(error.message, /disk\.img\.\w+: it is cut short or damaged/);
      return true;
    });
    assert.deepEqual(readdirSync(folder), [`disk.img.${suffix}`]);
  });
}

for (const [suffix, pack] of Object.entries(writers)) {
  test(`several packings in a row, as .${suffix}, are one image`, async (t) => {
    const path = join(folderFor(t), `disk.img.${suffix}`);
    writeFileSync(path, Buffer.concat([pack(Buffer.from('first ')), pack(Buffer.from('second'))]));
    const unpacked = await unpackAt(path);
    t.after(() => closeSync(unpacked.fd));
    assert.equal(contentOf(unpacked).toString(), 'first second');
  });

  test(`a second packing that is damaged, as .${suffix}, is a failure`, async (t) => {
    const path = join(folderFor(t), `disk.img.${suffix}`);
    const second = pack(Buffer.from('second'));
    const garbage = Buffer.alloc(20, 0x55);
    const cut = second.subarray(0, second.length - 2);
    const begun = Buffer.concat([Buffer.of(second[0]! ^ 1), second.subarray(1)]);
    for (const damaged of [cut, garbage, begun]) {
      writeFileSync(path, Buffer.concat([pack(Buffer.from('first ')), damaged]));
      await assert.rejects(unpackAt(path), { code: 'CANNOT_UNPACK' });
    }
  });
}

for (const suffix of ['gz', 'bz2', 'zst'] as const) {
  test(`a packing damaged between others, as .${suffix}, is a failure, not the end`, async (t) => {
    const path = join(folderFor(t), `disk.img.${suffix}`);
    const pack = writers[suffix]!;
    const parts = ['first ', 'second ', 'third'].map((text) => pack(Buffer.from(text)));
    parts[1]![0]! ^= 1;
    writeFileSync(path, Buffer.concat(parts));
    await assert.rejects(unpackAt(path), { code: 'CANNOT_UNPACK' });
  });
}

/** As OpenWrt's fwtool appends it. */
function appended(content: string): Buffer {
  const trailer = Buffer.alloc(16);
  trailer.write('FWx0');
  trailer.writeUInt32BE(content.length + trailer.length, 12);
  return Buffer.concat([Buffer.from(content), trailer]);
}

const behinds: Record<string, Buffer> = {
  'metadata and a signature': Buffer.concat([appended('{"metadata": 1}'), appended('signature')]),
  'metadata behind zeros': Buffer.concat([Buffer.alloc(512), appended('{}')]),
  zeros: Buffer.alloc(5000),
};

for (const [what, behind] of Object.entries(behinds)) {
  test(`what is known to be appended to a gzip stream is left out: ${what}`, async (t) => {
    const path = join(folderFor(t), 'disk.img.gz');
    writeFileSync(path, Buffer.concat([gzipSync('content'), behind]));
    const unpacked = await unpackAt(path);
    t.after(() => closeSync(unpacked.fd));
    assert.equal(contentOf(unpacked).toString(), 'content');
    assert.match(unpacked.remark ?? '', /do not belong to it/);
  });
}

for (const suffix of ['gz', 'bz2', 'zst'] as const) {
  test(`bytes behind a .${suffix} that nobody knows are left out only when told so`, async (t) => {
    const path = join(folderFor(t), `disk.img.${suffix}`);
    const packed = writers[suffix]!(Buffer.from('content'));
    writeFileSync(path, Buffer.concat([packed, Buffer.from('a signature')]));
    await assert.rejects(unpackAt(path), /--force to leave them out/);
    const unpacked = await unpackAt(path, never, true);
    t.after(() => closeSync(unpacked.fd));
    assert.equal(contentOf(unpacked).toString(), 'content');
    assert.match(unpacked.remark ?? '', /do not belong to it/);
  });
}

test('metadata behind a packing that is damaged at its beginning hides nothing', async (t) => {
  const path = join(folderFor(t), 'disk.img.gz');
  const second = gzipSync('second');
  second[0]! ^= 1;
  writeFileSync(path, Buffer.concat([gzipSync('first '), second, appended('{}')]));
  await assert.rejects(unpackAt(path), { code: 'CANNOT_UNPACK' });
});

test('what is unpacked cannot be prepared, and is refused before it is unpacked', async (t) => {
  const folder = folderFor(t);
  const file = join(folder, 'my disk.img.gz');
  writeFileSync(file, gzipSync('content'));
  const told: string[] = [];
  const options = { file, asIs: false, force: false, prepareOnly: true };
  await assert.rejects(
    openImage(options, ({ type }) => told.push(type), never),
    { code: 'NOT_CACHED', message: /unpack it and prepare that, or serve it without --prepare/ },
  );
  assert.deepEqual(told, []);
  const source = await openImage({ ...options, asIs: true }, () => {}, never);
  closeSync(source.fd);
});

test('stops when it is told to', async (t) => {
  const path = join(folderFor(t), 'disk.img.gz');
  writeFileSync(path, gzipSync(Buffer.alloc(30_000_000, 'z')));
  const stop = new AbortController();
  stop.abort(new Error('enough'));
  await assert.rejects(unpackAt(path, stop.signal), /enough/);
});
