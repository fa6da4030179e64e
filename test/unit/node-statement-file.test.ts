import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BlockMapBuilder } from '../../src/image/block-map.js';
import { Geometry } from '../../src/image/geometry.js';
import { writeStatement } from '../../src/node/source/statement-file.js';
import { digestOf } from '../digest.js';

test('the command that signs is one that a shell takes as it stands', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'statement-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const builder = new BlockMapBuilder(new Geometry(1000, 65_536), digestOf);
  builder.setZero(0);
  const map = builder.finish();
  for (const [name, word] of [
    ['pc lab 2026.img', `'${folder}/pc lab 2026.img.image'`],
    ['lab.img', `${folder}/lab.img.image`],
  ] as const) {
    const text = `to sign the image: minisign -Sm ${word}`;
    assert.equal(writeStatement(join(folder, name), name, map), text);
    assert.equal(writeStatement(join(folder, name), name, map), text, 'made before');
  }
});
