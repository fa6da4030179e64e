import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChunkFacts, chunkCells } from '../../src/server/chunk-cells.js';
import { ServerDriver } from './server-driver.js';

const factsOf = (chunks: string): ChunkFacts => ({
  chunkCount: chunks.length,
  isUnreadable: (chunk) => chunks[chunk] === 'u',
  isPending: (chunk) => chunks[chunk] === 'p' || chunks[chunk] === 'a',
  wasSent: (chunk) => chunks[chunk] === 's' || chunks[chunk] === 'a',
  isZero: (chunk) => chunks[chunk] === '0',
});

test('property: with a cell for each chunk, a strip shows each as it is', () => {
  const kinds = fc.constantFrom('.', '0', 's', 'p', 'a', 'u');
  fc.assert(
    fc.property(fc.array(kinds, { minLength: 1 }), (chunks) => {
      const text = chunks.join('');
      assert.equal(chunkCells(factsOf(text), 1000), text);
    }),
  );
});

test('in a cell of many, trouble comes before work to do, and that before what is done', () => {
  const cells = (text: string, most: number) => chunkCells(factsOf(text), most);
  assert.equal(cells('s.spsus00000', 3), 'pu0');
  assert.equal(cells('0s', 1), 's');
  assert.equal(cells('sasp.asa', 2), 'pa');
  assert.equal(cells('0.', 1), '.');
  assert.equal(cells('.'.repeat(100_000), 7), '.......');
});

test('a server shows what is asked for, what was sent and what cannot be read', () => {
  const driver = new ServerDriver({ chunks: 6, zeros: [5], broken: [4], ceilingBytesPerMs: 1 });
  driver.prepare();
  assert.equal(driver.session.chunkCells(100), '.....0');
  driver.join();
  driver.ask({ ranges: [{ first: 0, count: 5 }] });
  driver.report({});
  driver.run(350);
  assert.match(driver.session.chunkCells(100), /^s+p+u0$/);
  driver.report({});
  driver.run(1000);
  driver.report({});
  driver.run(1000);
  assert.equal(driver.session.chunkCells(100), 'ssssu0');
});
