import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Failure } from '../../src/failure.js';
import { JsonPrinter, jsonErrorLine } from '../../src/ui/json-printer.js';
import { LogPrinter } from '../../src/ui/log-printer.js';
import { fitStatus, TerminalPrinter, wrapWords } from '../../src/ui/terminal-printer.js';
import type { Narrator, Status, TextSink } from '../../src/ui/watcher.js';

/** An event that says all: a line to keep, a state to show, or the end. */
interface Step {
  line?: string;
  state?: string;
  text?: string;
  /** Lines to stand above the status. */
  table?: string[];
  end?: boolean;
  isAlarming?: boolean;
}

class StepNarrator implements Narrator<Step> {
  private current: Status | undefined;
  private lines: string[] = [];

  table(_columns: number, mostLines: number): string[] {
    return this.lines.slice(0, mostLines);
  }

  tell(step: Step): string | undefined {
    if (step.table !== undefined) this.lines = step.table;
    if (step.state !== undefined) {
      const parts = [
        { text: step.state, rank: 1 },
        { text: step.text ?? '', rank: 2 },
      ];
      this.current = { state: step.state, parts, ratio: undefined };
    }
    if (step.end === true) this.current = undefined;
    return step.line;
  }

  isAlarming(step: Step): boolean {
    return step.isAlarming ?? false;
  }

  status(): Status | undefined {
    return this.current;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal reads them
const CONTROLS = /(\u001b\[\d*[AJK]|[\r\n])/;

// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal reads them
const UP = /^\u001b\[(\d+)A$/;

/** A terminal of one colour: knows carriage return, line feed, the way up, and clearing. */
class Screen implements TextSink {
  raw = '';
  writes = 0;
  /** Takes nothing that says how things are just now. */
  isSlow = false;

  constructor(
    readonly columns: number,
    readonly rows = 24,
  ) {}

  write(text: string, isPassing = false): boolean {
    if (this.isSlow && isPassing) return false;
    this.raw += text;
    this.writes += 1;
    return true;
  }

  get lines(): string[] {
    const lines = [''];
    let column = 0;
    let row = 0;
    for (const token of this.raw.split(CONTROLS)) {
      const line = lines[row]!;
      const up = UP.exec(token);
      if (token === '\r') column = 0;
      else if (token === '\n') {
        if (++row === lines.length) lines.push('');
        column = 0;
      } else if (up !== null) row -= Number(up[1]);
      else if (token === '\u001b[J') lines.length = row + 1;
      if (token === '\u001b[K' || token === '\u001b[J') lines[row] = line.slice(0, column);
      if (CONTROLS.test(token)) continue;
      lines[row] = line.slice(0, column) + token + line.slice(column + token.length);
      column += token.length;
    }
    return lines;
  }
}

function terminal(columns = 40, rows = 24) {
  const clock = { nowMs: 0 };
  const screen = new Screen(columns, rows);
  const printer = new TerminalPrinter(new StepNarrator(), screen, () => clock.nowMs);
  return { clock, screen, printer };
}

test('the terminal shows one live line below the lines that stay', () => {
  const { clock, screen, printer } = terminal();
  printer.observe({ line: 'found an image' });
  printer.observe({ state: 'receiving', text: '1 %, a long tail' });
  clock.nowMs = 100;
  printer.observe({ state: 'receiving', text: '2 %' });
  assert.deepEqual(screen.lines, ['found an image', 'receiving  2 %']);
  printer.observe({ line: 'noted' });
  assert.deepEqual(screen.lines, ['found an image', 'noted', 'receiving  2 %']);
  printer.observe({ line: 'proven', end: true });
  printer.close();
  assert.deepEqual(screen.lines, ['found an image', 'noted', 'proven', '']);
});

test('what must not be overlooked is red on a terminal, and plain in a log', () => {
  const screen = new Screen(80);
  const terminal = new TerminalPrinter(new StepNarrator(), screen, () => 0);
  terminal.observe({ line: 'WARNING: disks are lost', isAlarming: true });
  terminal.observe({ line: 'all is well' });
  assert(screen.raw.includes('\u001b[1;31mWARNING: disks are lost\u001b[0m'), screen.raw);
  assert(screen.raw.includes('\rall is well') || screen.raw.includes('\nall is well'), screen.raw);
  const log = new Screen(80);
  const printer = new LogPrinter('multiserver', new StepNarrator(), log, () => 0);
  printer.observe({ line: 'WARNING: disks are lost', isAlarming: true });
  assert.equal(log.raw, 'multiserver: WARNING: disks are lost\n');
});

test('a table stands between the lines that stay and the status, and fits the window', () => {
  const { clock, screen, printer } = terminal(40, 7);
  printer.observe({ line: 'begun' });
  printer.observe({ state: 'sending', text: '1 %', table: ['pc-1', 'pc-2', 'pc-3', 'pc-4'] });
  clock.nowMs = 100;
  printer.observe({ state: 'sending', text: '2 %' });
  assert.deepEqual(screen.lines, ['begun', 'pc-1', 'pc-2', 'pc-3', 'sending  2 %']);
  printer.observe({ line: 'pc-1 is done', table: ['pc-2'] });
  assert.deepEqual(screen.lines, ['begun', 'pc-1 is done', 'pc-2', 'sending  2 %']);
  printer.observe({ line: 'ended', end: true, table: [] });
  printer.close();
  assert.deepEqual(screen.lines, ['begun', 'pc-1 is done', 'ended', '']);
});

test('what a slow terminal was not shown is not taken for shown', () => {
  const { clock, screen, printer } = terminal();
  printer.observe({ line: 'begun', state: 'sending', text: '1 %', table: ['pc-1'] });
  screen.isSlow = true;
  clock.nowMs = 200;
  printer.observe({ table: ['pc-1', 'pc-2', 'pc-3'] });
  screen.isSlow = false;
  clock.nowMs = 400;
  printer.observe({ table: ['pc-4', 'pc-5'] });
  assert.deepEqual(screen.lines, ['begun', 'pc-4', 'pc-5', 'sending  1 %']);
});

test('the terminal redraws at most ten times a second, and not at all without news', () => {
  const { clock, screen, printer } = terminal();
  for (clock.nowMs = 0; clock.nowMs < 1000; clock.nowMs += 1) {
    printer.observe({ state: 'receiving', text: String(clock.nowMs) });
  }
  assert.equal(screen.writes, 10);
  for (; clock.nowMs < 2000; clock.nowMs += 1) printer.observe({ state: 'receiving', text: 'x' });
  assert.equal(screen.writes, 11);
});

test('a run that fails leaves its last status, up to date, and the cursor below it', () => {
  const { screen, printer } = terminal();
  printer.observe({ state: 'receiving', text: '1 %' });
  printer.observe({ state: 'receiving', text: '2 %' });
  printer.close();
  printer.close();
  printer.observe({ line: 'too late' });
  assert.deepEqual(screen.lines, ['receiving  2 %', '']);
});

test('a terminal that nothing was shown on is left alone', () => {
  const { screen, printer } = terminal();
  printer.close();
  assert.equal(screen.raw, '');
});

test('the status gives up detail, then its least important parts, to fit the width', () => {
  const status: Status = {
    state: 'receiving',
    parts: [
      { text: 'receiving', rank: 1 },
      { text: '50.0 %', rank: 2 },
      { text: '1 GB of 2 GB', short: '1 GB', rank: 4 },
      { text: '800 Mbit/s', rank: 3 },
    ],
    ratio: 0.5,
  };
  const bar = '[##########----------]';
  assert.equal(fitStatus(status, 100), `receiving  ${bar}  50.0 %  1 GB of 2 GB  800 Mbit/s`);
  assert.equal(fitStatus(status, 50), 'receiving  50.0 %  1 GB of 2 GB  800 Mbit/s');
  assert.equal(fitStatus(status, 43), 'receiving  50.0 %  1 GB  800 Mbit/s');
  assert.equal(fitStatus(status, 32), 'receiving  50.0 %  800 Mbit/s');
  assert.equal(fitStatus(status, 20), 'receiving  50.0 %');
  assert.equal(fitStatus(status, 5), 'rece');
});

test('the status is always narrower than the terminal', () => {
  const part = fc.record({ text: fc.string(), rank: fc.nat(9) });
  const ratio = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1 }), ratio, fc.nat(200), (parts, ratio, columns) => {
      const line = fitStatus({ state: '', parts, ratio }, columns);
      assert.ok(line.length <= Math.max(1, columns - 1));
    }),
  );
});

function log() {
  const clock = { nowMs: 0 };
  const lines: string[] = [];
  const out = { write: (text: string) => lines.push(text) > 0 };
  const printer = new LogPrinter('prog', new StepNarrator(), out, () => clock.nowMs);
  return { clock, lines, printer };
}

test('a log has a status every five seconds, new states, and every line that stays', () => {
  const { clock, lines, printer } = log();
  for (clock.nowMs = 0; clock.nowMs <= 11_000; clock.nowMs += 200) {
    printer.observe({ state: 'receiving', text: `${clock.nowMs}` });
  }
  assert.deepEqual(lines.splice(0), [
    'prog: receiving, 0\n',
    'prog: receiving, 5000\n',
    'prog: receiving, 10000\n',
  ]);
  printer.observe({ state: 'proving', text: 'a' });
  printer.observe({ line: 'noted' });
  printer.observe({ line: 'proven', end: true });
  printer.close();
  assert.deepEqual(lines, ['prog: proving, a\n', 'prog: noted\n', 'prog: proven\n']);
});

test('a log does not repeat a status that has not changed, nor follow a flapping state', () => {
  const { clock, lines, printer } = log();
  for (; clock.nowMs < 3_600_000; clock.nowMs += 200) printer.observe({ state: 'idle' });
  assert.equal(lines.length, 1);
  for (let step = 0; step < 50; step += 1, clock.nowMs += 200) {
    printer.observe({ state: step % 2 === 0 ? 'sending' : 'idle', text: String(step) });
  }
  assert.ok(lines.length <= 11, `${lines.length} lines in ten seconds`);
});

test('a log of a failed run ends with where it had got to', () => {
  const { lines, printer } = log();
  printer.observe({ state: 'receiving', text: '1 %' });
  printer.observe({ state: 'receiving', text: '2 %' });
  printer.close();
  printer.observe({ line: 'too late' });
  assert.deepEqual(lines, ['prog: receiving, 1 %\n', 'prog: receiving, 2 %\n']);
});

test('JSON has one object a line: the time, the name of the event, its fields', () => {
  let text = '';
  const out = {
    write(part: string) {
      text += part;
      return true;
    },
  };
  const time = new Date('2030-01-02T03:04:05.678Z');
  const printer = new JsonPrinter<{ type: string; text: string }>(out, () => time);
  printer.observe({ type: 'notice', text: 'two\nlines\u009b' });
  printer.close();
  printer.observe({ type: 'notice', text: 'too late' });
  assert.equal(
    text,
    '{"time":"2030-01-02T03:04:05.678Z","event":"notice","text":"two\\nlines\\u009b"}\n',
  );
});

test('a failure in JSON has its kind, its code, its sentence and the exit status', () => {
  const line = jsonErrorLine(new Date(0), new Failure('target', 'TARGET_TOO_SMALL', 'too small'));
  assert.deepEqual(JSON.parse(line), {
    time: '1970-01-01T00:00:00.000Z',
    event: 'error',
    code: 'TARGET_TOO_SMALL',
    kind: 'target',
    message: 'too small',
    exitStatus: 3,
  });
});

test('a terminal breaks long lines between words, and sets the rest in', () => {
  const line = 'the interface eth0 has no carrier: plug the cable in, or name another one with -i';
  const lines = wrapWords(line, 40);
  assert.deepEqual(lines, [
    'the interface eth0 has no carrier: plug',
    '  the cable in, or name another one',
    '  with -i',
  ]);
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]{1,15}$/), { minLength: 1 }), (words) => {
      const wrapped = wrapWords(words.join(' '), 40);
      for (const part of wrapped) assert(part.length < 40, part);
      assert.equal(wrapped.map((part) => part.trim()).join(' '), words.join(' '));
    }),
  );
});
