/** The machines that the operator expects, by name or by MAC, and which of them are missing. */

import { MAX_HOST_BYTES } from '../../protocol/from-client.js';
import { type ClientIdentity, MAX_TEXT_BYTES } from '../../protocol/identity.js';
import { textBytes } from '../../protocol/text.js';

/** Six pairs of hex digits, with colons, hyphens, or dots between any of them. */
const MAC = /^[0-9a-f]{12}$/;

/** What a name is compared by: MACs without what separates their digits. */
function keyOf(name: string): string {
  const lower = name.trim().toLowerCase();
  const digits = lower.replace(/[:.-]/g, '');
  return MAC.test(digits) ? digits : lower;
}

/** What a name is compared by when a client has told it, which tells so many bytes at most. */
function toldKeyOf(name: string, mostBytes: number): string {
  return keyOf(textBytes(name.trim(), mostBytes).toString());
}

/** Other words for entries of a list. What may stand for two of them stands for none. */
class Aliases {
  private readonly keys = new Map<string, string | null>();

  add(alias: string, key: string): void {
    const known = this.keys.get(alias);
    this.keys.set(alias, known === undefined || known === key ? key : null);
  }

  get(alias: string): string | null {
    return this.keys.get(alias) ?? null;
  }
}

export class ExpectedMachines {
  /** By what they are compared by: the name as the operator wrote it. */
  private readonly names = new Map<string, string>();
  /** As much of labels and serial numbers, and of host names, as travels. */
  private readonly toldTexts = new Aliases();
  private readonly toldHosts = new Aliases();
  /** Host names of the list without their domains. */
  private readonly shortHosts = new Aliases();
  private readonly absent = new Set<string>();
  private readonly withoutCopy = new Set<string>();

  constructor(names: readonly string[]) {
    for (const name of names) this.names.set(keyOf(name), name.trim());
    for (const [key, name] of this.names) {
      this.toldTexts.add(toldKeyOf(name, MAX_TEXT_BYTES), key);
      this.toldHosts.add(toldKeyOf(name, MAX_HOST_BYTES), key);
      if (key.includes('.')) this.shortHosts.add(key.split('.')[0]!, key);
      this.absent.add(key);
      this.withoutCopy.add(key);
    }
  }

  get count(): number {
    return this.names.size;
  }

  /** The entries that a machine is expected as. */
  private entriesOf(host: string, { mac, label, serial }: ClientIdentity): string[] {
    const told = [mac, label, serial].filter((name) => name !== undefined).map(keyOf);
    const keys = told.map((key) => this.entryOf(key, this.toldTexts));
    return [...keys, this.entryOfHost(keyOf(host))].filter((key) => key !== null);
  }

  private entryOf(key: string, aliases: Aliases): string | null {
    return this.names.has(key) ? key : aliases.get(key);
  }

  /** With or without its domain, where the list does not have the very name. */
  private entryOfHost(host: string): string | null {
    const exact = this.entryOf(host, this.toldHosts);
    if (exact !== null) return exact;
    const short = host.split('.')[0]!;
    if (short === host) return this.shortHosts.get(host);
    return this.names.has(short) ? short : null;
  }

  /** A client of this machine came. */
  noteHere(host: string, identity: ClientIdentity): void {
    for (const key of this.entriesOf(host, identity)) this.absent.delete(key);
  }

  noteCopy(host: string, identity: ClientIdentity): void {
    this.noteHere(host, identity);
    for (const key of this.entriesOf(host, identity)) this.withoutCopy.delete(key);
  }

  /** The machine's target is written anew. */
  noteAnew(host: string, identity: ClientIdentity): void {
    for (const key of this.entriesOf(host, identity)) this.withoutCopy.add(key);
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
  const lines = text.split(/\r?\n/).map((line) => line.replace(/#.*/, '').trim());
  return lines.filter((line) => line !== '');
}
