/**
 * `--then COMMAND`: what the operator wants to be done once the copy is proven and safe on the
 * disk.
 */

import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Failure } from '../../failure.js';
import { pathOfTools } from '../system/system-tools.js';

/** What a command is told of the copy that it follows. */
export interface FinishedCopy {
  target: string;
  /** The server's own name for the image. */
  image: string;
  imageBytes: number;
  /** 64 hex digits. */
  mapId: string;
  /** Name of the interface that the image came by. */
  interface: string;
}

/** What a command left running may hold its output open: nobody waits for that longer. */
const LINGER_MS = 500;
/** Longer lines are cut: they are for people. */
const MAX_LINE_CHARACTERS = 1000;

/**
 * Runs a command by /bin/sh, with the copy in its environment.
 * @param tell hears each line that it writes
 * @throws Failure of kind 'afterwards' when it fails; what `signal` was aborted with, said anew
 */
export async function runThen(
  command: string,
  copy: FinishedCopy,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) throw stoppedBefore(signal.reason);
  const { spawn } = await import('node:child_process');
  // A process group of its own, so that all that it starts can be ended with it.
  const child = spawn('/bin/sh', ['-c', command], {
    env: environmentFor(copy),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let lastLine = '';
  const hear = (stream: Readable): void => {
    createInterface({ input: stream }).on('line', (line) => {
      lastLine = line.slice(0, MAX_LINE_CHARACTERS);
      tell(`then: ${lastLine}`);
    });
  };
  hear(child.stdout);
  hear(child.stderr);
  const stop = (): void => endGroup(child);
  signal.addEventListener('abort', stop, { once: true });
  const [status, endedBy] = await endOf(child);
  signal.removeEventListener('abort', stop);
  if (signal.aborted) throw stoppedBefore(signal.reason);
  if (status === 0) return;
  const how = status === null ? `was ended by ${endedBy}` : `ended with exit status ${status}`;
  const said = lastLine === '' ? '' : ` (${lastLine})`;
  throw new Failure(
    'afterwards',
    'THEN_FAILED',
    `the copy is proven, but the command of --then ${how}${said}: ${command}`,
  );
}

function environmentFor(copy: FinishedCopy): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: pathOfTools(),
    MULTICLIENT_TARGET: copy.target,
    MULTICLIENT_IMAGE: copy.image,
    MULTICLIENT_IMAGE_BYTES: `${copy.imageBytes}`,
    MULTICLIENT_MAP_ID: copy.mapId,
    MULTICLIENT_HOST: hostname(),
    MULTICLIENT_MAC: hardwareAddressOf(copy.interface),
  };
}

/** Empty where the interface has none, or is gone. */
function hardwareAddressOf(name: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/address`, 'utf8').trim();
  } catch {
    return '';
  }
}

function endOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      const what = '/bin/sh for --then cannot be started';
      const text = `the copy is proven, but ${what} (${error.message})`;
      reject(new Failure('afterwards', 'THEN_FAILED', text));
    });
    child.once('close', (status, endedBy) => resolve([status, endedBy]));
    child.once('exit', (status, endedBy) => {
      const settle = (): void => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve([status, endedBy]);
      };
      setTimeout(settle, LINGER_MS).unref();
    });
  });
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  } catch {
    // It ended by itself meanwhile.
  }
}

/** The usual text for a run that is stopped says that there is no copy. */
function stoppedBefore(reason: unknown): unknown {
  if (!(reason instanceof Failure)) return reason;
  const text = 'stopped: the copy is proven, but the command of --then did not run to its end';
  return new Failure(reason.kind, reason.code, text);
}
