import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Failure } from '../../src/failure.js';
import { JsonPrinter, jsonErrorLine } from '../../src/ui/json-printer.js';
import { LogPrinter } from '../../src/ui/log-printer.js';
import { fitStatus, TerminalPrinter } from '../../src/ui/terminal-printer.js';
import type { Narrator, Status, TextSink } from '../../src/ui/watcher.js';

/** An event that says all: a line to keep, a state to show, or the end. */
interface Step {
  line?: string;
  state?: string;
  text?: string;
  end?: boolean;
}

class StepNarrator implements Narrator<Step> {
  private current: Status | undefined;

  tell(step: Step): string | undefined {
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

  status(): Status | undefined {
    return this.current;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal reads them
const CONTROLS = /(\u001b\[K|[\r\n])/;

/** A terminal of one colour: knows carriage return, line feed and clear-to-end. */
class Screen implements TextSink {
  raw = '';
  writes = 0;
  constructor(readonly columns: number) {}

  write(text: string): void {
    this.raw += text;
    this.writes += 1;
  }

  get lines(): string[] {
    const lines = [''];
    let column = 0;
    for (const token of this.raw.split(CONTROLS)) {
      const line = lines.at(-1)!;
      if (token === '\r') column = 0;
      else if (token === '\n') {
        lines.push('');
        column = 0;
      } else if (token === '\u001b[K') lines[lines.length - 1] = line.slice(0, column);
      else {
        lines[lines.length - 1] = line.slice(0, column) + token + line.slice(column + token.length);
        column += token.length;
      }
    }
    return lines;
  }
}

function terminal(columns = 40) {
  const clock = { nowMs: 0 };
  const screen = new Screen(columns);
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
  const out = { write: (text: string) => lines.push(text) };
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
