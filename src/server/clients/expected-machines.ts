/** The machines that the operator expects, by name or by MAC, and which of them are missing. */

import type { ClientIdentity } from '../../protocol/identity.js';

/** Six pairs of hex digits, with colons, hyphens, or dots between any of them. */
const MAC = /^[0-9a-f]{12}$/;

/** What a name is compared by: MACs without what separates their digits. */
function keyOf(name: string): string {
  const lower = name.trim().toLowerCase();
  const digits = lower.replace(/[:.-]/g, '');
  return MAC.test(digits) ? digits : lower;
}

/** What a machine may be expected as. */
function keysOf(host: string, { mac, label, serial }: ClientIdentity): string[] {
  const names = [host, host.split('.')[0]!, mac, label, serial];
  return names.filter((name) => name !== undefined && name !== '').map((name) => keyOf(name!));
}

export class ExpectedMachines {
  /** By what they are compared by: the name as the operator wrote it. */
  private readonly names = new Map<string, string>();
  private readonly absent = new Set<string>();
  private readonly withoutCopy = new Set<string>();

  constructor(names: readonly string[]) {
    for (const name of names) this.names.set(keyOf(name), name.trim());
    for (const key of this.names.keys()) {
      this.absent.add(key);
      this.withoutCopy.add(key);
    }
  }

  get count(): number {
    return this.names.size;
  }

  /** A client of this machine came. */
  noteHere(host: string, identity: ClientIdentity): void {
    for (const key of keysOf(host, identity)) this.absent.delete(key);
  }

  noteCopy(host: string, identity: ClientIdentity): void {
    this.noteHere(host, identity);
    for (const key of keysOf(host, identity)) this.withoutCopy.delete(key);
  }

  /** The machine's target is written anew. */
  noteAnew(host: string, identity: ClientIdentity): void {
    for (const key of keysOf(host, identity)) {
      if (this.names.has(key)) this.withoutCopy.add(key);
    }
  }

  /** Those that never came, as the operator named them. */
  get missing(): string[] {
    return [...this.absent].map((key) => this.names.get(key)!);
  }

  /** Those that hold no copy, here or missing. */
  get lacking(): string[] {
    return [...this.withoutCopy].map((key) => this.names.get(key)!);
  }
}

/** The names in a list of one a line; what follows a `#` is a remark. */
export function parseNames(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.replace(/(^|\s)#.*/, '').trim());
  return lines.filter((line) => line !== '');
}
