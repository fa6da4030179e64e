/** Why nothing of a group arrives, though its server answers: what the system's own counters tell. */
import { readFileSync } from 'node:fs';
import { isJoined } from './membership.js';
import { interfaceTowards } from './routes.js';

/** Numbers of the kernel that tell how far packets get. */
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

/** Fewer may be other programs' talk. */
const MANY = 20;

/**
 * The likely cause, as a sentence with what to do.
 * @param before the counters when the server had just answered
 */
export function causeOfSilence(
  interfaceName: string,
  group: string,
  port: number,
  streamAddress: string,
  before: NetCounters,
  now: NetCounters = readCounters(),
): string {
  const begin = 'the server answers, but nothing of the image arrives';
  if (isJoined(interfaceName, group) === false) {
    return `${begin}: interface ${interfaceName} is not in group ${group}; look whether it has an address`;
  }
  const back = interfaceTowards(streamAddress);
  const isFiltered = now.reversePathFiltered - before.reversePathFiltered >= MANY;
  if (isFiltered || (isStrict(interfaceName) && back !== interfaceName)) {
    return (
      `${begin}: the system drops packets of ${streamAddress}, as its route back is not ` +
      `${interfaceName} (rp_filter); run 'sysctl -w net.ipv4.conf.all.rp_filter=2 ` +
      `net.ipv4.conf.${interfaceName}.rp_filter=2'`
    );
  }
  if (now.multicastIn - before.multicastIn >= MANY) {
    return (
      `${begin}: packets for groups reach this machine, so a firewall on it drops them; let in UDP ` +
      `to ${group} port ${port}`
    );
  }
  return (
    `${begin}: the network does not carry ${group} to this machine; the likely cause is a switch ` +
    'with IGMP snooping and no querier: switch the querier on, or snooping off. If its links take ' +
    'shorter packets than the server sends, try multiserver --mtu 1500'
  );
}

/** Whether packets are dropped whose sender is reached by another interface (rp_filter 1). */
function isStrict(interfaceName: string): boolean {
  const levels = ['all', interfaceName].map((name) => {
    try {
      return Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'utf8'));
    } catch {
      return 0;
    }
  });
  return Math.max(...levels) === 1;
}
