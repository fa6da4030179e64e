/**
 * Reads the tables of bytes in `docs/PROTOCOL.md`, and writes packets by them, knowing nothing
 * of the code that writes them in earnest.
 */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';

export interface Row {
  /** A number, or a sum of numbers and fields: `80 + groupLength`, `36 + 8 × rangeCount`. */
  offset: string;
  size: string;
  type: string;
  field: string;
}

/** Part of a byte: from bit `high` down to bit `low`. */
interface BitRow {
  byte: string;
  high: number;
  low: number;
  field: string;
}

export interface Layout {
  name: string;
  rows: Row[];
  bits: BitRow[];
}

export type Value = number | bigint | string | Buffer | readonly object[];
export type Values = Record<string, Value>;

const NUMBERS: Record<string, number> = { u8: 1, u16: 2, u24: 3, u32: 4, u48: 6, u64: 8 };

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''));

/** The cells of the first table below a heading, without its head. */
export function tableBelow(document: string, heading: string): string[][] {
  const lines = document.split('\n');
  const start = lines.findIndex(
    (line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading,
  );
  assert(start >= 0, `no heading "${heading}"`);
  const first = lines.findIndex((line, index) => index > start && line.startsWith('|'));
  const end = lines.findIndex((line, index) => index > first && !line.startsWith('|'));
  return lines.slice(first + 2, end).map(cellsOf);
}

/** All tables of bytes, by their heading: `report` for "report (type 4)". */
export function parseLayouts(document: string): Map<string, Layout> {
  const layouts = new Map<string, Layout>();
  let layout: Layout | null = null;
  let kind = '';
  for (const line of document.split('\n')) {
    const heading = /^#{2,4} ([^(]+)/.exec(line);
    if (heading !== null) {
      layout = { name: heading[1]!.trim(), rows: [], bits: [] };
      kind = '';
    } else if (line.startsWith('| offset | size | type | field |')) {
      kind = 'bytes';
      layouts.set(layout!.name, layout!);
    } else if (line.startsWith('| byte | bits | field |')) {
      kind = 'bits';
    } else if (!line.startsWith('|')) {
      kind = '';
    } else if (!line.startsWith('|--') && !line.startsWith('| --') && kind !== '') {
      const [first, second, third, fourth] = cellsOf(line) as [string, string, string, string];
      if (kind === 'bytes') {
        layout!.rows.push({ offset: first, size: second, type: third, field: fourth });
      } else {
        const [high, low = high] = second.split('-').map(Number) as [number, number?];
        layout!.bits.push({ byte: first, high, low: low!, field: third });
      }
    }
  }
  return layouts;
}

/** Works out a sum of products of numbers and fields. */
function evaluate(expression: string, values: Values): number {
  return expression.split('+').reduce((sum, term) => sum + product(term, values), 0);
}

function product(term: string, values: Values): number {
  return term.split('×').reduce((result, factor) => {
    const word = factor.trim();
    const value = /^\d+$/.test(word) ? Number(word) : Number(values[word]);
    assert(Number.isFinite(value), `${word} is no number and no field`);
    return result * value;
  }, 1);
}

/**
 * Writes values by layouts that follow one another; a row of a later one takes the place of a row
 * of an earlier one at the same offset. Every byte must belong to one row, and every row have
 * a value.
 */
export function writeAs(
  parts: readonly Layout[],
  values: Values,
  layouts: ReadonlyMap<string, Layout>,
): Buffer {
  const later = parts.slice(1).flatMap((part) => part.rows);
  const replaced = new Set(later.map((row) => row.offset));
  const rows = [...parts[0]!.rows.filter((row) => !replaced.has(row.offset)), ...later];
  rows.sort((a, b) => evaluate(a.offset, values) - evaluate(b.offset, values));
  const bits = parts.flatMap((part) => part.bits);
  const written: Buffer[] = [];
  let at = 0;
  for (const row of rows) {
    const where = `${parts.at(-1)!.name}, ${row.field}`;
    assert.equal(evaluate(row.offset, values), at, `${where}: gap or overlap before it`);
    const bytes =
      row.type === 'check'
        ? u32Bytes(crc32(Buffer.concat(written)))
        : writeRow(row, bits, values, layouts);
    if (row.size !== 'the rest') {
      assert.equal(bytes.length, evaluate(row.size, values), `${where}: size`);
    }
    written.push(bytes);
    at += bytes.length;
  }
  return Buffer.concat(written);
}

function u32Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function writeRow(
  row: Row,
  bits: readonly BitRow[],
  values: Values,
  layouts: ReadonlyMap<string, Layout>,
): Buffer {
  if (row.type === 'zero') return Buffer.alloc(evaluate(row.size, values));
  if (row.type === 'bits') return Buffer.of(packBits(row.field, bits, values));
  const value = values[row.field];
  assert(value !== undefined, `${row.field} has no value`);
  if (row.type === 'text') return Buffer.from(value as string);
  if (row.type === 'bytes') return Buffer.from(value as Buffer);
  const list = /^list of (.+)$/.exec(row.type);
  if (list !== null) {
    const layout = layouts.get(list[1]!);
    assert(layout !== undefined, `no table for ${list[1]}`);
    const items = value as readonly Values[];
    return Buffer.concat(items.map((item) => writeAs([layout], item, layouts)));
  }
  const size = NUMBERS[row.type];
  assert(size !== undefined, `${row.field}: no type ${row.type}`);
  const digits = BigInt(value as number | bigint).toString(16);
  return Buffer.from(digits.padStart(size * 2, '0'), 'hex');
}

function packBits(byte: string, bits: readonly BitRow[], values: Values): number {
  let packed = 0;
  let next = 7;
  for (const { high, low, field } of bits.filter((row) => row.byte === byte)) {
    assert(
      high === next && low <= high,
      `${byte}: bits ${high}-${low} do not follow bit ${next + 1}`,
    );
    next = low - 1;
    if (field === 'zero') continue;
    const value = Number(values[field]);
    assert(value >= 0 && value < 2 ** (high - low + 1), `${field} = ${value} in ${high}-${low}`);
    packed |= value << low;
  }
  assert.equal(next, -1, `${byte}: not all of its bits are told`);
  return packed;
}
