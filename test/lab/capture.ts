/** What passes a host's interface, trains as they are and answers to one as well: by `tcpdump`. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProcess } from './running.js';
import type { Host } from './world.js';

/** What the kernel gathers it hands on after 1000 ms at most, unless it is to do so at once. */
const GATHERED_MS = 1200;

export class Capture {
  private constructor(
    private readonly folder: string,
    private readonly running: RunningProcess,
    private readonly isAtOnce: boolean,
  ) {}

  /**
   * Listens to all that a host sends and gets.
   * @param isAtOnce what passes can be read at once; of a quick stream, some is missed then
   */
  static async start(host: Host, isAtOnce = false): Promise<Capture> {
    const folder = mkdtempSync(join(tmpdir(), 'capture-'));
    const path = join(folder, 'heard.pcap');
    const atOnce = isAtOnce ? ['--immediate-mode'] : [];
    const args = ['-i', 'e0', '-U', ...atOnce, '-B', '65536', '-w', path, 'udp'];
    const running = host.start('tcpdump', args);
    await running.waitText('listening on');
    return new Capture(folder, running, isAtOnce);
  }

  /** Where it is written, until the end; see pcap-savefile(5). */
  get path(): string {
    return join(this.folder, 'heard.pcap');
  }

  private get lengthBytes(): number {
    return statSync(this.path).size;
  }

  /** @returns all that was heard, frame after frame */
  async stop(): Promise<Buffer> {
    // What is gathered yet when it ends is lost to tcpdump.
    for (let had = -1; !this.isAtOnce && had < this.lengthBytes; ) {
      had = this.lengthBytes;
      await sleep(GATHERED_MS);
    }
    this.running.kill('SIGINT');
    await this.running.exited;
    try {
      return readFileSync(this.path);
    } finally {
      rmSync(this.folder, { recursive: true });
    }
  }
}

const RUN_BYTES = 16;

/**
 * How many runs of 16 bytes of `secret`, at any of its places that are multiples of 16, are found
 * anywhere in `heard`. Runs of one byte again and again tell nothing.
 */
export function runsWithin(heard: Buffer, secret: Buffer): number {
  const runs = new Map<number, Set<string>>();
  for (let at = 0; at + RUN_BYTES <= secret.length; at += RUN_BYTES) {
    const run = secret.subarray(at, at + RUN_BYTES);
    if (run.every((byte) => byte === run[0])) continue;
    const key = run.readUInt32LE(0);
    const known = runs.get(key);
    if (known === undefined) runs.set(key, new Set([run.toString('latin1')]));
    else known.add(run.toString('latin1'));
  }
  let found = 0;
  for (let at = 0; at + RUN_BYTES <= heard.length; at++) {
    const known = runs.get(heard.readUInt32LE(at));
    if (known?.has(heard.toString('latin1', at, at + RUN_BYTES))) found++;
  }
  return found;
}
