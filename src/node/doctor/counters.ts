/** The kernel's own counters of how far packets get. */
import { readFileSync } from 'node:fs';

export interface NetCounters {
  /** Datagrams to groups that reached this machine, whatever became of them. */
  multicastIn: number;
  /** Dropped since their sender is not reached by the interface they came by. */
  reversePathFiltered: number;
}

export function readCounters(): NetCounters {
  try {
    const text = readFileSync('/proc/net/netstat', 'utf8');
    return {
      multicastIn: counter(text, 'IpExt', 'InMcastPkts'),
      reversePathFiltered: counter(text, 'TcpExt', 'IPReversePathFilter'),
    };
  } catch {
    return { multicastIn: 0, reversePathFiltered: 0 };
  }
}

/** A table has a line of names, and one of numbers with the same beginning. */
function counter(text: string, table: string, name: string): number {
  const [names, numbers] = text.split('\n').filter((line) => line.startsWith(`${table}:`));
  const at = names?.split(' ').indexOf(name) ?? -1;
  return at < 0 ? 0 : Number(numbers?.split(' ')[at] ?? 0);
}

/**
 * How strictly the system asks whether packets come by the interface that leads to their sender.
 * @returns 0 (not), 1 (strictly), 2 (by any interface); null where it does not tell
 */
export function reversePathLevel(interfaceName: string): number | null {
  const levels = ['all', interfaceName].map((name) => {
    try {
      return Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'utf8'));
    } catch {
      return null;
    }
  });
  const known = levels.filter((level) => level !== null);
  return known.length === 0 ? null : Math.max(...known);
}
