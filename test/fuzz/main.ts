/**
 * The fuzzer's command line: `npm run fuzz -- --seconds 60 --seed 7 --target client`.
 * A fault is printed as a case for `cases.ts`, which the unit tests run from then on.
 */

import { parseArgs } from 'node:util';
import { Random } from '../sim/random.js';
import { ClientTarget } from './client-target.js';
import { CoverageSignal } from './coverage.js';
import { DecoderTarget } from './decoder-target.js';
import { type Finding, Fuzzer } from './fuzzer.js';
import { ServerTarget } from './server-target.js';
import type { FuzzTarget } from './steps.js';
import { TrustTarget } from './trust-target.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    target: { type: 'string' },
    'no-coverage': { type: 'boolean', default: false },
  },
});

function readNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0) throw new Error(`--${name}: a number`);
  return value;
}

const seconds = readNumber('seconds', values.seconds);
const seed = readNumber('seed', values.seed ?? `${Math.floor(Math.random() * 2 ** 32)}`);
const random = new Random(seed, 'fuzz');
const all: FuzzTarget[] = [
  new DecoderTarget(random),
  new TrustTarget(),
  new ClientTarget(),
  new ServerTarget(),
];
const targets = all.filter(({ name }) => values.target === undefined || name === values.target);
if (targets.length === 0) throw new Error(`--target is one of ${all.map(({ name }) => name)}`);

function report(finding: Finding): void {
  const steps = finding.steps.map((step) => `      '${step}',\n`).join('');
  process.stdout.write(
    `BROKEN by seed ${seed}: ${finding.message}\n` +
      `  {\n    target: '${finding.target}',\n    about: '...',\n    steps: [\n${steps}    ` +
      `],\n  },\n`,
  );
}

process.stdout.write(`--seed ${seed} --seconds ${seconds}\n`);
const coverage = values['no-coverage'] ? null : new CoverageSignal();
const fuzzers = targets.map((target) => new Fuzzer(target, random, coverage));
const endMs = performance.now() + seconds * 1000;
/** All get the same time, however long their cases take. */
const spentMs = fuzzers.map(() => 0);
for (let startMs = performance.now(); startMs < endMs; ) {
  const next = spentMs.indexOf(Math.min(...spentMs));
  const finding = fuzzers[next]!.once();
  if (finding !== null) report(finding);
  const nowMs = performance.now();
  spentMs[next]! += nowMs - startMs;
  startMs = nowMs;
}
coverage?.close();
for (const [index, { name }] of targets.entries()) {
  const { cases, steps, kept } = fuzzers[index]!;
  process.stdout.write(`${name}: ${cases} cases of ${steps} steps, ${kept} kept as new\n`);
}
process.stdout.write(`pieces of code reached: ${coverage?.size ?? 'not counted'}\n`);
const faults = fuzzers.reduce((sum, fuzzer) => sum + fuzzer.faults, 0);
process.stdout.write(`faults found: ${faults}\n`);
process.exitCode = faults > 0 ? 1 : 0;
