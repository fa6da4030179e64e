/**
 * The record that an operator keeps: a row for each client as it ends, in a file that is only added
 * to. A row is on the disk before the client's end counts, and before the client hears that it
 * may go: so none is lost, and a server that is started again adds none twice. A row that cannot be
 * written is kept, and tried again with each further row and at the end: a full disk must not hold
 * up a copy, nor be passed over in silence. Of two servers in one file, each would take away what
 * the other one is writing: so the file is locked as long as it is open.
 */

import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { Failure } from '../../failure.js';
import type { FleetMember } from '../../server/events.js';
import { fileTrouble } from '../system/file-trouble.js';
import { loadNative } from '../system/native.js';
import { toldOf } from './told-of.js';

export type Verdict = 'copied' | 'compared' | 'failed' | 'left' | 'dropped' | 'gone' | 'unfinished';

/** What is the same in all rows of a run. */
export interface RecordedImage {
  name: string;
  sizeBytes: number;
  chunkCount: number;
  /** In hex; null while the map is prepared. */
  mapId: string | null;
}

type Cell = string | number | null;

/** The first columns are found again without reading the others. */
const COLUMNS = [
  'time',
  'client',
  'verdict',
  'machine',
  'host',
  'label',
  'address',
  'mac',
  'product',
  'serial',
  'diskModel',
  'diskSerial',
  'diskBytes',
  'image',
  'mapId',
  'bytes',
  'seconds',
  'lossRatio',
  'version',
  'reason',
] as const;
type Row = Record<(typeof COLUMNS)[number], Cell>;

const CSV_HEADER = `${COLUMNS.join(',')}\n`;
/** How each line begins. */
const JSON_BEGIN = '{"time":';
/** As long as a row at least. It is what a crash tears off, should one come in between. */
const PROBE = `${JSON_BEGIN}"${' '.repeat(1000)}`;
/** As many as the client table has. */
const MAX_KEPT = 16_384;
/** Clients that are named in one sentence. */
const MAX_NAMED = 10;
const CSV_KEY = /^[^,]*,([0-9a-f]{16}),([a-z]+),/;

/** A row that is not on the disk yet. */
interface KeptRow {
  line: string;
  /** Whose it is, and its verdict. */
  who: string;
}

export class ClientRecord {
  private readonly path: string;
  private readonly isCsv: boolean;
  private readonly image: RecordedImage;
  private readonly tell: (text: string) => void;
  /** Client and verdict of the rows that are there. */
  private readonly written = new Set<string>();
  /** Rows that wait to be written, by client and verdict. */
  private readonly kept = new Map<string, KeptRow>();
  /** Rows that there was no room to keep. */
  private lostCount = 0;
  private readonly fd: number;

  /**
   * Opens the record, or goes on with it: a row that a crash tore off is taken away.
   * @param path ends in .csv or .jsonl
   * @param tell gets what the operator should know
   * @throws Failure when it cannot be written, is something else, or is another server's
   */
  constructor(path: string, image: RecordedImage, tell: (text: string) => void) {
    this.path = path;
    this.isCsv = path.endsWith('.csv');
    this.image = image;
    this.tell = tell;
    try {
      this.fd = openSync(path, 'a+', 0o644);
    } catch (error) {
      throw cannotWrite(path, fileTrouble(path, error));
    }
    try {
      this.lock();
      this.takeUp();
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  /** Before anything is read: what is there may be half of what another server writes. */
  private lock(): void {
    if (loadNative()?.lock(this.fd, true) !== false) return;
    const trouble = `another multiserver keeps its record in ${this.path}`;
    throw new Failure('usage', 'REPORT_IN_USE', `--report: ${trouble}; name another file`);
  }

  private takeUp(): void {
    if (!statSync(this.path).isFile()) throw cannotWrite(this.path, 'it is not a file; name one');
    const bytes = readFileSync(this.path);
    const wholeBytes = bytes.lastIndexOf(0x0a) + 1;
    const lines = bytes.toString('utf8', 0, wholeBytes).split('\n').slice(0, -1);
    const torn = bytes.toString('utf8', wholeBytes);
    // Whose file it is comes first: nothing is taken away from another one.
    const begin = this.isCsv ? CSV_HEADER : JSON_BEGIN;
    const isOurs = lines.length > 0 || torn.startsWith(begin) || begin.startsWith(torn);
    const hasHeader = !this.isCsv || lines.length === 0 || `${lines[0]}\n` === CSV_HEADER;
    if (!hasHeader || (this.isCsv && !isOurs)) {
      throw cannotWrite(this.path, 'it has other columns; move it out of the way');
    }
    if (!isOurs) throw this.isForeign();
    for (const line of lines) this.written.add(this.keyOf(line));
    if (torn !== '') ftruncateSync(this.fd, wholeBytes);
    this.begin(this.isCsv && lines.length === 0 ? CSV_HEADER : '');
  }

  /** A disk without room for a row is found out now, and not by the first machine that ends. */
  private begin(header: string): void {
    const beginBytes = statSync(this.path).size;
    try {
      this.append(`${header}${PROBE}`);
      ftruncateSync(this.fd, beginBytes + header.length);
      fsyncSync(this.fd);
    } catch (error) {
      throw cannotWrite(this.path, fileTrouble(this.path, error));
    }
  }

  private keyOf(line: string): string {
    if (this.isCsv) {
      const [, client, verdict] = CSV_KEY.exec(line) ?? [];
      return `${client} ${verdict}`;
    }
    try {
      const { client, verdict } = JSON.parse(line) as Partial<Row>;
      if (typeof client === 'string' && typeof verdict === 'string') return `${client} ${verdict}`;
    } catch {
      // It is told below.
    }
    throw this.isForeign();
  }

  private isForeign(): Failure {
    return cannotWrite(this.path, 'it has lines of something else; move it out of the way');
  }

  /** The image has its name. */
  name(mapId: string): void {
    this.image.mapId = mapId;
  }

  /** Adds a row for a client, unless it is there already. */
  add(member: FleetMember, verdict: Verdict, time = new Date()): void {
    const key = `${member.id} ${verdict}`;
    if (this.written.has(key) || this.kept.has(key)) return;
    if (this.kept.size >= MAX_KEPT) {
      this.lostCount++;
      return;
    }
    const row = this.rowOf(member, verdict, time);
    const cells = COLUMNS.map((column) => csvCell(row[column]));
    const line = this.isCsv ? `${cells.join(',')}\n` : `${JSON.stringify(row, [...COLUMNS])}\n`;
    const who = `${member.label || member.host || member.address} (${verdict})`;
    const keptCount = this.kept.size;
    this.kept.set(key, { line, who });
    const trouble = this.writeKept();
    if (trouble !== null) {
      const text = `the row of ${who} could not be written to ${this.path}: ${trouble}`;
      this.tell(`${text}; it is kept, and tried again with the next one and at the end`);
    } else if (keptCount > 0) {
      this.tell(`all rows that were kept are in ${this.path} now`);
    }
  }

  /**
   * Tries once more to write what is kept.
   * @returns whose rows the record lacks, and why, as a sentence; null when it has all
   */
  lacking(): string | null {
    const trouble = this.writeKept();
    const lackCount = this.kept.size + this.lostCount;
    if (lackCount === 0) return null;
    const names = [...this.kept.values()].slice(0, MAX_NAMED).map(({ who }) => who);
    const more = lackCount > names.length ? ` and ${lackCount - names.length} more` : '';
    const why = trouble ?? 'there were too many to keep';
    const rows = lackCount === 1 ? 'the row' : `${lackCount} rows`;
    return `--report: ${this.path} lacks ${rows} of ${names.join(', ')}${more}: ${why}`;
  }

  /** In the order in which they came. @returns why not all could be; null when all are there */
  private writeKept(): string | null {
    for (const [key, { line }] of this.kept) {
      try {
        this.append(line);
      } catch (error) {
        return fileTrouble(this.path, error);
      }
      this.kept.delete(key);
      this.written.add(key);
    }
    return null;
  }

  private rowOf(member: FleetMember, verdict: Verdict, time: Date): Row {
    const { name, sizeBytes, chunkCount, mapId } = this.image;
    const isWhole = verdict === 'copied' || verdict === 'compared';
    const missingChunks = isWhole ? 0 : member.missingChunks;
    return {
      time: time.toISOString(),
      client: member.id,
      verdict,
      machine: member.machine,
      host: member.host,
      address: member.address,
      ...toldOf(member),
      image: name,
      mapId,
      bytes: heldBytes(sizeBytes, chunkCount, missingChunks),
      seconds: Math.round(member.elapsedMs) / 1000,
      lossRatio: Number(member.totalLossRatio.toFixed(6)),
    };
  }

  /** @throws when it is not on the disk. What is not whole is taken away again */
  private append(text: string): void {
    const bytes = Buffer.from(text);
    let before: number | null = null;
    try {
      before = statSync(this.path).size;
      const count = writeSync(this.fd, bytes);
      if (count < bytes.length) throw new Error('no space is left');
      fsyncSync(this.fd);
    } catch (error) {
      this.cutBack(before);
      throw error;
    }
  }

  private cutBack(sizeBytes: number | null): void {
    if (sizeBytes === null) return;
    try {
      ftruncateSync(this.fd, sizeBytes);
    } catch (error) {
      this.tell(`${this.path} may end in half a row: ${fileTrouble(this.path, error)}`);
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** In whole numbers: fractions make it one byte less here and there. */
function heldBytes(sizeBytes: number, chunkCount: number, missingChunks: number): number {
  if (missingChunks === 0) return sizeBytes;
  const heldCount = BigInt(chunkCount - missingChunks);
  return Number((BigInt(sizeBytes) * heldCount) / BigInt(chunkCount));
}

function cannotWrite(path: string, reason: string): Failure {
  const text = `--report: cannot write ${path}: ${reason}`;
  return new Failure('usage', 'CANNOT_WRITE_REPORT', text);
}

/**
 * What a spreadsheet would take for a formula: also behind a semicolon, where some languages have
 * cells begin, and with the wide letters of others.
 */
const FORMULA = /(^|;)(?=\s*[=+@\uff1d\uff0b\uff20]|[-\uff0d\t\r])/g;

/**
 * As RFC 4180 has it, with an apostrophe in front of what would be a formula, and without line
 * breaks: a row is a line, or the rest of one that is torn off would pass for a row.
 */
function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  const text = cell.replace(FORMULA, "$1'").replace(/\r\n?|\n/g, ' ');
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
