/** Runs a program from its command line to its exit status. The same for both programs. */
import { ExitStatus, Failure } from '../failure.js';
import { JsonPrinter, jsonErrorLine } from '../ui/json-printer.js';
import { LogPrinter } from '../ui/log-printer.js';
import { safeText } from '../ui/safe-text.js';
import { TerminalPrinter } from '../ui/terminal-printer.js';
import type { Narrator, OutputMode, Watcher } from '../ui/watcher.js';
import type { Parsed } from './command.js';
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
  /** What it means that the run was stopped, as a clause. */
  whenStopped: string;
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

function stopFailure(signal: StopSignal, whenStopped: string): Failure {
  if (signal === 'SIGHUP') {
    return new Failure('hungUp', 'HUNG_UP', `the terminal is gone: ${whenStopped}`);
  }
  if (signal === 'SIGINT') {
    return new Failure('interrupted', 'INTERRUPTED', `interrupted: ${whenStopped}`);
  }
  return new Failure('terminated', 'TERMINATED', `terminated: ${whenStopped}`);
}

/** Whatever was thrown, as a Failure; what nobody expected is a fault of ours. */
function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(
    'internal',
    'INTERNAL',
    `internal error: ${message}; this is a fault of the program, so please report it with the ` +
      'command line and what it prints when DEBUG=* is set',
  );
}

/** Says why a run failed, to the operator and to the reader of events. */
function report(name: string, error: unknown, json: boolean, world: World): number {
  const failure = asFailure(error);
  const lines = failure.message.split('\n').map((line) => safeText(line, 2000));
  world.stderr.write(`${name}: ${lines.join('\n')}\n`);
  if (failure.kind === 'usage') world.stderr.write(`Try '${name} --help'.\n`);
  if (failure.kind === 'internal' && world.env.DEBUG && error instanceof Error) {
    world.stderr.write(`${error.stack}\n`);
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
  const fail = (error: unknown): number => {
    watcher?.close();
    return report(program.name, error, json, world);
  };
  world.onCrash((error) => world.exit(fail(error)));
  try {
    const parsed = program.parse(argv);
    if (!parsed.run) {
      world.stdout.write(parsed.text);
      return ExitStatus.ok;
    }
    json = parsed.output === 'json';
    watcher = watcherFor(program, parsed.output, world);
    const { observe } = watcher;
    const abort = new AbortController();
    world.onSignal((signal) => {
      const failure = stopFailure(signal, program.whenStopped);
      if (abort.signal.aborted) world.exit(fail(failure));
      else abort.abort(failure);
    });
    await program.run(parsed.options, observe.bind(watcher), abort.signal);
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
