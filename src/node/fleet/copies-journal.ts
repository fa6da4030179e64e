/**
 * Who holds a proven copy, kept on the disk until as many do as were waited for: a server that is
 * started again in between goes on counting. One JSON object a line: the image first, then a line
 * for each machine that was proven, or that begins anew.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ClientIdentity, CopyHolder, FleetMember } from '../../server/events.js';

/** For images that have no folder of their own, such as devices. */
const STATE_FOLDER = '/var/lib/multiserver';
/** What is older belongs to another evening. */
const MAX_AGE_MS = 12 * 3_600_000;
/** A million machines take less. */
const MAX_BYTES = 2 ** 28;

/** A machine that holds a copy, as the journal tells. */
export interface KeptCopy extends CopyHolder {
  machine: bigint;
}

export class CopiesJournal {
  readonly path: string;
  private readonly tell: (text: string) => void;
  private fd: number | null = null;
  /** It was opened, though it may not be written to any more. */
  private isOurs = false;
  /** What was read ends with the end of a line. */
  private isWhole = true;

  /** @param tell gets what the operator should know */
  constructor(imagePath: string, tell: (text: string) => void) {
    const isFile = statSync(imagePath).isFile();
    this.path = isFile
      ? `${imagePath}.copies`
      : join(STATE_FOLDER, `${basename(imagePath)}.copies`);
    this.tell = tell;
  }

  /**
   * Goes on with the journal of this image, or begins one.
   * @param mapId in hex
   * @param wantedCount how many are waited for: who waits for another number means another evening
   * @returns the machines that hold a copy already, with their addresses
   */
  begin(mapId: string, wantedCount: number): KeptCopy[] {
    const machines = this.read(mapId, wantedCount);
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      const there = statSync(this.path, { throwIfNoEntry: false });
      if (there?.isFile() === false) throw new Error('it is not a file');
      this.fd = openSync(this.path, machines.length > 0 ? 'a' : 'w', 0o600);
      this.isOurs = true;
      if (machines.length === 0) this.write({ image: mapId, wantedCount });
      // Behind a line that a crash has torn, the next would be lost as well.
      else if (!this.isWhole) this.writeText('\n');
    } catch (error) {
      this.stop(error as Error);
    }
    return machines;
  }

  add(client: FleetMember): void {
    const { machine, host, address, identity } = client;
    const { mac, label, serial } = identity;
    this.write({ machine, host, address, mac, label, serial, time: new Date().toISOString() });
  }

  remove({ machine }: FleetMember): void {
    this.write({ machine, anew: true });
  }

  /** @param isOver as many hold copies as were waited for: nothing is left to go on with */
  close(isOver = false): void {
    if (this.fd !== null) closeSync(this.fd);
    this.fd = null;
    // A journal that cannot be removed counts for some hours more; that is said when it is read.
    if (isOver && this.isOurs) rmSync(this.path, { force: true });
  }

  private write(line: object): void {
    this.writeText(`${JSON.stringify(line)}\n`);
  }

  private writeText(text: string): void {
    if (this.fd === null) return;
    try {
      // All of it, however little the system takes at once.
      writeFileSync(this.fd, text);
      fsyncSync(this.fd);
    } catch (error) {
      this.stop(error as Error);
    }
  }

  private stop(error: Error): void {
    this.close();
    this.tell(
      `who holds a copy cannot be kept in ${this.path} (${error.message}): a server that is ` +
        'started again would count from zero',
    );
  }

  private read(mapId: string, wantedCount: number): KeptCopy[] {
    let lines: string[];
    try {
      const stats = statSync(this.path);
      const { size, mtimeMs } = stats;
      if (!stats.isFile()) return [];
      if (size > MAX_BYTES || Date.now() - mtimeMs > MAX_AGE_MS) return [];
      const text = readFileSync(this.path, 'utf8');
      this.isWhole = text.endsWith('\n');
      lines = text.split('\n');
    } catch {
      return [];
    }
    const machines = new Map<string, KeptCopy>();
    for (const [index, line] of lines.entries()) {
      const entry = parse(line);
      const isOurs = entry?.image === mapId && entry.wantedCount === wantedCount;
      if (index === 0 && !isOurs) return [];
      const { machine, anew } = entry ?? {};
      if (typeof machine !== 'string' || !/^[0-9a-f]{16}$/.test(machine)) continue;
      if (anew === true) machines.delete(machine);
      else machines.set(machine, holderOf(machine, entry!));
    }
    return [...machines.values()];
  }
}

function holderOf(machine: string, entry: Record<string, unknown>): KeptCopy {
  const { host, address, mac, label, serial } = entry;
  const identity: ClientIdentity = {};
  if (typeof mac === 'string') identity.mac = mac;
  if (typeof label === 'string') identity.label = label;
  if (typeof serial === 'string') identity.serial = serial;
  return {
    machine: BigInt(`0x${machine}`),
    host: typeof host === 'string' ? host : '',
    address: typeof address === 'string' ? address : '',
    identity,
  };
}

/** A line that was torn by a crash is none. */
function parse(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}
