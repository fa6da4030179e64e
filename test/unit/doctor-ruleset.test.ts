import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Check, firstCause } from '../../src/doctor/check.js';
import { examine } from '../../src/doctor/examine.js';
import { type Fate, fateOf, type Packet, readRuleset } from '../../src/doctor/ruleset.js';
import { soundFacts } from './doctor-facts.js';

const STREAM: Packet = {
  hook: 'input',
  protocol: 'udp',
  isV6: false,
  interface: 'eth0',
  source: null,
  destination: '225.0.20.10',
  sourcePort: null,
  destinationPort: 16_000,
  state: 'new',
  packetType: 'multicast',
};

const field = (protocol: string, name: string) => ({ payload: { protocol, field: name } });
const match = (left: object, right: unknown, op = '==') => ({ match: { op, left, right } });
const dport = (right: unknown, op?: string) => match(field('udp', 'dport'), right, op);
const DROP = { drop: null };
const ACCEPT = { accept: null };

/** As `nft -j list ruleset` prints it: one base chain, and others that are jumped to. */
function listing(rules: object[][], policy = 'accept', inner: object[][] = []): unknown {
  const base = { family: 'inet', table: 't', name: 'c', hook: 'input', prio: 0, policy };
  const of = (chain: string, exprs: object[][]) =>
    exprs.map((expr, i) => ({
      rule: { family: 'inet', table: 't', chain, handle: i + 2, expr },
    }));
  const chain = { family: 'inet', table: 't', name: 'inner' };
  const chains = [{ chain: base }, { chain }];
  return { nftables: [{ metainfo: {} }, ...chains, ...of('c', rules), ...of('inner', inner)] };
}

const fate = (rules: object[][], policy?: string, inner?: object[][]): Fate['fate'] =>
  fateOf(readRuleset(listing(rules, policy, inner), ''), STREAM).fate;

test('conditions on ports, addresses, interfaces and states are understood', () => {
  const prefix = (addr: string, len: number) => ({ prefix: { addr, len } });
  const holding = [
    dport(16_000),
    dport({ set: [7500, 16_000] }),
    dport({ range: [15_000, 17_000] }),
    dport(7500, '!='),
    match(field('ip', 'daddr'), '225.0.20.10'),
    match(field('ip', 'daddr'), prefix('224.0.0.0', 4)),
    match({ meta: { key: 'iifname' } }, 'eth*'),
    match({ meta: { key: 'pkttype' } }, 'multicast'),
    match({ meta: { key: 'l4proto' } }, { set: ['tcp', 'udp'] }),
    match({ ct: { key: 'state' } }, ['new', 'invalid'], 'in'),
  ];
  for (const condition of holding) {
    assert.equal(fate([[condition, DROP]]), 'drop', JSON.stringify(condition));
  }
  const failing = [
    dport(7500),
    dport({ range: [1, 1024] }),
    match(field('tcp', 'dport'), 16_000),
    match(field('ip6', 'daddr'), 'ff15::1'),
    match(field('ip', 'daddr'), prefix('10.0.0.0', 8)),
    match({ meta: { key: 'iifname' } }, 'lo'),
    match({ meta: { key: 'oifname' } }, 'eth0'),
    match({ ct: { key: 'state' } }, ['established', 'related'], 'in'),
  ];
  for (const condition of failing) {
    assert.equal(fate([[condition, DROP]]), 'accept', JSON.stringify(condition));
  }
});

test('what is not understood may drop, but is not said to', () => {
  const involved = [dport('@ports'), { limit: {} }, match({ meta: { key: 'mark' } }, 3)];
  for (const condition of involved) {
    assert.equal(fate([[condition, DROP]]), 'maybe', JSON.stringify(condition));
    assert.equal(fate([[condition, ACCEPT]], 'drop'), 'maybe');
    assert.equal(fate([[condition, ACCEPT]]), 'accept');
  }
  assert.equal(fate([[{ vmap: {} }]], 'drop'), 'maybe');
});

test('the first rule that decides counts; then the policy; jumps come back', () => {
  assert.equal(fate([[dport(16_000), ACCEPT], [DROP]]), 'accept');
  assert.equal(fate([[DROP], [dport(16_000), ACCEPT]]), 'drop');
  assert.equal(fate([], 'drop'), 'drop');
  const jump = [{ jump: { target: 'inner' } }];
  assert.equal(fate([jump], 'accept', [[dport(16_000), DROP]]), 'drop');
  assert.equal(fate([jump], 'drop', [[dport(16_000), ACCEPT]]), 'accept');
  assert.equal(fate([jump, [ACCEPT]], 'drop', [[dport(1), DROP]]), 'accept');
  assert.equal(fate([jump, [DROP]], 'accept', [[{ return: null }], [ACCEPT]]), 'drop');
  // A chain that jumps to itself, which the kernel refuses, ends.
  assert.notEqual(fate([jump], 'accept', [jump]), undefined);
});

/** The check of the firewall, with rules of a client's machine. */
function firewallCheck(rules: object[][], hasHeard: boolean, policy?: string): Check {
  const facts = soundFacts();
  const text = 'table inet t { # handle 1\n\tchain c { # handle 1\n\t\tdrop all # handle 2\n';
  facts.firewall = readRuleset(listing(rules, policy), text);
  if (!hasHeard) facts.path!.groupIn.answered = 0;
  return examine(facts).find(({ id }) => id === 'firewall')!;
}

test('a rule is named with the command that lets the flow pass', () => {
  const { verdict, finding, remedy } = firewallCheck([[dport(16_000), DROP]], false);
  assert.equal(verdict, 'wrong');
  assert.match(finding, /^'drop all' in chain c of table inet t drops the image/);
  assert.equal(remedy, 'nft insert rule inet t c ip daddr 225.0.20.10 udp dport 16000 accept');
});

test('what was seen to pass is not said to be dropped; what may be dropped is named if it is', () => {
  assert.equal(firewallCheck([[dport(16_000), DROP]], true).verdict, 'ok');
  assert.equal(firewallCheck([[dport('@p'), DROP]], true).verdict, 'ok');
  const check = firewallCheck([[dport('@p'), DROP]], false);
  assert.equal(check.verdict, 'wrong');
  assert.match(check.finding, /may drop/);
});

test('a policy is named as such', () => {
  assert.match(firewallCheck([], false, 'drop').finding, /^the policy 'drop' of chain c/);
});

test('property: no listing, however strange, is more than a doubt', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, text) => {
      const odd = { nftables: [{ chain: value }, { rule: value }, value] };
      for (const listed of [value, odd]) {
        const facts = soundFacts();
        facts.firewall = readRuleset(listed, text);
        const first = firstCause(examine(facts));
        assert.ok(first === null || first.id === 'firewall');
      }
    }),
  );
});
