import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_IMAGE_SIZE_BYTES } from '../../src/image/geometry.js';
import {
  formatStatement,
  isName,
  MAX_STATEMENT_BYTES,
  parseStatement,
  readTime,
  type Statement,
} from '../../src/trust/statement.js';

const STATEMENT: Statement = {
  name: 'lab.img',
  sizeBytes: 8_589_934_592,
  chunkSizeBytes: 1_048_576,
  mapId: '0f'.repeat(32),
  time: '2026-11-29T12:34:56Z',
};
const TEXT = `multiserver image 1
name: lab.img
size: 8589934592
chunk size: 1048576
map id: ${'0f'.repeat(32)}
time: 2026-11-29T12:34:56Z
`;

const names = fc.oneof(
  fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }).filter(isName),
  fc.constantFrom(' ', 'name: x', 'ä'.repeat(127), 'x'.repeat(255)),
);
const two = (min: number, max: number) =>
  fc.integer({ min, max }).map((n) => `${n}`.padStart(2, '0'));
const times = fc
  .tuple(fc.integer({ min: 1000, max: 9999 }), two(1, 12), two(1, 28), two(0, 23), two(0, 59))
  .map(([year, month, day, hour, minute]) => `${year}-${month}-${day}T${hour}:${minute}:07Z`);
const statements: fc.Arbitrary<Statement> = fc.record(
  {
    name: names,
    sizeBytes: fc.integer({ min: 1, max: MAX_IMAGE_SIZE_BYTES }),
    chunkSizeBytes: fc.constant(8_388_608),
    mapId: fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((b) => Buffer.from(b).toString('hex')),
    time: times,
  },
  { noNullPrototype: true },
);

test('a statement is the text that the operator signs', () => {
  assert.equal(formatStatement(STATEMENT).toString(), TEXT);
  assert.deepEqual(parseStatement(Buffer.from(TEXT)), STATEMENT);
});

test('property: what is written is read again, and fits its bound', () => {
  fc.assert(
    fc.property(statements, (statement) => {
      const bytes = formatStatement(statement);
      assert(bytes.length <= MAX_STATEMENT_BYTES);
      assert.deepEqual(parseStatement(bytes), statement);
    }),
  );
});

test('property: there is one way to write a statement', () => {
  const edits = fc.tuple(statements, fc.nat(), fc.nat({ max: 255 }), fc.constantFrom(0, 1, 2));
  fc.assert(
    fc.property(edits, ([statement, where, byte, kind]) => {
      const bytes = formatStatement(statement);
      const at = where % bytes.length;
      const middle = kind === 0 ? [] : [byte];
      const rest = bytes.subarray(kind === 2 ? at : at + 1);
      const edited = Buffer.concat([bytes.subarray(0, at), Buffer.from(middle), rest]);
      const parsed = parseStatement(edited);
      if (parsed !== null) assert.deepEqual(formatStatement(parsed), edited);
    }),
    { numRuns: 1000 },
  );
});

test('every truncation of a statement, and what follows it, is refused', () => {
  const bytes = Buffer.from(TEXT);
  for (let end = 0; end < bytes.length; end++) {
    assert.equal(parseStatement(bytes.subarray(0, end)), null, `${end} bytes`);
  }
  for (const more of ['\n', ' ', 'x\n', '\0'])
    assert.equal(parseStatement(Buffer.from(TEXT + more)), null);
});

const REFUSED: [string, string, string][] = [
  ['another version', 'image 1', 'image 2'],
  ['line ends of Windows', '\n', '\r\n'],
  ['a size with a leading zero', 'size: 8589', 'size: 08589'],
  ['a size of nothing', 'size: 8589934592', 'size: 0'],
  ['a size that no image has', 'size: 8589934592', 'size: 9999999999999999'],
  ['a size with a sign', 'size: 8', 'size: +8'],
  ['a chunk size that is no power of two', '1048576', '1048577'],
  ['a map id in capitals', '0f', '0F'],
  ['a short map id', '0f', ''],
  ['a path', 'lab.img', '../lab.img'],
  ['no name', 'lab.img', ''],
  ['a name that steers a terminal', 'lab.img', 'lab\u001b[31m'],
  ['a name that turns the writing round', 'lab.img', 'lab\u202eimg'],
  ['a name of half a character', 'lab.img', 'lab\ufffd'],
  ['a day that there is not', '11-29', '11-31'],
  ['a time in another zone', '56Z', '56+01:00'],
  ['a time without seconds', '12:34:56Z', '12:34Z'],
  ['a date alone', 'T12:34:56Z', ''],
];

for (const [what, from, to] of REFUSED) {
  test(`${what} is refused`, () => {
    const edited = TEXT.replace(from, to);
    assert.notEqual(edited, TEXT);
    assert.equal(parseStatement(Buffer.from(edited)), null);
  });
}

test('what no statement can say is not written', () => {
  const bad: Partial<Statement>[] = [
    { name: 'a/b' },
    { name: 'x'.repeat(256) },
    { name: '..' },
    { name: 'a\nmap id: b' },
    { sizeBytes: 1.5 },
    { sizeBytes: Number.NaN },
    { mapId: 'x' },
    { time: '2026-11-29' },
  ];
  for (const part of bad) {
    assert.throws(() => formatStatement({ ...STATEMENT, ...part }), RangeError);
  }
});

test('times are of the calendar, and compare as texts', () => {
  assert.equal(readTime('2026-11-29'), '2026-11-29T00:00:00Z');
  assert.equal(readTime('2024-02-29T23:59:59Z'), '2024-02-29T23:59:59Z');
  assert.equal(readTime('2000-02-29'), '2000-02-29T00:00:00Z');
  for (const text of ['2026-02-29', '1900-02-29', '2026-00-01', '2026-13-01', '2026-01-00']) {
    assert.equal(readTime(text), null, text);
  }
  for (const text of ['2026-04-31', '2026-1-1', '2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z']) {
    assert.equal(readTime(text), null, text);
  }
  assert.equal(readTime('2026-01-01T00:00:60Z'), null);
  assert(readTime('2026-11-29')! < STATEMENT.time && STATEMENT.time < readTime('2026-11-30')!);
});
