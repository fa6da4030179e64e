/**
 * The statement of an image: a few lines of text that name it. It lies beside the image as
 * `NAME.image`, is what an operator signs, and travels as it was signed, byte for byte.
 *
 *     multiserver image 1
 *     name: lab.img
 *     size: 8589934592
 *     chunk size: 1048576
 *     map id: 0f3a... (64 hexadecimal digits)
 *     time: 2026-11-29T12:34:56Z
 *
 * There is one way to write it: these lines in this order, each ended by a line feed, numbers
 * without leading zeros, small letters, the time in UTC.
 */
import { Geometry } from '../image/geometry.js';
import { readText } from '../protocol/text.js';

export interface Statement {
  /** Base name of the image's file. */
  name: string;
  sizeBytes: number;
  chunkSizeBytes: number;
  /** BLAKE3 of the block map's root, in hexadecimal digits. */
  mapId: string;
  /** When it was made: `2026-11-29T12:34:56Z`. Such texts compare as the times do. */
  time: string;
}

/** A longer one is none: it has to fit a packet, with its signature. */
export const MAX_STATEMENT_BYTES = 512;
const MAX_NAME_BYTES = 255;

const FORM = new RegExp(
  [
    '^multiserver image 1',
    'name: ([^\\n]+)',
    'size: (\\d{1,16})',
    'chunk size: (\\d{1,10})',
    'map id: ([\\da-f]{64})',
    'time: ([^\\n]+)',
    '$',
  ].join('\n'),
);

/**
 * The text of a statement, in UTF-8.
 * @throws RangeError when no statement can say so: its parser would refuse it
 */
export function formatStatement(statement: Statement): Buffer {
  const bytes = Buffer.from(textOf(statement));
  if (parseStatement(bytes) === null) throw new RangeError('no statement can say so');
  return bytes;
}

function textOf({ name, sizeBytes, chunkSizeBytes, mapId, time }: Statement): string {
  const lines = [
    'multiserver image 1',
    `name: ${name}`,
    `size: ${sizeBytes}`,
    `chunk size: ${chunkSizeBytes}`,
    `map id: ${mapId}`,
    `time: ${time}`,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * @param bytes all of the file, or what came of it from the network
 * @returns null for anything that `formatStatement` would not write so
 */
export function parseStatement(bytes: Buffer): Statement | null {
  if (bytes.length > MAX_STATEMENT_BYTES) return null;
  const found = FORM.exec(bytes.toString());
  if (found === null) return null;
  const [, name, size, chunkSize, mapId, time] = found as unknown as string[];
  const statement = {
    name: name!,
    sizeBytes: Number(size),
    chunkSizeBytes: Number(chunkSize),
    mapId: mapId!,
    time: time!,
  };
  if (!isName(statement.name) || readTime(statement.time) !== statement.time) return null;
  if (Geometry.parse(statement.sizeBytes, statement.chunkSizeBytes) === null) return null;
  // Leading zeros, and bytes that are no UTF-8, come out otherwise.
  return bytes.equals(Buffer.from(textOf(statement))) ? statement : null;
}

/** Whether it can be the name of an image: clean text that names a file and no path. */
export function isName(name: string): boolean {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length > MAX_NAME_BYTES) return false;
  if (name.includes('/') || name === '.' || name === '..') return false;
  return readText(bytes, 0, bytes.length) !== null;
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)Z)?$/;
const DAYS_OF_MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * A time as statements have it.
 * @param text a time of that form, or a date alone, which stands for its first second in UTC
 * @returns null for anything else
 */
export function readTime(text: string): string | null {
  const found = TIME.exec(text);
  if (found === null) return null;
  const [year, month, day, hour = 0, minute = 0, second = 0] = found
    .slice(1)
    .map((part) => (part === undefined ? undefined : Number(part))) as number[];
  const isLeap = year! % 4 === 0 && (year! % 100 !== 0 || year! % 400 === 0);
  const days = DAYS_OF_MONTHS[month! - 1];
  if (days === undefined || day! < 1 || day! > days + (isLeap && month === 2 ? 1 : 0)) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  return text.length === 10 ? `${text}T00:00:00Z` : text;
}
