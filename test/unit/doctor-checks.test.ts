import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CheckId, firstCause, QUESTIONS } from '../../src/doctor/check.js';
import { examine } from '../../src/doctor/examine.js';
import { type Facts, isKnown, type LinkFacts } from '../../src/doctor/facts.js';
import { checkLines, failureOf } from '../../src/doctor/report.js';
import { readCheckout } from './checkout.js';
import { soundFacts } from './doctor-facts.js';
import { tableBelow } from './protocol-tables.js';

const linkOf = ({ link }: Facts): LinkFacts => {
  assert(isKnown(link));
  return link;
};

test('where all is well, nothing is wrong, and every check has its say once', () => {
  for (const role of ['client', 'server'] as const) {
    const facts = soundFacts(role);
    if (role === 'server') facts.path!.servers = [];
    const checks = examine(facts);
    assert.equal(firstCause(checks), null);
    assert.equal(failureOf(checks), null);
    const ids = Object.keys(QUESTIONS).filter((id) => role === 'client' || id !== 'target');
    assert.deepEqual(
      checks.map(({ id }) => id),
      ids,
    );
    for (const { verdict, remedy } of checks) assert.equal(remedy, null, verdict);
  }
});

/** What is made wrong, which check is to be the first to say so, and what it says. */
const FAULTS: [CheckId, RegExp, (facts: Facts) => void][] = [
  [
    'interface',
    /no interface eth9.*-i eth0/,
    (facts) => {
      facts.wanted.interface = 'eth9';
      facts.link = { why: 'there is no interface eth9' };
    },
  ],
  [
    'interface',
    /eth0 is down.*ip link set eth0 up/,
    (facts) => {
      Object.assign(linkOf(facts), { isUp: false, hasCarrier: null, addresses: [] });
      facts.path = null;
    },
  ],
  [
    'interface',
    /reached by eth1.*-i eth1/,
    (facts) => {
      facts.wanted.serverHost = '10.0.0.1';
      facts.routes.toServer = 'eth1';
      facts.path!.groupIn.answered = 0;
    },
  ],
  [
    'server',
    /the server at 10\.0\.0\.9 does not answer any more; it is waited for/,
    (facts) => {
      facts.wanted.chosenServer = '10.0.0.9';
    },
  ],
  [
    'key',
    /10\.0\.0\.1 has a key, and none is given here; copy its key file.*--key FILE/,
    (facts) => {
      Object.assign(facts.path!.servers[0]!, { isDoctor: false, name: '' });
    },
  ],
  [
    'key',
    /10\.0\.0\.1 has another key than the one in lab\.key; copy/,
    (facts) => {
      facts.wanted.keyFile = 'lab.key';
      Object.assign(facts.path!.servers[0]!, { isDoctor: false, name: '' });
      facts.path!.key = 'other';
    },
  ],
  [
    'key',
    /in the open, without a key; leave --key out, or start it with multiserver --key lab\.key/,
    (facts) => {
      facts.wanted.keyFile = 'lab.key';
      facts.path!.servers[0]!.isDoctor = false;
    },
  ],
  [
    'carrier',
    /no carrier.*cable/,
    (facts) => {
      Object.assign(linkOf(facts), { hasCarrier: false, addresses: [] });
      facts.path = null;
    },
  ],
  [
    'duplex',
    /100 Mbit\/s, half duplex.*autoneg on/,
    (facts) => {
      Object.assign(linkOf(facts), { duplex: 'half', speedMegabits: 100 });
    },
  ],
  [
    'duplex',
    /10 Mbit\/s.*cable/,
    (facts) => {
      linkOf(facts).speedMegabits = 10;
    },
  ],
  [
    'address',
    /no IPv4 address.*ip address add/,
    (facts) => {
      linkOf(facts).addresses = [];
      facts.path = null;
    },
  ],
  [
    'route',
    /no route leads to 225.*ip route add 224\.0\.0\.0\/4 dev eth0/,
    (facts) => {
      facts.wanted.interface = undefined;
      facts.routes.toGroup = null;
      facts.link = { why: 'none is named' };
      facts.path = null;
    },
  ],
  [
    'route',
    /to the server 10\.9\.0\.1/,
    (facts) => {
      facts.wanted.serverHost = '10.9.0.1';
      facts.routes.toServer = null;
    },
  ],
  [
    'port',
    /16000 is taken by vlc \(process 3\).*-p/,
    (facts) => {
      facts.port = { taken: 16_000, holder: 'vlc (process 3)', option: '-p' };
    },
  ],
  [
    'conntrack',
    /99 of 100.*nf_conntrack_max=200/,
    (facts) => {
      facts.conntrack = { count: 99, most: 100 };
    },
  ],
  [
    'reverse-path',
    /12 packets.*eth0\.rp_filter=2/,
    (facts) => {
      facts.reversePath = { level: 1, droppedCount: 12 };
      facts.path!.servers = [];
    },
  ],
  [
    'membership',
    /does not join/,
    (facts) => {
      facts.isMember = false;
    },
  ],
  [
    'agreement',
    /225\.0\.20\.11 port 16001.*-g 225\.0\.20\.11 -p 16001/,
    (facts) => {
      Object.assign(facts.path!.servers[0]!, { group: '225.0.20.11', port: 16_001 });
    },
  ],
  [
    'agreement',
    /'lab\.img' at 10\.0\.0\.1 does at the usual ones; leave -s PORT out, .* -g 225\.0\.20\.10 -p/,
    (facts) => {
      facts.wanted.serverPort = 7501;
      facts.path!.atUsual = facts.path!.servers.pop()!;
    },
  ],
  [
    'other-servers',
    /2 answer here/,
    (facts) => {
      const [server] = facts.path!.servers;
      facts.path!.servers.push({ ...server!, session: 8n, address: '10.0.0.9' });
    },
  ],
  [
    'strangers',
    /10\.0\.0\.8 sends something else/,
    (facts) => {
      facts.path!.strangers = ['10.0.0.8'];
    },
  ],
  [
    'server',
    /nobody answers.*multiserver --doctor/,
    (facts) => {
      facts.path!.servers = [];
    },
  ],
  [
    'unicast',
    /no unicast answer arrives/,
    (facts) => {
      facts.path!.unicast.answered = 0;
    },
  ],
  [
    'group-out',
    /multiclient -s 10\.0\.0\.1/,
    (facts) => {
      facts.path!.groupOut.answered = 0;
    },
  ],
  [
    'group-out',
    /its stream does not get here, .*; look at multiserver's own -i/,
    (facts) => {
      facts.wanted.serverHost = '10.0.0.1';
      facts.path!.groupOut.answered = 0;
      facts.path!.groupIn.answered = 0;
      facts.path!.groupPacketsIn = 0;
    },
  ],
  [
    'snooping',
    /bridge br0 snoops without a querier.*br0 type bridge mcast_querier 1/,
    (facts) => {
      Object.assign(facts.path!, { groupPacketsIn: 0, groupIn: { sent: 16, answered: 0 } });
      facts.querierHeard = false;
      facts.bridge = { name: 'br0', snoops: true, asks: false };
    },
  ],
  [
    'group-in',
    /network does not carry them here/,
    (facts) => {
      Object.assign(facts.path!, { groupPacketsIn: 0, groupIn: { sent: 16, answered: 0 } });
    },
  ],
  [
    'group-in',
    /though they reach this machine/,
    (facts) => {
      facts.path!.groupIn.answered = 0;
    },
  ],
  [
    'mtu',
    /up to 1400 arrive; .*--mtu 1400/,
    (facts) => {
      facts.path!.mtu!.passedBytes = 1400;
    },
  ],
  [
    'buffer',
    /0\.2 MiB.*rmem_max=67108864/,
    (facts) => {
      facts.buffer!.grantedBytes = 212_992;
    },
  ],
  [
    'loss',
    /50 % at 10 Mbit\/s/,
    (facts) => {
      facts.path!.bursts[0]!.received = 20;
    },
  ],
  [
    'packages',
    /no koffi.*npm install/,
    (facts) => {
      facts.machine.hasNative = false;
    },
  ],
  [
    'machine',
    /64 MiB of memory/,
    (facts) => {
      facts.machine.freeBytes = 64 * 2 ** 20;
    },
  ],
  [
    'target',
    /1\.00 GB; the image has 2\.00 GB/,
    (facts) => {
      facts.path!.servers[0]!.imageSizeBytes = 2e9;
      const guess = { readBytesPerSecond: null, isRotating: null };
      facts.target = { name: '/dev/sdb', kind: 'device', roomBytes: 1e9, ...guess };
    },
  ],
];

for (const [id, text, spoil] of FAULTS) {
  test(`${id} is named first: ${text.source}`, () => {
    const facts = soundFacts();
    spoil(facts);
    const first = firstCause(examine(facts));
    assert.equal(first?.id, id);
    assert.match(`${first?.finding}; ${first?.remedy}`, text);
  });
}

test('loss at high rates only is told, but is not wrong: the server finds the rate', () => {
  const facts = soundFacts();
  facts.path!.bursts.push({ rateBitsPerSecond: 1e9, isMost: false, sent: 100, received: 10 });
  const loss = examine(facts).find(({ id }) => id === 'loss');
  assert.equal(loss?.verdict, 'ok');
  assert.match(loss!.finding, /90 % at 1000 Mbit\/s/);
});

test('a list for people marks each check, and has the remedy below what is wrong', () => {
  const facts = soundFacts();
  facts.isMember = false;
  const checks = examine(facts);
  const lines = checkLines(checks);
  assert.equal(lines.length, checks.length + 1);
  const at = lines.findIndex((line) => line.startsWith('✗'));
  assert.match(lines[at]!, /member of the group\?/);
  assert.match(lines[at + 1]!, /^ {4}mend it: /);
  const failure = failureOf(checks);
  assert.equal(failure?.exitStatus, 17);
  assert.match(failure!.message, /first cause, membership/);
});

test('DOCTOR.md has every check, in their order', () => {
  const rows = tableBelow(readCheckout('docs/DOCTOR.md'), 'The checks');
  assert.deepEqual(
    rows.map(([id]) => id),
    Object.keys(QUESTIONS),
  );
});

test('an interface that is not connected is not said to have no address as well', () => {
  for (const change of [{ isUp: false, hasCarrier: null }, { hasCarrier: false }]) {
    const facts = soundFacts();
    Object.assign(linkOf(facts), { ...change, addresses: [] });
    facts.path = null;
    assert.equal(examine(facts).find(({ id }) => id === 'address')!.verdict, 'unknown');
  }
});
