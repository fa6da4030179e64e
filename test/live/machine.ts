/** A virtual machine, without hardware to help it, and its serial line. */

import { createServer, type Server, type Socket } from 'node:net';
import type { RunningProcess } from '../lab/running.js';
import { toolPath } from '../lab/tools.js';
import type { LiveNetwork } from './network.js';

/** Far above what a slow machine takes to start. */
const patienceMs = 900_000;
/** More than the live system says; the kernel's own lines before that are many. */
const MAX_RETURNED = 4000;

export class Machine {
  /** All that came over the serial line. */
  heard = '';
  private readonly listener: Server;
  private readonly process: RunningProcess;
  private line: Socket | null = null;
  private readonly startedMs = performance.now();
  private readBytes = 0;
  private look = () => {};

  private constructor(listener: Server, process: RunningProcess) {
    this.listener = listener;
    this.process = process;
    listener.on('connection', (line) => {
      this.line = line;
      line.setEncoding('latin1').on('data', (text: string) => {
        this.heard += text;
        this.look();
      });
      // The machine was ended while something was on its way.
      line.on('error', () => {});
    });
    process.exited.then(() => this.look());
  }

  /** @param socketPath where QEMU finds the other end of the serial line: a name for a new file */
  static async start(
    network: LiveNetwork,
    socketPath: string,
    megabytes: number,
    args: string[],
  ): Promise<Machine> {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(socketPath, resolve));
    const memory = ['-m', `${megabytes}`];
    const machine = ['-machine', 'q35', '-accel', 'tcg', '-cpu', 'max', '-nodefaults', ...memory];
    const line = ['-chardev', `socket,id=line,path=${socketPath}`, '-serial', 'chardev:line'];
    const rest = ['-vga', 'std', '-display', 'none', '-no-reboot', ...args];
    const words = [...machine, ...line, ...rest];
    const process = network.start(toolPath('qemu-system-x86_64'), words, true);
    return new Machine(listener, process);
  }

  /** What the machine costs this host at most, in MB. */
  get peakMegabytes(): number {
    return Math.round(this.process.peakMemoryBytes / 1e6);
  }

  /** Seconds since it was switched on. */
  get ageSeconds(): number {
    return Math.round((performance.now() - this.startedMs) / 1000);
  }

  /**
   * Waits for words on the serial line, behind those that were waited for before.
   *
   * @returns the end of what came before them
   */
  async hear(words: string): Promise<string> {
    const start = this.readBytes;
    await this.waitUntil(`'${words}'`, () => this.heard.includes(words, start));
    const end = this.heard.indexOf(words, start);
    this.readBytes = end + words.length;
    return this.heard.slice(Math.max(start, end - MAX_RETURNED), end).replaceAll('\r', '');
  }

  /** Types a line. */
  type(line: string): void {
    this.line!.write(`${line}\r`);
  }

  /** Waits for the machine to be switched off, by what runs on it. */
  async waitOff(): Promise<void> {
    await this.process.waitStatus(0, patienceMs);
  }

  /** Pulls the plug. */
  async close(): Promise<void> {
    if (this.process.exit === null) this.process.kill('SIGKILL');
    await this.process.exited;
    this.listener.close();
  }

  private waitUntil(what: string, isThere: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.look = () => {};
        act();
      };
      const fail = (how: string) =>
        settle(() =>
          reject(new Error(`${how} before ${what}: ${this.process.describe()}\n${this.end()}`)),
        );
      const timer = setTimeout(() => fail(`${patienceMs} ms went by`), patienceMs);
      this.look = () => {
        if (isThere()) settle(resolve);
        else if (this.process.exit !== null) fail('the machine went off');
      };
      this.look();
    });
  }

  private end(): string {
    return this.heard.slice(-4000);
  }
}
