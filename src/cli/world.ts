/** What a program sees of the process it runs in. Tests put something else in its place. */

import { now } from '../node/system/clock.js';
import { leaveNow } from '../node/system/leave.js';
import {
  handSome,
  isHangUpIgnored,
  ownDescriptor,
  writeSome,
} from '../node/system/standard-streams.js';
import type { TextSink } from '../ui/watcher.js';
import { FLUSH_MS, TextOutput } from './text-output.js';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

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
 * A standard stream as a sink. A pipe or terminal is opened once more, so that not waiting for it
 * is our own affair: who else has it open, the shell for one, is not affected. A reader that goes
 * away, or a full disk under a log, must not end a copy that is under way: from then on the text is
 * dropped.
 */
function sinkOf(fd: number, stream: NodeJS.WriteStream): Sink {
  const own = ownDescriptor(fd);
  let isBroken = false;
  stream.on('error', () => {
    isBroken = true;
  });
  const output = new TextOutput((bytes) => {
    if (own !== null) return writeSome(own, bytes);
    return isBroken ? null : handSome(stream, bytes);
  });
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns;
    },
    get rows() {
      return stream.rows;
    },
    write: (text, isPassing) => output.write(text, isPassing),
    describeDropped(describe) {
      output.describeDropped = describe;
    },
    async flush() {
      await output.flush();
      if (own === null && !isBroken) await allTaken(stream);
    },
  };
}

/** Resolves when a stream of Node's own, such as a socket, has handed on the last of it. */
async function allTaken(stream: NodeJS.WriteStream): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_MS);
    stream.write('', () => resolve());
  });
  clearTimeout(timer);
}

export function realWorld(): World {
  return {
    stdout: sinkOf(1, process.stdout),
    stderr: sinkOf(2, process.stderr),
    env: process.env,
    now,
    wallClock: () => new Date(),
    onSignal(callback) {
      process.on('SIGINT', () => callback('SIGINT'));
      process.on('SIGTERM', () => callback('SIGTERM'));
      // Without a listener, Node lets it end the process.
      const isIgnored = isHangUpIgnored(process.env);
      process.on('SIGHUP', () => {
        if (!isIgnored) callback('SIGHUP');
      });
    },
    onCrash(callback) {
      process.on('uncaughtException', callback);
    },
    exit: leaveNow,
  };
}
