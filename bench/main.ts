/** `npm run bench`: measures us beside udpcast and UFTP, in network namespaces. */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { requireLab } from '../test/lab/tools.js';
import type { BenchCase, Context, Outcome } from './case.js';
import { firstBlock, memory } from './cases/huge.js';
import { late } from './cases/late.js';
import { debian, incompressible, shapedDebian } from './cases/less.js';
import { loss } from './cases/loss.js';
import { randomFour, randomOne } from './cases/random.js';
import { shaped } from './cases/shaped.js';
import { slow } from './cases/slow.js';
import { used } from './cases/used.js';
import { type Result, reportOf, tableOf } from './report.js';

/** In the order of the table. */
const cases: BenchCase[] = [
  randomOne,
  randomFour,
  shaped,
  loss,
  slow,
  late,
  firstBlock,
  memory,
  debian,
  incompressible,
  shapedDebian,
  used,
];

const usage = `usage: node dist/bench/main.js [options]
  --only NAME,...  cases or rows to run (all)
  --runs N         counted runs of each side (3)
  --size MIB       size of the random image (512)
  --json FILE      write the results there as well
  --list           names of all cases and their rows
Needs root, iproute2, ethtool, diffutils; udpcast and uftp to compare with.
Exit status: 0 when every case was measured, 1 when one failed, 2 for wrong options.
`;

interface Options {
  only: string[];
  runs: number;
  sizeBytes: number;
  json: string | undefined;
}

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      runs: { type: 'string', default: '3' },
      size: { type: 'string', default: '512' },
      json: { type: 'string' },
      list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) leave(usage, 0);
  if (values.list) leave(cases.map(describe).join(''), 0);
  const only = values.only?.split(',') ?? [];
  const names = new Set(cases.flatMap(({ name, rows }) => [name, ...rows.map((row) => row.name)]));
  const unknown = only.filter((name) => !names.has(name));
  if (unknown.length > 0) throw new Error(`no such case: ${unknown.join(', ')} (try --list)`);
  return {
    only,
    runs: positive('--runs', values.runs),
    sizeBytes: positive('--size', values.size) * 2 ** 20,
    json: values.json,
  };
}

function describe({ name, rows }: BenchCase): string {
  return `${name}\n${rows.map((row) => `  ${row.name.padEnd(22)} ${row.what}\n`).join('')}`;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} needs a number from 1 up`);
  return value;
}

function leave(text: string, status: number): never {
  process.stdout.write(text);
  process.exit(status);
}

async function runCase(one: BenchCase, context: Context): Promise<Record<string, Outcome>> {
  try {
    return await one.measure(context);
  } catch (error) {
    const reason = error instanceof Error ? error : new Error(String(error));
    return Object.fromEntries(one.rows.map((row) => [row.name, reason]));
  }
}

async function run({ only, runs, sizeBytes, json }: Options): Promise<number> {
  requireLab('cmp');
  const results: Result[] = [];
  for (const one of cases) {
    const rows = one.rows.filter(
      (row) => only.length === 0 || only.includes(one.name) || only.includes(row.name),
    );
    if (rows.length === 0) continue;
    const say = (text: string) => process.stderr.write(`${one.name}: ${text}\n`);
    const outcomes = await runCase(one, { runs, sizeBytes, say });
    for (const row of rows) {
      const outcome = outcomes[row.name] ?? new Error('the case did not measure this');
      if (outcome instanceof Error) say(`${row.name} failed (see below)`);
      results.push({ row, outcome });
    }
  }
  process.stdout.write(tableOf(results));
  const report = reportOf(results, sizeBytes, runs);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  return results.some(({ outcome }) => outcome instanceof Error) ? 1 : 0;
}

let options: Options;
try {
  options = parseOptions();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n${usage}`);
  process.exit(2);
}
try {
  process.exitCode = await run(options);
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
