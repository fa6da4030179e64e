/** Checks of what this machine itself does to packets: its firewall, filters and buffers. */
import { type Check, ok, unknown, wrong } from './check.js';
import { type Facts, isKnown, type PathFacts } from './facts.js';
import {
  acceptCommand,
  type Flow,
  type FlowName,
  fateOfFlow,
  flowsOf,
  nameOfRule,
} from './flows.js';

const MEBIBYTE = 2 ** 20;
/** With less, a busy moment loses packets. */
const MIN_BUFFER_BYTES = 4 * MEBIBYTE;
const FULL_RATIO = 0.95;

export function hostChecks(facts: Facts): Check[] {
  return [firewallCheck(facts), conntrackCheck(facts), reversePathCheck(facts), bufferCheck(facts)];
}

/** Whether packets of a flow were seen to pass; null when nobody tried. */
function hasPassed(name: FlowName, role: string, path: PathFacts | null): boolean | null {
  if (path === null || role === 'server') return null;
  const askedOf = (asked: { sent: number; answered: number }): boolean | null =>
    asked.answered > 0 ? true : asked.sent > 0 ? false : null;
  switch (name) {
    case 'stream':
      return askedOf(path.groupIn);
    case 'answers':
    case 'requests':
      return askedOf(path.unicast);
    case 'group requests':
      return askedOf(path.groupOut);
    case 'IGMP':
      return null;
  }
}

function firewallCheck(facts: Facts): Check {
  const { firewall, link, wanted, path } = facts;
  if (!isKnown(firewall)) return unknown('firewall', firewall.why);
  if (!isKnown(link)) return unknown('firewall', 'there is no interface to look at');
  const doubtful: Flow[] = [];
  for (const flow of flowsOf(facts, link.name)) {
    const { fate, chain, rule } = fateOfFlow(firewall, flow);
    if (fate === 'accept' || chain === null) continue;
    const passed = hasPassed(flow.name, wanted.role, path);
    if (passed === true) continue;
    if (fate === 'drop' || passed === false) {
      const verb = fate === 'drop' ? 'drops' : 'may drop';
      const finding = `${nameOfRule(firewall, chain, rule)} ${verb} ${flow.description}`;
      return wrong('firewall', finding, acceptCommand(chain, flow));
    }
    doubtful.push(flow);
  }
  const { length } = firewall.chains.filter(({ hook }) => hook !== null);
  if (doubtful.length > 0) {
    const what = doubtful.map(({ description }) => description).join('; ');
    return unknown('firewall', `its rules are too involved to tell for ${what}`);
  }
  return ok('firewall', length === 0 ? 'there are no rules' : 'its rules let them through');
}

function conntrackCheck({ conntrack }: Facts): Check {
  if (conntrack === null) return ok('conntrack', 'connections are not tracked');
  const { count, most } = conntrack;
  const finding = `${count} of ${most} entries are in use`;
  if (count < FULL_RATIO * most) return ok('conntrack', finding);
  const remedy = `sysctl -w net.netfilter.nf_conntrack_max=${2 * most}`;
  return wrong('conntrack', `${finding}: new packets are dropped`, remedy);
}

/** The command that has packets taken from addresses which another interface leads to. */
function looseFilterCommand(interfaceName: string): string {
  return `sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.${interfaceName}.rp_filter=2`;
}

function reversePathCheck({ reversePath, link, routes }: Facts): Check {
  if (reversePath === null) return unknown('reverse-path', 'the system does not tell');
  if (!isKnown(link)) return unknown('reverse-path', 'there is no interface to look at');
  const { level, droppedCount } = reversePath;
  const { name } = link;
  const { toServer } = routes;
  const isElsewhere = toServer !== null && toServer !== name;
  if (level === 1 && (droppedCount > 0 || isElsewhere)) {
    const what = isElsewhere
      ? `the route back to the server is ${toServer}, not ${name}`
      : `${droppedCount} packets came from addresses to which the route is not ${name}`;
    return wrong('reverse-path', `${what}: such packets are dropped`, looseFilterCommand(name));
  }
  const text = level === 1 ? 'strict, and the routes fit' : level === 2 ? 'loose' : 'off';
  return ok('reverse-path', `the filter on ${name} is ${text}`);
}

function bufferCheck({ buffer, wanted }: Facts): Check {
  if (wanted.role === 'server') return unknown('buffer', 'that of clients matters');
  if (buffer === null) return unknown('buffer', 'no socket could be opened');
  const { grantedBytes, wantedBytes } = buffer;
  const mebibytes = (bytes: number): string => `${(bytes / MEBIBYTE).toFixed(1)} MiB`;
  const finding = `the system grants ${mebibytes(grantedBytes)} of ${mebibytes(wantedBytes)}`;
  if (grantedBytes >= MIN_BUFFER_BYTES) return ok('buffer', finding);
  const remedy = `sysctl -w net.core.rmem_max=${wantedBytes}, or run it as root with koffi`;
  return wrong('buffer', `${finding}: a busy moment loses packets`, remedy);
}
