/** The results, as a table for people and as JSON for machines (described in README.md). */

import { cpus, release } from 'node:os';
import type { Outcome, Row, Samples } from './case.js';
import { show } from './case.js';

export interface Result {
  row: Row;
  outcome: Outcome;
}

export interface ReportedCase {
  name: string;
  what: string;
  unit: string;
  bar: number;
  aim: number;
  higherIsBetter: boolean;
  /** Null when the case failed. */
  value: number | null;
  ours: Samples | null;
  reference: Samples | null;
  /** Why the case failed; null when it did not. */
  error: string | null;
}

export interface Report {
  version: 1;
  /** ISO 8601. */
  date: string;
  node: string;
  kernel: string;
  cores: number;
  sizeBytes: number;
  runs: number;
  cases: ReportedCase[];
}

export type Verdict = 'aim' | 'bar' | 'missed' | 'failed';

export function verdictOf({ row, outcome }: Result): Verdict {
  if (outcome instanceof Error) return 'failed';
  const meets = (mark: number) =>
    row.higherIsBetter ? outcome.value >= mark : outcome.value <= mark;
  if (meets(row.aim)) return 'aim';
  return meets(row.bar) ? 'bar' : 'missed';
}

export function reportOf(results: Result[], sizeBytes: number, runs: number): Report {
  return {
    version: 1,
    date: new Date().toISOString(),
    node: process.version,
    kernel: release(),
    cores: cpus().length,
    sizeBytes,
    runs,
    cases: results.map(({ row, outcome }) => ({
      ...row,
      ...(outcome instanceof Error
        ? { value: null, ours: null, reference: null, error: outcome.message }
        : { ...outcome, error: null }),
    })),
  };
}

/** Left column as wide as its longest entry, the numbers to the right. */
export function tableOf(results: Result[]): string {
  const heading = ['case', 'value', 'bar', 'aim', 'reached', 'ours', 'reference'];
  const body = results.map((result) => {
    const { row, outcome } = result;
    const failed = outcome instanceof Error;
    const sign = row.higherIsBetter ? '>=' : '<=';
    return [
      row.name,
      failed ? '-' : withUnit(outcome.value, row),
      `${sign} ${row.bar}`,
      `${sign} ${row.aim}`,
      verdictOf(result),
      failed ? '-' : show(outcome.ours.median),
      failed || outcome.reference === null ? '-' : show(outcome.reference.median),
    ];
  });
  const rows = [heading, ...body];
  const widths = heading.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  '),
  );
  // One failure often takes several rows with it: say it once.
  const failures = new Map<string, string[]>();
  for (const { row, outcome } of results) {
    if (!(outcome instanceof Error)) continue;
    failures.set(outcome.message, [...(failures.get(outcome.message) ?? []), row.name]);
  }
  for (const [message, names] of failures) lines.push('', `${names.join(', ')}: ${message}`);
  return `${lines.join('\n')}\n`;
}

function withUnit(value: number, row: Row): string {
  return row.unit === '' ? show(value) : `${show(value)} ${row.unit}`;
}
