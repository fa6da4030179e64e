/**
 * Membership in a multicast group, on the request socket or the group's. The system's memory of it
 * can be wrong in two ways: it forgets (the interface lost its last address, or was made anew), and
 * it remembers what a switch has forgotten. Joining again does nothing while the system remembers;
 * so a membership that is not believed is given up first, and the join then sends a real report.
 */
import { readFileSync } from 'node:fs';
import { isIPv6Address } from './family.js';
import type { ChosenInterface } from './network-interface.js';

/** One membership that a socket holds: gives it up. */
export type Leave = () => void;

export class Membership {
  private readonly group: string;
  private readonly joinOn: (chosen: ChosenInterface) => Leave | null;
  private held: Leave[] = [];

  /** @param join null when it cannot, or need not, be joined */
  constructor(group: string, join: (chosen: ChosenInterface) => Leave | null) {
    this.group = group;
    this.joinOn = join;
  }

  /** @returns whether it was joined */
  join(chosen: ChosenInterface): boolean {
    const leave = this.joinOn(chosen);
    if (leave === null) return false;
    // Linux allows a socket 20 memberships, stale ones included (igmp_max_memberships).
    for (const stale of this.held) stale();
    this.held = [leave];
    return true;
  }

  /** Gives it up and joins again. @returns whether it was joined */
  joinAnew(chosen: ChosenInterface): boolean {
    for (const leave of this.held.splice(0)) leave();
    return this.join(chosen);
  }

  /**
   * Looks after it.
   * @param isDoubted nothing has come by it for long
   * @returns whether the system had lost it
   */
  tend(chosen: ChosenInterface, isDoubted: boolean): boolean {
    const isKept = isJoined(chosen.label, this.group);
    if (isKept === false) return this.joinAnew(chosen);
    if (isDoubted) this.joinAnew(chosen);
    else if (isKept === null) return this.join(chosen);
    return false;
  }
}

/** Whether the system is a member of a group on an interface; null where it does not tell. */
export function isJoined(interfaceName: string, group: string): boolean | null {
  try {
    return isIPv6Address(group) ? isJoined6(interfaceName, group) : isJoined4(interfaceName, group);
  } catch {
    return null;
  }
}

/**
 * `/proc/net/igmp`: a line for each interface, and indented ones for its groups, in hex, last byte
 * first.
 */
function isJoined4(interfaceName: string, group: string): boolean {
  const bytes = group.split('.').map(Number).reverse();
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  let isHere = false;
  for (const line of readFileSync('/proc/net/igmp', 'utf8').split('\n')) {
    const words = line.trim().split(/\s+/);
    if (!/^\s/.test(line)) isHere = words[1]?.replace(/:$/, '') === interfaceName;
    else if (isHere && words[0]?.toLowerCase() === hex) return true;
  }
  return false;
}

function isJoined6(interfaceName: string, group: string): boolean {
  const bare = new URL(`http://[${group.split('%')[0]}]`).hostname.slice(1, -1);
  const [head = '', tail = ''] = bare.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const zeros = new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  const hex = [...left, ...zeros, ...right].map((part) => part.padStart(4, '0')).join('');
  for (const line of readFileSync('/proc/net/igmp6', 'utf8').split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[1] === interfaceName && words[2] === hex) return true;
  }
  return false;
}

/** So often, silence makes us doubt a membership; each time after twice as long. */
const MAX_DOUBT_MS = 60_000;

/** Tells when silence has lasted so long that a switch may have forgotten us. */
export class SilenceWatch {
  private readonly firstMs: number;
  private waitMs: number;
  private sinceMs: number;

  /** @param firstMs of silence, after which a membership is doubted */
  constructor(firstMs: number, now: number) {
    this.firstMs = firstMs;
    this.waitMs = firstMs;
    this.sinceMs = now;
  }

  /** Something came by the group. */
  hear(now: number): void {
    this.sinceMs = now;
    this.waitMs = this.firstMs;
  }

  /** Whether to doubt the membership now; once for each time of silence. */
  isDue(now: number): boolean {
    if (now - this.sinceMs < this.waitMs) return false;
    this.sinceMs = now;
    this.waitMs = Math.min(2 * this.waitMs, Math.max(MAX_DOUBT_MS, this.firstMs));
    return true;
  }
}
