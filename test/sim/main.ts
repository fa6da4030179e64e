/** The simulator's command line: `npm run sim -- --clients 200 --loss 0.02 --seed 7`. */
import { parseArgs } from 'node:util';
import { CALM, commandLine, optionName, type SimOptions } from './options.js';
import { simulate } from './simulate.js';
import { swarmOptions } from './swarm.js';
import { SimFailure } from './witness.js';

const NAMES = Object.keys(CALM) as (keyof SimOptions)[];

interface CommandLine {
  seed: number;
  /** What was asked for, the seed aside. */
  given: Partial<SimOptions>;
  /** The seed decides about all other options. */
  isSwarm: boolean;
  /** How many runs, with one seed after the other. */
  runs: number;
}

function readCommandLine(args: string[]): CommandLine {
  const declared: Record<string, { type: 'boolean' | 'string' }> = {
    seeds: { type: 'string' },
    swarm: { type: 'boolean' },
    help: { type: 'boolean' },
  };
  for (const name of NAMES) {
    declared[optionName(name)] = { type: typeof CALM[name] === 'boolean' ? 'boolean' : 'string' };
  }
  const { values } = parseArgs({ args, options: declared });
  if (values.help === true) {
    process.stdout.write(usage());
    process.exit(0);
  }
  const given: Partial<SimOptions> = {};
  for (const name of NAMES) {
    const value = values[optionName(name)];
    if (value !== undefined) {
      Object.assign(given, { [name]: value === true ? true : readNumber(name, value) });
    }
  }
  const { seed = Math.floor(Math.random() * 2 ** 32), ...others } = given;
  const runs = readNumber('seeds', values.seeds ?? '1');
  return { seed, given: others, isSwarm: values.swarm === true, runs };
}

function usage(): string {
  const lines = NAMES.filter((name) => name !== 'seed').map((name) => {
    const value = CALM[name];
    return `  --${optionName(name)}${typeof value === 'boolean' ? '' : ` N (${value})`}`;
  });
  return (
    'npm run sim -- [options]    What each one means: test/sim/options.ts\n' +
    '  --seed N (random)\n  --seeds N (1): so many runs, with one seed after the other\n' +
    `  --swarm: the seed decides what is not given\n${lines.join('\n')}\n`
  );
}

function readNumber(name: string, text: unknown): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0) {
    throw new Error(`--${optionName(name)} takes a number, not ${text}`);
  }
  return value;
}

/** @returns whether all invariants held */
function run(options: SimOptions): boolean {
  const startedMs = performance.now();
  process.stdout.write(`${commandLine(options)}\n`);
  try {
    const result = simulate(options);
    const { imageBlocks, blocksSent, blockRatio, controlMessages, controlPeakPerSecond } = result;
    const wallMs = performance.now() - startedMs;
    process.stdout.write(
      `  blocks sent ${blocksSent} over ${imageBlocks} of the image: ${blockRatio.toFixed(3)}\n` +
        `  control messages ${controlMessages}, at most ${controlPeakPerSecond} in a second\n` +
        `  crashes ${result.crashes}, server restarts ${result.serverRestarts}\n` +
        `  virtual time ${(result.virtualMs / 1000).toFixed(3)} s, ` +
        `wall time ${(wallMs / 1000).toFixed(2)} s, events ${result.events}\n`,
    );
    return true;
  } catch (error) {
    if (!(error instanceof SimFailure)) throw error;
    process.stdout.write(`BROKEN: ${error.message}\n`);
    return false;
  }
}

function readOrExit(): CommandLine {
  try {
    return readCommandLine(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`sim: ${(error as Error).message}\n`);
    process.exit(2);
  }
}

const { seed: firstSeed, given, isSwarm, runs } = readOrExit();
let broken = 0;
for (let i = 0; i < runs; i++) {
  const seed = (firstSeed + i) >>> 0;
  const options = isSwarm ? swarmOptions(seed, given) : { ...CALM, ...given, seed };
  if (!run(options)) broken++;
}
if (runs > 1) process.stdout.write(`${runs} runs, ${broken} broken\n`);
if (broken > 0) process.exitCode = 1;
