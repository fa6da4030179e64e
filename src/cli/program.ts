/** Runs a program from its command line to its exit status. The same for both programs. */

import { ExitStatus, Failure } from '../failure.js';
import { refuseFewOpenFiles } from '../node/system/open-files.js';
import { JsonPrinter, jsonErrorLine } from '../ui/json-printer.js';
import { LogPrinter } from '../ui/log-printer.js';
import { safeText } from '../ui/safe-text.js';
import { TerminalPrinter, wrapWords } from '../ui/terminal-printer.js';
import type { Narrator, OutputMode, Watcher } from '../ui/watcher.js';
import type { Parsed } from './command.js';
import { consult, type Doctor } from './consult.js';
import type { Leavings } from './going-on.js';
import type { StopSignal, World } from './world.js';

export type Run<Options, Event> = (
  options: Options,
  observe: (event: Event) => void,
  signal: AbortSignal,
) => Promise<void>;

export interface Program<Options, Event extends { type: string }> {
  name: string;
  /** @throws Failure of kind 'usage' */
  parse(argv: readonly string[]): Parsed<Options>;
  narrate(now: () => number): Narrator<Event>;
  /** Does the work. */
  run: Run<Options, Event>;
  /** Looks for what is wrong. */
  doctor?: Doctor<Options>;
  /** Knows what is left when the run is stopped. */
  leavings(): Leavings<Event>;
}

function watcherFor<Options, Event extends { type: string }>(
  program: Program<Options, Event>,
  mode: OutputMode,
  world: World,
): Watcher<Event> {
  if (mode === 'quiet') return { observe() {}, close() {} };
  if (mode === 'json') return new JsonPrinter(world.stdout, world.wallClock);
  const { now, stderr, env } = world;
  const narrator = program.narrate(now);
  // Traces of DEBUG go to standard error as well, and would break up a live line.
  const live = stderr.isTerminal && env.TERM !== 'dumb' && !env.DEBUG;
  if (live) return new TerminalPrinter(narrator, stderr, now);
  return new LogPrinter(program.name, narrator, stderr, now);
}

function stopFailure(signal: StopSignal, whatIsLeft: string): Failure {
  if (signal === 'SIGHUP') {
    return new Failure('hungUp', 'HUNG_UP', `the terminal is gone: ${whatIsLeft}`);
  }
  if (signal === 'SIGINT') {
    return new Failure('interrupted', 'INTERRUPTED', `interrupted: ${whatIsLeft}`);
  }
  return new Failure('terminated', 'TERMINATED', `terminated: ${whatIsLeft}`);
}

/** The package that a program looked for in vain; null when that is not what went wrong. */
function missingPackage(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') return null;
  return /(?:module|package) '([^'/.][^']*)'/.exec(error.message)?.[1] ?? null;
}

/** Whatever was thrown, as a Failure; what nobody expected is a fault of ours. */
function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const missing = missingPackage(error);
  if (missing !== null) {
    const text =
      `the package '${missing}' is not here: the program needs the folder that it was installed ` +
      'in; install it with npm, or use the portable archive, instead of copying single files';
    return new Failure('installation', 'INCOMPLETE', text);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(
    'internal',
    'INTERNAL',
    `internal error: ${message}; this is a fault of the program, so please report it with the ` +
      'command line and what it prints when DEBUG=* is set',
  );
}

/**
 * Says why a run failed, to the operator and to the reader of events.
 * @param wayOn what the operator can do next; null when the message says all
 */
function report(
  name: string,
  failure: Failure,
  wayOn: string | null,
  json: boolean,
  world: World,
  stack: string | undefined,
): number {
  const lines = failure.message.split('\n').map((line) => safeText(line, 2000));
  if (wayOn !== null) lines.push(`${name}: ${safeText(wayOn, 2000)}`);
  const text = `${name}: ${lines.join('\n')}`;
  const { isTerminal, columns = 80 } = world.stderr;
  const shown = isTerminal ? text.split('\n').flatMap((line) => wrapWords(line, columns)) : [text];
  world.stderr.write(`${shown.join('\n')}\n`);
  // Of files that options name, the help knows no more.
  if (failure.code === 'USAGE') world.stderr.write(`Try '${name} --help'.\n`);
  if (failure.kind === 'internal' && world.env.DEBUG && stack !== undefined) {
    world.stderr.write(`${stack}\n`);
  }
  if (json) world.stdout.write(jsonErrorLine(world.wallClock(), failure));
  return failure.exitStatus;
}

/**
 * Runs to the end, and prints what there is to say. The first SIGINT or SIGTERM aborts the run; a
 * second one ends the process at once.
 * @param argv the words after the program's name
 * @returns the exit status
 */
export async function runProgram<Options, Event extends { type: string }>(
  program: Program<Options, Event>,
  argv: readonly string[],
  world: World,
): Promise<number> {
  // A usage error can come before --json is read; whoever gave it wants an object all the same.
  let json = argv.includes('--json');
  let watcher: Watcher<Event> | undefined;
  const leavings = program.leavings();
  const fail = (error: unknown): number => {
    watcher?.close();
    const failure = asFailure(error);
    const wayOn = leavings.describeFailed(failure, argv);
    const stack = error instanceof Error ? error.stack : undefined;
    return report(program.name, failure, wayOn, json, world, stack);
  };
  world.onCrash((error) => world.exit(fail(error)));
  try {
    const parsed = program.parse(argv);
    if (!parsed.run) {
      world.stdout.write(parsed.text);
      return ExitStatus.ok;
    }
    json = parsed.output === 'json';
    const { options, output } = parsed;
    watcher = watcherFor(program, output, world);
    const shown = watcher;
    const observe = (event: Event): void => {
      leavings.observe(event);
      shown.observe(event);
    };
    const abort = new AbortController();
    world.onSignal((signal) => {
      const failure = stopFailure(signal, leavings.describe(argv));
      if (abort.signal.aborted) world.exit(fail(failure));
      else abort.abort(failure);
    });
    if (parsed.doctor != null) {
      watcher.close();
      const { doctor } = program;
      if (doctor !== undefined) {
        await consult(doctor, options, parsed.doctor.stayMs, output, world, abort.signal);
      }
      return ExitStatus.ok;
    }
    refuseFewOpenFiles();
    await program.run(options, observe, abort.signal);
    watcher.close();
    return ExitStatus.ok;
  } catch (error) {
    return fail(error);
  }
}

/** Runs a program in this process, and ends it. */
export async function main<Options, Event extends { type: string }>(
  program: Program<Options, Event>,
  world: World,
): Promise<void> {
  const status = await runProgram(program, process.argv.slice(2), world);
  await Promise.all([world.stdout.flush(), world.stderr.flush()]);
  // Not left to the event loop: a thread or a timer that lingers must not hold up a finished copy.
  world.exit(status);
}
