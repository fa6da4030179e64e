import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Program, type Run, runProgram } from '../../src/cli/program.js';
import type { Sink, StopSignal, World } from '../../src/cli/world.js';
import { Failure } from '../../src/failure.js';
import type { OutputMode } from '../../src/ui/watcher.js';

type Event = { type: string };

class Buffer implements Sink {
  text = '';
  constructor(
    readonly isTerminal: boolean,
    readonly columns?: number,
  ) {}
  write(text: string): boolean {
    this.text += text;
    return true;
  }
  async flush(): Promise<void> {}
}

function fakeWorld(env: Record<string, string> = {}, isTerminal = false) {
  let signalled: (signal: StopSignal) => void = () => assert.fail('nobody waits for signals');
  let crashed: (error: unknown) => void = () => assert.fail('nobody waits for crashes');
  const exits: number[] = [];
  const stdout = new Buffer(false);
  const stderr = new Buffer(isTerminal, 80);
  const world: World = {
    stdout,
    stderr,
    env,
    now: () => 0,
    wallClock: () => new Date(0),
    onSignal: (callback) => {
      signalled = callback;
    },
    onCrash: (callback) => {
      crashed = callback;
    },
    exit: (status) => exits.push(status),
  };
  return {
    world,
    stdout,
    stderr,
    exits,
    signal: (signal: StopSignal) => signalled(signal),
    crash: (error: unknown) => crashed(error),
  };
}

/** A program whose only options are the ways to show things. */
function programOf(run: Run<undefined, Event>): Program<undefined, Event> {
  return {
    name: 'prog',
    parse(argv) {
      if (argv.includes('--help')) return { run: false, text: 'Usage\n' };
      if (argv.includes('--wrong')) throw new Failure('usage', 'USAGE', 'that is wrong');
      const output: OutputMode = argv.includes('--json') ? 'json' : 'text';
      return { run: true, options: undefined, output: argv.includes('-q') ? 'quiet' : output };
    },
    narrate: () => ({
      tell: (event) => (event.type === 'status' ? undefined : `told ${event.type}`),
      status: () => ({ state: 'busy', parts: [{ text: 'busy', rank: 1 }], ratio: undefined }),
    }),
    run,
    leavings: () => ({
      observe() {},
      describe: (argv) => `to go on: prog ${argv.join(' ')}`,
      describeFailed: ({ kind }) => (kind === 'noServer' ? 'to go on: prog' : null),
    }),
  };
}

/** A run that goes on until it is aborted, and then rejects with the reason. */
const untilAborted: Run<undefined, Event> = (_options, _observe, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('a run that succeeds ends with 0, and standard output stays empty', async () => {
  const { world, stdout, stderr } = fakeWorld();
  const run: Run<undefined, Event> = async (_options, observe) => observe({ type: 'news' });
  assert.equal(await runProgram(programOf(run), [], world), 0);
  assert.equal(stdout.text, '');
  assert.match(stderr.text, /^prog: told news\n/);
});

test('help goes to standard output, and nothing is done for it', async () => {
  const { world, stdout, stderr } = fakeWorld();
  const program = { ...programOf(untilAborted), run: () => assert.fail('run') };
  assert.equal(await runProgram(program, ['--help'], world), 0);
  assert.equal(stdout.text, 'Usage\n');
  assert.equal(stderr.text, '');
});

test('a usage error ends with 2 and points to --help', async () => {
  const { world, stdout, stderr } = fakeWorld();
  assert.equal(await runProgram(programOf(untilAborted), ['--wrong'], world), 2);
  assert.equal(stderr.text, "prog: that is wrong\nTry 'prog --help'.\n");
  assert.equal(stdout.text, '');
});

test('with --json, a usage error is an object as well', async () => {
  const { world, stdout } = fakeWorld();
  assert.equal(await runProgram(programOf(untilAborted), ['--json', '--wrong'], world), 2);
  const { event, code, exitStatus } = JSON.parse(stdout.text);
  assert.deepEqual({ event, code, exitStatus }, { event: 'error', code: 'USAGE', exitStatus: 2 });
});

test('a failure decides the exit status, and is said even with --quiet', async () => {
  const run = () => Promise.reject(new Failure('target', 'TARGET_FULL', 'the\u001b disk is full'));
  const { world, stdout, stderr } = fakeWorld();
  assert.equal(await runProgram(programOf(run), ['-q'], world), 3);
  assert.equal(stderr.text, 'prog: the\u{fffd} disk is full\n');
  assert.equal(stdout.text, '');
});

test('a failure that can be gone on from is followed by the command that does', async () => {
  const run = () => Promise.reject(new Failure('noServer', 'NO_SERVER', 'gave up'));
  const { world, stderr } = fakeWorld();
  assert.equal(await runProgram(programOf(run), ['-q'], world), 5);
  assert.equal(stderr.text, 'prog: gave up\nprog: to go on: prog\n');
});

test('with --json, events and the failure are objects on standard output', async () => {
  const run: Run<undefined, Event> = async (_options, observe) => {
    observe({ type: 'news' });
    throw new Failure('target', 'TARGET_FULL', 'the disk is full');
  };
  const { world, stdout, stderr } = fakeWorld();
  assert.equal(await runProgram(programOf(run), ['--json'], world), 3);
  const events = stdout.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).event);
  assert.deepEqual(events, ['news', 'error']);
  assert.equal(stderr.text, 'prog: the disk is full\n');
});

test('an error that nobody expected ends with 1 and asks for a report', async () => {
  const run = () => Promise.reject(new TypeError('x is not a function'));
  const plain = fakeWorld();
  assert.equal(await runProgram(programOf(run), ['-q'], plain.world), 1);
  assert.match(plain.stderr.text, /^prog: internal error: x is not a function; .*report it.*\n$/);
  const traced = fakeWorld({ DEBUG: 'prog:*' });
  assert.equal(await runProgram(programOf(run), ['-q'], traced.world), 1);
  assert.match(traced.stderr.text, /\n {4}at /);
});

test('an error that nobody caught ends the process with 1', async () => {
  const { world, stderr, exits, crash } = fakeWorld();
  void runProgram(programOf(untilAborted), ['-q'], world);
  await nextTurn();
  crash(new Error('lost'));
  assert.deepEqual(exits, [1]);
  assert.match(stderr.text, /internal error: lost/);
});

test('a signal aborts the run, which then has its say, and decides the exit status', async () => {
  for (const [signal, status, word] of [
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const) {
    const fake = fakeWorld();
    const ended = runProgram(programOf(untilAborted), ['-q'], fake.world);
    await nextTurn();
    fake.signal(signal);
    assert.equal(await ended, status);
    assert.equal(fake.stderr.text, `prog: ${word}: to go on: prog -q\n`);
    assert.deepEqual(fake.exits, []);
  }
});

test('a run that completes in spite of a signal has succeeded', async () => {
  const run: Run<undefined, Event> = (_options, _observe, signal) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve());
    });
  const fake = fakeWorld();
  const ended = runProgram(programOf(run), ['-q'], fake.world);
  await nextTurn();
  fake.signal('SIGINT');
  assert.equal(await ended, 0);
});

test('a second signal ends the process at once, whatever the run does', async () => {
  const fake = fakeWorld();
  void runProgram(
    programOf(() => new Promise(() => {})),
    ['-q'],
    fake.world,
  );
  await nextTurn();
  fake.signal('SIGINT');
  assert.deepEqual(fake.exits, []);
  fake.signal('SIGTERM');
  assert.deepEqual(fake.exits, [143]);
});

test('a live line is for terminals that can, when nothing else is traced there', async () => {
  const run: Run<undefined, Event> = async (_options, observe) => observe({ type: 'status' });
  const shown = async (env: Record<string, string>, isTerminal: boolean) => {
    const { world, stderr } = fakeWorld(env, isTerminal);
    await runProgram(programOf(run), [], world);
    return stderr.text.includes('\u001b[K') ? 'live' : 'log';
  };
  assert.equal(await shown({}, true), 'live');
  assert.equal(await shown({ TERM: 'xterm' }, true), 'live');
  assert.equal(await shown({ TERM: 'dumb' }, true), 'log');
  assert.equal(await shown({ DEBUG: 'prog:*' }, true), 'log');
  assert.equal(await shown({}, false), 'log');
});
