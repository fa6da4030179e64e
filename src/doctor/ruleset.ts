/**
 * What a firewall does to one packet, worked out from its rules as `nft -j list ruleset` prints
 * them. Conditions that are not understood may hold or not: then a drop is only possible.
 */

/** A packet, as far as rules ask for it. */
export interface Packet {
  hook: 'ingress' | 'prerouting' | 'input' | 'output' | 'postrouting';
  protocol: 'udp' | 'igmp';
  isV6: boolean;
  interface: string;
  /** Null where any may be meant. */
  source: string | null;
  destination: string | null;
  sourcePort: number | null;
  destinationPort: number | null;
  state: 'new' | 'established';
  packetType: 'multicast' | 'host';
}

export interface Rule {
  family: string;
  table: string;
  chain: string;
  handle: number;
  expr: object[];
}

export interface Chain {
  family: string;
  table: string;
  name: string;
  /** Null of a chain that is only jumped to. */
  hook: string | null;
  device: string | null;
  priority: number;
  policy: 'accept' | 'drop';
}

export interface Ruleset {
  chains: Chain[];
  rules: Rule[];
  /** Lines of `nft -a list ruleset`, by `FAMILY TABLE CHAIN HANDLE`. */
  texts: Map<string, string>;
}

export interface Fate {
  fate: 'accept' | 'drop' | 'maybe';
  chain: Chain | null;
  /** Null when the chain's policy decides. */
  rule: Rule | null;
}

type Truth = boolean | null;
type Loose = Record<string, unknown>;

const asObject = (value: unknown): Loose =>
  typeof value === 'object' && value !== null ? (value as Loose) : {};

/** @param listing what `nft -j list ruleset` prints, parsed */
export function readRuleset(listing: unknown, text: string): Ruleset {
  const chains: Chain[] = [];
  const rules: Rule[] = [];
  const entries = asObject(listing).nftables;
  for (const entry of Array.isArray(entries) ? entries : []) {
    const { chain, rule } = asObject(entry);
    if (chain !== undefined) chains.push(readChain(asObject(chain)));
    if (rule !== undefined) rules.push(readRule(asObject(rule)));
  }
  return { chains, rules, texts: readTexts(text) };
}

function readChain(chain: Loose): Chain {
  return {
    family: String(chain.family),
    table: String(chain.table),
    name: String(chain.name),
    hook: typeof chain.hook === 'string' ? chain.hook : null,
    device: typeof chain.dev === 'string' ? chain.dev : null,
    priority: Number(chain.prio ?? 0),
    policy: chain.policy === 'drop' ? 'drop' : 'accept',
  };
}

function readRule(rule: Loose): Rule {
  return {
    family: String(rule.family),
    table: String(rule.table),
    chain: String(rule.chain),
    handle: Number(rule.handle),
    expr: Array.isArray(rule.expr) ? rule.expr.map(asObject) : [],
  };
}

function readTexts(text: string): Map<string, string> {
  const texts = new Map<string, string>();
  let place = '';
  let table = '';
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/);
    const handle = /^(.*\S)\s*# handle (\d+)$/.exec(line.trim());
    if (words[0] === 'table') table = `${words[1]} ${words[2]}`;
    else if (words[0] === 'chain') place = `${table} ${words[1]}`;
    else if (handle !== null) texts.set(`${place} ${handle[2]}`, handle[1]!);
  }
  return texts;
}

/** What becomes of a packet at its hook. */
export function fateOf(ruleset: Ruleset, packet: Packet): Fate {
  const families = ['inet', packet.isV6 ? 'ip6' : 'ip', 'netdev'];
  const chains = ruleset.chains
    .filter(({ family, hook }) => families.includes(family) && hook === packet.hook)
    .filter(({ device }) => device === null || device === packet.interface)
    .sort((a, b) => a.priority - b.priority);
  let worst: Fate = { fate: 'accept', chain: null, rule: null };
  for (const chain of chains) {
    const found = walk(ruleset, chain, chain.name, packet, 0);
    const fate = found.fate === null ? { fate: chain.policy, chain, rule: found.rule } : found;
    if (fate.fate === 'drop' && found.isSure) {
      const rule = found.fate === null ? null : found.rule;
      return { fate: 'drop', chain, rule };
    }
    if (!found.isSure && worst.fate === 'accept' && (found.mayDrop || fate.fate === 'drop')) {
      worst = { fate: 'maybe', chain, rule: found.rule };
    }
  }
  return worst;
}

interface Walk {
  /** Null: the end of the chain was reached. */
  fate: 'accept' | 'drop' | null;
  rule: Rule | null;
  /** No rule before might have decided otherwise. */
  isSure: boolean;
  mayDrop: boolean;
}

const MAX_JUMPS = 16;

function walk(ruleset: Ruleset, base: Chain, name: string, packet: Packet, depth: number): Walk {
  let isSure = true;
  let mayDrop = false;
  let doubtful: Rule | null = null;
  const { family, table } = base;
  const rules = ruleset.rules.filter(
    (rule) => rule.family === family && rule.table === table && rule.chain === name,
  );
  for (const rule of rules) {
    const holds = conditionsHold(rule, packet);
    if (holds === false) continue;
    const verdict = verdictOf(rule);
    if (verdict === null) {
      // A map of verdicts may decide anything.
      if (rule.expr.some((expr) => 'vmap' in expr)) isSure = false;
      continue;
    }
    if (verdict === 'return') {
      if (holds) break;
      isSure = false;
      continue;
    }
    let fate: 'accept' | 'drop' | null = verdict === 'accept' ? 'accept' : 'drop';
    let decisive = rule;
    let isInnerSure = true;
    if (typeof verdict === 'object') {
      const inner = depth < MAX_JUMPS ? walk(ruleset, base, verdict.to, packet, depth + 1) : null;
      fate = inner?.fate ?? null;
      decisive = inner?.rule ?? rule;
      isInnerSure = inner?.isSure ?? false;
      mayDrop ||= inner?.mayDrop ?? false;
      if (fate === null && isInnerSure && !verdict.stays) continue;
    }
    if (holds && isInnerSure && fate !== null) return { fate, rule: decisive, isSure, mayDrop };
    isSure = false;
    if (fate === 'drop') mayDrop = true;
    if (fate === 'drop' || doubtful === null) doubtful = decisive;
  }
  return { fate: null, rule: doubtful, isSure, mayDrop };
}

type RuleVerdict = 'accept' | 'drop' | 'return' | { to: string; stays: boolean };

function verdictOf(rule: Rule): RuleVerdict | null {
  for (const expr of rule.expr as Loose[]) {
    if ('accept' in expr) return 'accept';
    if ('drop' in expr || 'reject' in expr) return 'drop';
    if ('return' in expr) return 'return';
    if ('jump' in expr) return { to: String(asObject(expr.jump).target), stays: false };
    if ('goto' in expr) return { to: String(asObject(expr.goto).target), stays: true };
    // The compatible form of iptables' own targets.
    const xt = asObject(expr.xt);
    if (xt.type === 'target' && xt.name === 'DROP') return 'drop';
    if (xt.type === 'target' && xt.name === 'REJECT') return 'drop';
  }
  return null;
}

/** Whether all conditions of a rule hold; null when that is not known. */
function conditionsHold(rule: Rule, packet: Packet): Truth {
  let all: Truth = true;
  for (const expr of rule.expr as Loose[]) {
    const truth = conditionHolds(expr, packet);
    if (truth === false) return false;
    if (truth === null) all = null;
  }
  return all;
}

/** What says nothing of whether a rule holds. */
const NEUTRAL = 'accept drop reject return jump goto counter log comment continue'.split(' ');

function conditionHolds(expr: Loose, packet: Packet): Truth {
  if (NEUTRAL.some((key) => key in expr)) return true;
  if (asObject(expr.xt).type === 'target') return true;
  if (!('match' in expr)) return null;
  const { left, right, op } = asObject(expr.match);
  const value = fieldOf(asObject(left), packet);
  if (value === undefined) return null;
  if (value === false) return false;
  const fits = fitsAny(value, right);
  if (fits === null) return null;
  return op === '!=' ? !fits : op === '==' || op === 'in' ? fits : null;
}

/**
 * What a packet has for the left side of a match.
 * @returns undefined: not known; false: it has no such field
 */
function fieldOf(left: Loose, packet: Packet): string | number | false | undefined {
  if ('payload' in left) {
    const { protocol, field } = asObject(left.payload);
    if (protocol === 'udp' || protocol === 'th') {
      if (packet.protocol !== 'udp') return false;
      const port = field === 'dport' ? packet.destinationPort : packet.sourcePort;
      return field === 'dport' || field === 'sport' ? (port ?? undefined) : undefined;
    }
    if (protocol === 'ip' || protocol === 'ip6') {
      if ((protocol === 'ip6') !== packet.isV6) return false;
      if (field === 'daddr') return packet.destination ?? undefined;
      if (field === 'saddr') return packet.source ?? undefined;
      return field === 'protocol' || field === 'nexthdr' ? packet.protocol : undefined;
    }
    return protocol === 'ether' ? undefined : false;
  }
  if ('meta' in left) return metaOf(String(asObject(left.meta).key), packet);
  if ('ct' in left) return asObject(left.ct).key === 'state' ? packet.state : undefined;
  return undefined;
}

function metaOf(key: string, packet: Packet): string | false | undefined {
  const isIn = packet.hook !== 'output' && packet.hook !== 'postrouting';
  switch (key) {
    case 'iifname':
    case 'iif':
      return isIn ? packet.interface : false;
    case 'oifname':
    case 'oif':
      return isIn ? false : packet.interface;
    case 'l4proto':
      return packet.protocol;
    case 'nfproto':
      return packet.isV6 ? 'ipv6' : 'ipv4';
    case 'pkttype':
      return isIn ? packet.packetType : undefined;
    default:
      return undefined;
  }
}

function fitsAny(value: string | number, right: unknown): Truth {
  if (Array.isArray(right)) return some(right, value);
  if (typeof right !== 'object' || right === null) return fits(value, right);
  const { set, range, prefix } = asObject(right);
  if (Array.isArray(set)) return some(set, value);
  if (Array.isArray(range)) return within(value, range[0], range[1]);
  if (prefix !== undefined) return hasPrefix(value, asObject(prefix));
  return null;
}

function some(members: readonly unknown[], value: string | number): Truth {
  let found: Truth = false;
  for (const member of members) {
    const fitsOne = fitsAny(value, member);
    if (fitsOne) return true;
    if (fitsOne === null) found = null;
  }
  return found;
}

const PROTOCOL_NUMBERS: Record<string, number> = { igmp: 2, udp: 17 };

function fits(value: string | number, right: unknown): Truth {
  if (typeof right === 'string' && right.startsWith('@')) return null;
  if (typeof right === 'string' && right.endsWith('*')) {
    return String(value).startsWith(right.slice(0, -1));
  }
  return value === right || PROTOCOL_NUMBERS[value] === right;
}

/** An IPv4 address as a number; null for anything else. */
function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  const parts = String(value).split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part < 256))) return null;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function within(value: string | number, from: unknown, to: unknown): Truth {
  const [at, low, high] = [value, from, to].map(numberOf);
  if (at == null || low == null || high == null) return null;
  return at >= low && at <= high;
}

function hasPrefix(value: string | number, { addr, len }: Loose): Truth {
  const [at, base] = [value, addr].map(numberOf);
  if (at == null || base == null || typeof len !== 'number') return null;
  const size = 2 ** (32 - len);
  return Math.floor(at / size) === Math.floor(base / size);
}
