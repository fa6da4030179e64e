import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UsedMap } from '../../src/image/used-map.js';
import { parseHeader } from '../../src/node/source/partclone-image.js';
import { ChunkTree, ExtentTree } from '../../src/node/used/btrfs-extents.js';
import { DomainLog } from '../../src/node/used/domain-log.js';
import { FreeClusters } from '../../src/node/used/ext-groups.js';
import { parseContent, parsePartitions } from '../../src/node/used/partitions.js';
import { isLogClean } from '../../src/node/used/soundness.js';
import { Unreadable } from '../../src/node/used/unreadable.js';

const hex = (value: number): string => `0x${value.toString(16).toUpperCase().padStart(8, '0')}`;

/** As partclone writes it. */
function domainLog(lengths: readonly number[], blockBytes: number): string[] {
  const end = lengths.reduce((sum, length) => sum + length, 0) * blockBytes;
  let at = 0;
  const runs = lengths.map((length, index) => {
    const line = `${hex(at)}  ${hex(length * blockBytes)}  ${index % 2 === 0 ? '+' : '?'}`;
    at += length * blockBytes;
    return line;
  });
  return ['# Domain logfile', `${hex(end)}     ?`, '#      pos        size  status', ...runs];
}

function readLog(lines: readonly string[], sizeBytes: number) {
  const log = new DomainLog(sizeBytes);
  for (const line of lines) log.line(line);
  return log.finish();
}

const lengths = fc.array(fc.integer({ min: 1, max: 2 ** 28 }), { minLength: 1, maxLength: 20 });

test("property: partclone's map is read as it was written, and whole or not at all", () => {
  fc.assert(
    fc.property(lengths, fc.constantFrom(512, 4096, 65_536), (given, blockBytes) => {
      const sizeBytes = given.reduce((sum, length) => sum + length, 0) * blockBytes;
      const lines = domainLog(given, blockBytes);
      const map = UsedMap.allBut(sizeBytes, readLog(lines, sizeBytes));
      const used = given.filter((_, index) => index % 2 === 0);
      assert.equal(map.usedBytes, used.reduce((sum, length) => sum + length, 0) * blockBytes);
      for (let count = 0; count < lines.length; count++) {
        assert.throws(() => readLog(lines.slice(0, count), sizeBytes), Unreadable);
        if (count < 3) continue;
        const lacking = lines.filter((_, index) => index !== count);
        assert.throws(() => readLog(lacking, sizeBytes), Unreadable);
        assert.throws(() => readLog([...lines, lines[count]!], sizeBytes), Unreadable);
      }
      assert.throws(() => readLog(lines, sizeBytes - 1), Unreadable);
    }),
  );
});

test('property: what partclone does not write is no map', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 5 }), (lines) => {
      assert.throws(() => readLog(lines, 2 ** 40), Unreadable);
    }),
  );
});

const table = (label: string, ...types: string[]): string =>
  JSON.stringify({
    partitiontable: {
      label,
      unit: 'sectors',
      sectorsize: 512,
      partitions: types.map((type, index) => ({
        node: `/dev/loop7p${index + 1}`,
        start: 2048 * (index + 1),
        size: 2048,
        type,
      })),
    },
  });

test('partitions are those of the table; boxes and hidden tables are none', () => {
  const own = { number: 1, offsetBytes: 2 ** 20, sizeBytes: 2 ** 20 };
  assert.deepEqual(parsePartitions(table('gpt', 'X')), [own]);
  const numbers = parsePartitions(table('dos', '83', '5', '7', 'f', '85')).map((at) => at.number);
  assert.deepEqual(numbers, [1, 3]);
  assert.deepEqual(parsePartitions(table('gpt', '5')).length, 1);
  assert.deepEqual(parsePartitions(table('dos')), []);
  for (const text of [table('dos', 'ee'), table('sun', '1'), '', '{}', '[]', 'null', '{"a":']) {
    assert.throws(() => parsePartitions(text), Unreadable);
  }
});

test('blkid tells a type, or none', () => {
  const text = 'DEVNAME=/dev/loop1\nVERSION=FAT32\nTYPE=vfat\nUSAGE=filesystem\n';
  assert.deepEqual(parseContent(text), { type: 'vfat', version: 'FAT32', usage: 'filesystem' });
  assert.equal(parseContent('DEVNAME=x\nPTTYPE=gpt\n'), null);
  assert.equal(parseContent('LABEL=TYPE=ext4\n'), null);
});

const chunkTree = (type: string, ...stripes: number[]): string[] => [
  'chunk tree',
  '\titem 1 key (FIRST_CHUNK_TREE CHUNK_ITEM 1000000) itemoff 16105 itemsize 80',
  `\t\tlength 65536 owner 2 stripe_len 65536 type ${type}`,
  `\t\tnum_stripes ${stripes.length} sub_stripes 1`,
  ...stripes.map((offset, at) => `\t\t\tstripe ${at} devid 1 offset ${offset}`),
];

function placesOf(lines: readonly string[]) {
  const tree = new ChunkTree();
  for (const line of lines) tree.line(line);
  return tree.finish();
}

test('of btrfs, an extent lies wherever its chunk does', () => {
  const places = placesOf(chunkTree('METADATA|DUP', 2 ** 21, 2 ** 22));
  const tree = new ExtentTree(places, 16_384);
  tree.line('\titem 0 key (1000000 METADATA_ITEM 0) itemoff 1 itemsize 33');
  tree.line('\titem 1 key (1000000 BLOCK_GROUP_ITEM 65536) itemoff 1 itemsize 24');
  const used = UsedMap.of(2 ** 30, tree.finish(16_384));
  assert(used.isUsed(2 ** 21, 2 ** 21 + 16_384) && used.isUsed(2 ** 22, 2 ** 22 + 16_384));
  assert(used.isFree(2 ** 21 + 16_384, 2 ** 22));
  assert(used.isUsed(0, 2 ** 20) && used.isUsed(2 ** 26, 2 ** 26 + 4096));
  assert.throws(() => tree.finish(16_385), Unreadable);
  assert.throws(() => places.placesOf(999_999, 1), Unreadable);
  assert.throws(() => places.placesOf(1_065_000, 1000), Unreadable);
});

test('chunks of btrfs that are spread in other ways are not understood', () => {
  for (const type of ['DATA|RAID0', 'DATA|RAID1', 'METADATA|RAID1C3', '', 'DATA|new']) {
    assert.throws(() => placesOf(chunkTree(type, 1, 2)), Unreadable);
  }
  assert.throws(() => placesOf(chunkTree('DATA|DUP', 1)), Unreadable);
  assert.throws(() => placesOf(chunkTree('DATA|single', 1, 2)), Unreadable);
  assert.throws(() => placesOf([]), Unreadable);
});

test('free clusters of ext4 are as many as it says', () => {
  const layout = { blockSizeBytes: 4096, clusterBlocks: 16, blockCount: 1000, freeBlocks: 64 };
  const read = (...lines: string[]) => {
    const groups = new FreeClusters(layout);
    for (const line of lines) groups.line(line);
    return groups.finish();
  };
  const told = '  4 free clusters, 5 free inodes';
  const unused = read(told, '  Free blocks: 160-192, 992');
  assert.deepEqual(unused, [
    { start: 160 * 4096, end: 208 * 4096 },
    { start: 992 * 4096, end: 1000 * 4096 },
  ]);
  const wrong = ['160-192', '160-193, 992', '992, 160-192', '160-192, 1008', '160-192, x', ''];
  for (const list of wrong) assert.throws(() => read(told, `  Free blocks: ${list}`), Unreadable);
  assert.throws(() => read(), Unreadable);
});

test("property: NTFS' log and partclone's header are read from any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8192, maxLength: 8192 }), (bytes) => {
      assert.equal(isLogClean(Buffer.from(bytes)), false);
      assert.equal(parseHeader(Buffer.from(bytes)), null);
      assert.equal(parseHeader(Buffer.concat([Buffer.from('partclone-image'), bytes])), null);
    }),
  );
  assert(isLogClean(Buffer.alloc(8192, 0xff)));
});
