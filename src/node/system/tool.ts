/** Programs of the system that read disks for us: started, bounded, and ended with us. */

import { type StdioOptions, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from '../../failure.js';
import { environmentOfTools } from './system-tools.js';

export interface Tool {
  command: string;
  args: readonly string[];
  /** The package of Debian that has the command. */
  debianPackage: string;
  /** A descriptor that it finds as `/dev/fd/3`. */
  fd?: number;
  /** What it reads from its standard input. */
  input?: AsyncIterable<Buffer>;
}

interface ToolEnd {
  /** Null when a signal ended it. */
  status: number | null;
  /** The last of what it wrote to its standard error. */
  complaint: string;
}

const COMPLAINT_LENGTH = 2_000;

/** A program that runs. */
interface Running {
  output: Readable;
  /** Rejects with a Failure when the program is not installed. */
  ended: Promise<ToolEnd>;
  stop(): void;
}

function start(tool: Tool, signal: AbortSignal): Running {
  const { command, args, debianPackage, fd, input } = tool;
  signal.throwIfAborted();
  const env = environmentOfTools();
  const first = input === undefined ? 'ignore' : 'pipe';
  const stdio: StdioOptions = [first, 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])];
  const child = spawn(command, args, { stdio, env, signal });
  const output = child.stdout as Readable;
  const errors = child.stderr as Readable;
  let complaint = '';
  errors.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-COMPLAINT_LENGTH);
  });
  let inputTrouble: unknown = null;
  const ended = new Promise<ToolEnd>((resolve, reject) => {
    child.on('close', (status) => {
      if (inputTrouble === null) resolve({ status, complaint });
      else reject(inputTrouble);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (signal.aborted) reject(signal.reason);
      else if (error.code !== 'ENOENT') reject(error);
      else reject(missing(command, debianPackage));
    });
  });
  // It is looked at when its output ended; until then nobody may take it for forgotten.
  ended.catch(() => {});
  const stop = (): void => {
    if (child.exitCode === null) child.kill('SIGKILL');
  };
  if (input !== undefined) {
    pipeline(input, child.stdin as Writable).catch((error: NodeJS.ErrnoException) => {
      // It ended before its input did: its status says why.
      if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE') return;
      inputTrouble = error;
      stop();
    });
  }
  return { output, ended, stop };
}

function missing(command: string, debianPackage: string): Failure {
  const what = `the program ${command} is needed for this source`;
  return new Failure('source', 'NO_TOOL', `${what}; install the package ${debianPackage}`);
}

/**
 * @param onLine gets each line of its standard output
 * @throws Failure when the program is not installed; the reason of `signal` once that is aborted
 */
export async function run(
  tool: Tool,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<ToolEnd> {
  const child = start(tool, signal);
  try {
    for await (const line of createInterface({ input: child.output })) onLine(line);
    return await child.ended;
  } finally {
    child.stop();
  }
}

/** The same, for programs that write little. */
export async function read(tool: Tool, signal: AbortSignal): Promise<ToolEnd & { text: string }> {
  const lines: string[] = [];
  const end = await run(tool, (line) => lines.push(line), signal);
  return { ...end, text: lines.join('\n') };
}

/** The last thing that a program said, in one line, for people. */
export function lastWords({ complaint, status }: ToolEnd): string {
  // Programs that draw progress go back in their line.
  const lines = complaint.split(/[\r\n]+/).map((line) => line.trim());
  const last = lines.filter((line) => line !== '').at(-1);
  return last ?? (status === null ? 'it was killed' : `it ended with status ${status}`);
}

/**
 * The first bytes that a program writes; what comes behind is not waited for.
 * @returns fewer where there are not so many
 */
export async function head(tool: Tool, lengthBytes: number, signal: AbortSignal): Promise<Buffer> {
  const child = start(tool, signal);
  const pieces: Buffer[] = [];
  let haveBytes = 0;
  try {
    for await (const piece of child.output) {
      pieces.push(piece as Buffer);
      haveBytes += (piece as Buffer).length;
      if (haveBytes >= lengthBytes) break;
    }
    if (haveBytes < lengthBytes) await child.ended;
    return Buffer.concat(pieces).subarray(0, lengthBytes);
  } finally {
    child.stop();
  }
}
