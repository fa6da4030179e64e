/** A process the lab has started: what it says, when it ends, how much memory it took. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { onCleanup } from './cleanup.js';

export interface Exit {
  /** Null when a signal ended the process. */
  status: number | null;
  signal: NodeJS.Signals | null;
  /** `performance.now()` when the end was seen. */
  atMs: number;
}

export interface StartOptions {
  /** Watch the peak of resident memory (a small read every 50 ms). */
  watchMemory?: boolean;
  environment?: Record<string, string>;
}

const stderrKeptBytes = 64 * 1024;
/**
 * All that a program gets of our environment. Whatever else a shell has set would be part of what
 * is tested and timed: with `NODE_EXTRA_CA_CERTS`, each start of Node takes three times as long.
 */
const inheritedNames = ['PATH', 'HOME', 'TMPDIR'];
const memoryIntervalMs = 50;

export class RunningProcess {
  /** Lines of the standard output so far. */
  readonly lines: string[] = [];
  /** Settles when the process has gone and its output is read to the end. */
  readonly exited: Promise<Exit>;
  /** End of what it wrote to its standard error. */
  stderr = '';
  /** Peak of resident memory in bytes; 0 unless it is watched. */
  peakMemoryBytes = 0;
  exit: Exit | null = null;
  /** Ended at once, maybe in the middle of a line. */
  private isCutOff = false;
  readonly commandLine: string;
  private readonly child: ChildProcess;
  private readonly watchers = new Set<() => void>();

  constructor(command: string, args: string[], options: StartOptions = {}) {
    this.commandLine = [command, ...args].join(' ');
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inheritedEnvironment(), ...options.environment },
    });
    this.child = child;
    const forget = onCleanup(() => child.kill('SIGKILL'));
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.lines.push(line);
      try {
        this.heard(line);
      } catch (error) {
        if (this.isCutOff) return;
        // Thrown here, it would keep the end of the output from being seen, for ever.
        setImmediate(() => {
          throw error;
        });
      }
      this.tellWatchers();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-stderrKeptBytes);
      this.tellWatchers();
    });
    let endedAtMs = 0;
    child.once('exit', () => {
      endedAtMs = performance.now();
    });
    this.exited = once(child, 'close').then(([status, signal]) => {
      forget();
      this.exit = { status, signal, atMs: endedAtMs };
      this.tellWatchers();
      return this.exit;
    });
    // Whoever waits hears of a failed start; nobody waiting must not bring the tests down.
    this.exited.catch(() => {});
    if (options.watchMemory) this.watchMemory();
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Called with each line of output as it comes. */
  protected heard(_line: string): void {}

  kill(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL') this.isCutOff = true;
    this.child.kill(signal);
  }

  /** @throws Error when it still runs after `timeoutMs` */
  waitExit(timeoutMs = 60_000): Promise<Exit> {
    return this.waitUntil('the end', () => this.exit ?? undefined, timeoutMs);
  }

  /** @throws Error with what the process said, when it ends with another status */
  async waitStatus(status: number, timeoutMs = 60_000): Promise<Exit> {
    const exit = await this.waitExit(timeoutMs);
    if (exit.status !== status) {
      throw new Error(`expected exit status ${status}, got ${this.describe()}`);
    }
    return exit;
  }

  /**
   * Looks again after all output and at the end.
   *
   * @throws Error when the process ends, or `timeoutMs` passes, before `find` gives a value
   */
  waitUntil<T>(what: string, find: () => T | undefined, timeoutMs = 60_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.watchers.delete(look);
        act();
      };
      const timer = setTimeout(() => {
        const message = `waited ${timeoutMs} ms for ${what} of ${this.describe()}`;
        settle(() => reject(new Error(message)));
      }, timeoutMs);
      const look = () => {
        const found = find();
        if (found !== undefined) settle(() => resolve(found));
        else if (this.exit !== null) {
          settle(() => reject(new Error(`ended before ${what}: ${this.describe()}`)));
        }
      };
      this.watchers.add(look);
      look();
    });
  }

  /** Waits for words on its standard error. */
  async waitText(words: string, timeoutMs?: number): Promise<void> {
    const look = () => this.stderr.includes(words) || undefined;
    await this.waitUntil(`the words '${words}'`, look, timeoutMs);
  }

  /** For messages: the command, how it ended and the end of what it said. */
  describe(): string {
    const end = this.exit === null ? 'still runs' : `${this.exit.status ?? this.exit.signal}`;
    const output = this.lines.slice(-5).join('\n');
    return `${this.commandLine} (${end})\n${output}\n${this.stderr.slice(-2000)}`.trimEnd();
  }

  private tellWatchers(): void {
    for (const look of [...this.watchers]) look();
  }

  private watchMemory(): void {
    const timer = setInterval(() => {
      try {
        const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
        const peak = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
        if (peak !== undefined) {
          this.peakMemoryBytes = Math.max(this.peakMemoryBytes, Number(peak) * 1024);
        }
      } catch {
        // It ended between two looks; the last value stands.
      }
    }, memoryIntervalMs);
    this.exited.finally(() => clearInterval(timer)).catch(() => {});
  }
}

function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(inheritedNames.map((name) => [name, process.env[name]]));
}
