/** What a program sees of the process it runs in. Tests put something else in its place. */
import { now } from '../node/clock.js';
import type { TextSink } from '../ui/watcher.js';

export type StopSignal = 'SIGINT' | 'SIGTERM';

export interface Sink extends TextSink {
  readonly isTerminal: boolean;
  /** Resolves when all that was written is out, or can't get out. */
  flush(): Promise<void>;
}

export interface World {
  stdout: Sink;
  stderr: Sink;
  env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  wallClock(): Date;
  /** Calls back at each signal, for the rest of the process's life. */
  onSignal(callback: (signal: StopSignal) => void): void;
  /** Calls back at an error that nobody caught. */
  onCrash(callback: (error: unknown) => void): void;
  /** Ends the process at once. */
  exit(status: number): void;
}

/**
 * A stream as a sink. A reader that goes away, or a full disk under a log, must not end a copy that
 * is under way: from then on the text is dropped.
 */
function sinkOf(stream: NodeJS.WriteStream): Sink {
  let broken = false;
  stream.on('error', () => {
    broken = true;
  });
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns;
    },
    write(text) {
      if (!broken) stream.write(text);
    },
    flush() {
      if (broken) return Promise.resolve();
      return new Promise((resolve) => stream.write('', () => resolve()));
    },
  };
}

export function realWorld(): World {
  return {
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
    env: process.env,
    now,
    wallClock: () => new Date(),
    onSignal(callback) {
      process.on('SIGINT', () => callback('SIGINT'));
      process.on('SIGTERM', () => callback('SIGTERM'));
    },
    onCrash(callback) {
      process.on('uncaughtException', callback);
    },
    exit: (status) => process.exit(status),
  };
}
