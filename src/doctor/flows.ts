/** The packets that the programs need to get through, and what a firewall says to each. */
import type { Facts } from './facts.js';
import { type Chain, type Fate, fateOf, type Packet, type Rule, type Ruleset } from './ruleset.js';

export type FlowName = 'stream' | 'answers' | 'requests' | 'group requests' | 'IGMP';

export interface Flow {
  name: FlowName;
  /** As a clause, for messages. */
  description: string;
  packet: Omit<Packet, 'hook'>;
  hooks: Packet['hook'][];
  /** The condition under which a rule accepts it, as nft has it. */
  acceptance: string;
}

const IN: Packet['hook'][] = ['ingress', 'prerouting', 'input'];
const OUT: Packet['hook'][] = ['output', 'postrouting'];

/** What comes in and goes out on a machine of that role. */
export function flowsOf({ wanted }: Facts, interfaceName: string): Flow[] {
  const { role, group, port, serverPort } = wanted;
  const isV6 = group.includes(':');
  const isClient = role === 'client';
  const toGroup = `${isV6 ? 'ip6' : 'ip'} daddr ${group} udp dport`;
  const common = { protocol: 'udp' as const, isV6, interface: interfaceName };
  const whole = { ...common, source: null, sourcePort: null, state: 'new' as const };
  const many = { ...whole, destination: group, packetType: 'multicast' as const };
  const flows: Flow[] = [
    {
      name: 'stream',
      description: `the image, to ${group} port ${port}`,
      packet: { ...many, destinationPort: port },
      hooks: isClient ? IN : OUT,
      acceptance: `${toGroup} ${port}`,
    },
    {
      name: 'group requests',
      description: `requests to ${group} port ${serverPort}`,
      packet: { ...many, destinationPort: serverPort },
      hooks: isClient ? OUT : IN,
      acceptance: `${toGroup} ${serverPort}`,
    },
    {
      name: 'answers',
      description: `answers from port ${serverPort}`,
      packet: {
        ...whole,
        destination: null,
        sourcePort: serverPort,
        destinationPort: null,
        packetType: 'host',
        state: isClient && wanted.serverHost === null ? 'new' : 'established',
      },
      hooks: isClient ? IN : OUT,
      acceptance: `udp sport ${serverPort}`,
    },
    {
      name: 'requests',
      description: `requests to port ${serverPort}`,
      packet: { ...whole, destination: null, destinationPort: serverPort, packetType: 'host' },
      hooks: isClient ? OUT : IN,
      acceptance: `udp dport ${serverPort}`,
    },
  ];
  if (!isV6) flows.push(igmpFlow(common));
  return flows;
}

function igmpFlow(common: { isV6: boolean; interface: string }): Flow {
  return {
    name: 'IGMP',
    description: 'IGMP, which tells switches who listens',
    packet: {
      ...common,
      protocol: 'igmp',
      source: null,
      destination: '224.0.0.22',
      sourcePort: null,
      destinationPort: null,
      state: 'new',
      packetType: 'multicast',
    },
    hooks: OUT,
    acceptance: 'ip protocol igmp',
  };
}

/** The first place where a flow is dropped, or may be. */
export function fateOfFlow(ruleset: Ruleset, { packet, hooks }: Flow): Fate {
  let found: Fate = { fate: 'accept', chain: null, rule: null };
  for (const hook of hooks) {
    const fate = fateOf(ruleset, { ...packet, hook });
    if (fate.fate === 'drop') return fate;
    if (fate.fate === 'maybe' && found.fate === 'accept') found = fate;
  }
  return found;
}

/** The rule, or the policy, that decides. */
export function nameOfRule({ texts }: Ruleset, chain: Chain, rule: Rule | null): string {
  const place = `chain ${chain.name} of table ${chain.family} ${chain.table}`;
  if (rule === null) return `the policy 'drop' of ${place}`;
  const key = `${rule.family} ${rule.table} ${rule.chain} ${rule.handle}`;
  const text = texts.get(key);
  const inner = rule.chain === chain.name ? place : `chain ${rule.chain}, reached by ${place},`;
  return text === undefined ? `rule ${rule.handle} of ${inner}` : `'${text}' in ${inner}`;
}

/** The command that has a flow accepted before anything else is asked. */
export function acceptCommand(chain: Chain, { acceptance }: Flow): string {
  const { family, table, name } = chain;
  return `nft insert rule ${family} ${table} ${name} ${acceptance} accept`;
}
