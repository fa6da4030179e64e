/** Faults made in a laboratory: the doctor names each of them first, and none where all is well. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Capture } from '../lab/capture.js';
import { type Lab, labTest } from '../lab/lab.js';
import { RunningProcess } from '../lab/running.js';
import { runTool } from '../lab/tools.js';
import type { Host } from '../lab/world.js';

const SERVER_PORT_HEX = ':1D4C';
const GROUP = '225.0.20.10';
const STAY = ['--stay', '120'];

interface Found {
  /** What is wrong, causes first. */
  wrong: string[];
  /** What was found, and what mends it, by check. */
  text: Record<string, string>;
}

const ip = (host: Host, ...args: string[]) => runTool('ip', ['-n', host.namespace, ...args]);
const inHost = (host: Host, tool: string, args: string[], input = '') =>
  runTool('ip', ['netns', 'exec', host.namespace, tool, ...args], input);
const inBridge = (host: Host, tool: string, args: string[], input = '') =>
  runTool('ip', ['netns', 'exec', host.bridgeNamespace, tool, ...args], input);

const programPath = (name: string): string =>
  fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));

/** Starts the doctor of a program on a host. */
function startDoctor(
  host: Host,
  name: 'multiserver' | 'multiclient',
  args: string[],
  environment: Record<string, string> = {},
): RunningProcess {
  const words = [programPath(name), '--doctor', '--json', ...args];
  const command = host.command(process.execPath, words);
  return host.adopt(new RunningProcess(...command, { environment }));
}

/** A port is taken by then. */
async function untilBound(host: Host): Promise<void> {
  const isBound = () => inHost(host, 'cat', ['/proc/net/udp']).includes(`${SERVER_PORT_HEX} `);
  while (!isBound()) await sleep(50);
}

/** Starts the doctor of a server, which answers until the lab ends. */
async function answerOn(host: Host, args: string[] = []): Promise<RunningProcess> {
  const doctor = startDoctor(host, 'multiserver', ['-i', 'e0', ...STAY, ...args]);
  await untilBound(host);
  return doctor;
}

function foundBy(doctor: RunningProcess): Found {
  const found: Found = { wrong: [], text: {} };
  for (const line of doctor.lines) {
    const { event, id, verdict, finding, remedy } = JSON.parse(line);
    if (event !== 'check') continue;
    if (verdict === 'wrong') found.wrong.push(id);
    found.text[id] = `${finding}; ${remedy}`;
  }
  return found;
}

/** What the client's doctor on the second host says. */
async function ask(
  lab: Lab,
  args: string[] = ['-i', 'e0'],
  environment: Record<string, string> = {},
): Promise<Found> {
  const doctor = startDoctor(lab.world.host(2), 'multiclient', args, environment);
  const { status } = await doctor.waitExit();
  const found = foundBy(doctor);
  assert.ok(Object.keys(found.text).length > 20, doctor.describe());
  assert.equal(status, found.wrong.length === 0 ? 0 : 17, doctor.describe());
  return found;
}

function assertFirst(found: Found, id: string, text: RegExp): void {
  assert.equal(found.wrong[0], id, JSON.stringify(found.text));
  assert.match(found.text[id]!, text);
}

const dropRule = (hook: string, what: string, family = 'inet') =>
  `table ${family} in { chain c { type filter hook ${hook} priority 0; ${what} drop; }; }\n`;

labTest('a healthy lab: neither doctor names anything', 2, async (lab) => {
  const server = startDoctor(lab.world.host(1), 'multiserver', ['-i', 'e0']);
  await untilBound(lab.world.host(1));
  const found = await ask(lab, ['-i', 'e0', '-o', lab.copyPath(2)]);
  assert.deepEqual(found.wrong, []);
  assert.match(found.text.loss!, /0 % at 10 Mbit\/s/);
  assert.match(found.text.target!, /room for/);
  await server.waitStatus(0);
  assert.match(foundBy(server).text.server!, /10\.77\.0\.2/);
});

labTest('a running server answers as well, and is not disturbed', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 << 20);
  const server = lab.startServer(['-f', image, '--rate', '20M', '--exit-after', '1']);
  await server.waitFor('serving');
  const client = lab.startClient(2);
  const found = await ask(lab);
  assert.deepEqual(found.wrong, []);
  assert.match(found.text.server!, /'disk\.img' at 10\.77\.0\.1/);
  await Promise.all([client.waitStatus(0), server.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(2), image);
});

labTest('a server with a key answers, and does not say what it has', 2, async (lab) => {
  const key = lab.scratch.path('lab.secret');
  await lab.startServer(['--new-key', key]).waitStatus(0);
  const image = lab.scratch.randomFile('exam.img', 48 << 20);
  const sealed = ['--key', key];
  const capture = await Capture.start(lab.world.host(1));
  const server = lab.startServer(['-f', image, '--rate', '20M', '--exit-after', '1', ...sealed]);
  await server.waitFor('serving');
  const client = lab.startClient(2, sealed);
  const found = await ask(lab, ['-i', 'e0', ...sealed]);
  assert.deepEqual(found.wrong, []);
  assertFirst(await ask(lab), 'key', /has a key, and none is given here; .*--key FILE/);
  const other = lab.scratch.path('other.secret');
  await lab.startServer(['--new-key', other]).waitStatus(0);
  const asked = await ask(lab, ['-i', 'e0', '--key', other]);
  assertFirst(asked, 'key', /has another key than the one in .*other\.secret/);
  assert.match(found.text.server!, /a server with a key at 10\.77\.0\.1/);
  assert.doesNotMatch(JSON.stringify(found.text), /exam/);
  await Promise.all([client.waitStatus(0), server.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(2), image);
  assert.ok(!(await capture.stop()).includes('exam.img'));
});

labTest('a firewall that drops the group at the client', 2, async (lab) => {
  await answerOn(lab.world.host(1));
  const host = lab.world.host(2);
  inHost(host, 'nft', ['-f', '-'], dropRule('input', 'udp dport 16000'));
  const found = await ask(lab);
  assertFirst(found, 'firewall', /'udp dport 16000 drop' in chain c of table inet in/);
  const command = found.text.firewall!.split('; ').at(-1)!;
  assert.match(
    command,
    /^nft insert rule inet in c ip daddr 225\.0\.20\.10 udp dport 16000 accept$/,
  );
  // The command that it names mends it.
  inHost(host, 'nft', command.split(' ').slice(1));
  assert.deepEqual((await ask(lab)).wrong, []);
});

labTest('another group or port than the server has', 2, async (lab) => {
  const image = lab.scratch.randomFile('lab.img', 100_000);
  await lab.startServer(['-f', image]).waitFor('serving');
  for (const wrong of [
    ['-g', '225.0.20.11'],
    ['-s', '7501'],
  ]) {
    const found = await ask(lab, ['-i', 'e0', ...wrong]);
    assertFirst(found, 'agreement', /'lab\.img' at 10\.77\.0\.1 does at the usual ones; leave -s/);
  }
});

labTest('unicast answers that are dropped, here and on the way', 2, async (lab) => {
  await answerOn(lab.world.host(1));
  const host = lab.world.host(2);
  inHost(host, 'nft', ['-f', '-'], dropRule('input', 'udp sport 7500'));
  assertFirst(await ask(lab), 'firewall', /'udp sport 7500 drop'.*answers from port 7500/);
  inHost(host, 'nft', ['delete', 'table', 'inet', 'in']);
  inBridge(host, 'nft', ['-f', '-'], dropRule('forward', 'udp sport 7500', 'bridge'));
  assertFirst(await ask(lab), 'unicast', /no unicast answer arrives; let in UDP from 10\.77\.0\.1/);
});

labTest('a path that takes 1400 bytes', 2, async (lab) => {
  const host = lab.world.host(2);
  await answerOn(lab.world.host(1));
  runTool('ip', ['-n', host.bridgeNamespace, 'link', 'set', host.bridgePort, 'mtu', '1400']);
  // A bridge grants four bytes more, for a VLAN's tag.
  assertFirst(
    await ask(lab),
    'mtu',
    /have 1500 bytes; up to 140[04] arrive; multiserver --mtu 140/,
  );
});

labTest('the wrong interface, and no route', 2, async (lab) => {
  const host = lab.world.host(2);
  await answerOn(lab.world.host(1));
  ip(host, 'link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'other1');
  ip(host, 'addr', 'add', '10.99.0.2/24', 'dev', 'other');
  for (const end of ['other', 'other1']) ip(host, 'link', 'set', end, 'up');
  assertFirst(await ask(lab, ['-i', 'other']), 'interface', /on e0 \(10\.77\.0\.1\); .*-i e0$/);
  assertFirst(await ask(lab, ['-i', 'e9']), 'interface', /no interface e9/);
  ip(host, 'route', 'del', '224.0.0.0/4');
  assertFirst(await ask(lab, []), 'route', /ip route add 224\.0\.0\.0\/4 dev e0/);
});

labTest('IGMP snooping without a querier; with one, nothing is named', 2, async (lab) => {
  const host = lab.world.host(2);
  await answerOn(lab.world.host(1));
  const bridge = ['-n', host.bridgeNamespace, 'link', 'set', 'br0', 'type', 'bridge'];
  runTool('ip', [...bridge, 'mcast_snooping', '1']);
  // Like most switches: what nobody asked for goes nowhere.
  inBridge(host, 'bridge', ['link', 'set', 'dev', host.bridgePort, 'mcast_flood', 'off']);
  const found = await ask(lab);
  assertFirst(found, 'snooping', /no querier was heard.*mcast_querier 1/);
  const querier = ['mcast_querier', '1', 'mcast_query_response_interval', '50'];
  runTool('ip', [...bridge, ...querier]);
  // A new querier counts once its first response interval is over.
  let later = await ask(lab);
  for (let tries = 0; tries < 5 && later.wrong.length > 0; tries++) later = await ask(lab);
  assert.deepEqual(later.wrong, []);
  assert.match(later.text.snooping!, /a querier asks who listens/);
});

labTest('a strict rp_filter with a route back by another interface', 2, async (lab) => {
  const [first, host] = [lab.world.host(1), lab.world.host(2)];
  ip(first, 'addr', 'add', '10.88.0.1/24', 'dev', 'e0');
  ip(first, 'addr', 'del', `${first.address}/24`, 'dev', 'e0');
  await answerOn(first);
  ip(host, 'link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'other1');
  for (const end of ['other', 'other1']) ip(host, 'link', 'set', end, 'up');
  ip(host, 'route', 'add', '10.88.0.0/24', 'dev', 'other');
  inHost(host, 'sysctl', ['-qw', 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.e0.rp_filter=1']);
  assertFirst(await ask(lab), 'reverse-path', /dropped; sysctl -w .*e0\.rp_filter=2$/);
});

labTest('a small receive buffer', 2, async (lab) => {
  await answerOn(lab.world.host(1));
  // The system's limit holds for all namespaces, so the program is kept from asking for more.
  const limit = lab.scratch.path('limit.cjs');
  writeFileSync(
    limit,
    `const { Socket } = require('node:dgram');
    const ask = Socket.prototype.setRecvBufferSize;
    Socket.prototype.setRecvBufferSize = function () { ask.call(this, 212992); };\n`,
  );
  const environment = { NODE_OPTIONS: `--require ${limit}` };
  const found = await ask(lab, ['-i', 'e0', '--no-offload'], environment);
  assertFirst(found, 'buffer', /0\.2 MiB.*sysctl -w net\.core\.rmem_max=67108864/);
});

labTest('a foreign server, and one that sends to another group', 3, async (lab) => {
  await answerOn(lab.world.host(1));
  const foreign = await answerOn(lab.world.host(3));
  const found = await ask(lab);
  assertFirst(found, 'other-servers', /2 answer here: .*10\.77\.0\.[13].*10\.77\.0\.[13]/);
  foreign.kill('SIGTERM');
  await foreign.exited;
  const other = startDoctor(lab.world.host(3), 'multiserver', ['-i', 'e0']);
  await other.waitStatus(17);
  assert.deepEqual(foundBy(other).wrong, ['other-servers']);
  await answerOn(lab.world.host(3), ['-g', '225.0.20.11']);
  const elsewhere = await ask(lab, ['-i', 'e0', '-s', lab.world.host(3).address]);
  assertFirst(elsewhere, 'agreement', /225\.0\.20\.11 port 16000; start with -g 225\.0\.20\.11/);
});

labTest('a port that is taken, and no server at all', 2, async (lab) => {
  const host = lab.world.host(1);
  const script = "require('dgram').createSocket('udp4').bind(7500)";
  const holder = host.start(process.execPath, ['-e', script]);
  await untilBound(host);
  const doctor = startDoctor(host, 'multiserver', ['-i', 'e0']);
  await doctor.waitStatus(17);
  assertFirst(foundBy(doctor), 'port', new RegExp(`7500 is taken by .*process ${holder.pid}`));
  const found = await ask(lab);
  assert.deepEqual(found.wrong, ['server']);
  assert.match(found.text.server!, new RegExp(`nobody answers at the group ${GROUP}`));
});

labTest('a copy that stalls is explained unasked, on both sides', 2, async (lab) => {
  const [first, host] = [lab.world.host(1), lab.world.host(2)];
  const image = lab.scratch.randomFile('disk.img', 32 << 20);
  const toPort = ['-n', host.bridgeNamespace, 'link', 'set', host.bridgePort];
  runTool('ip', [...toPort, 'mtu', '1400']);
  // A train crosses the bridge as one piece, whatever its packets measure.
  const server = lab.startServer(['-f', image, '--rate', '20M', '--no-offload']);
  const client = lab.startClient(2);
  const stalls = /nothing of the image arrives: .* up to 140[04] arrive; multiserver --mtu 140/;
  await client.waitFor('notice', ({ text }) => stalls.test(text));
  runTool('ip', [...toPort, 'mtu', '1500']);
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 1000);
  inHost(first, 'nft', ['-f', '-'], dropRule('input', 'udp dport 7500'));
  const unheard = /clients are not heard any more: 'udp dport 7500 drop' in chain c/;
  await server.waitFor('notice', ({ text }) => unheard.test(text));
  inHost(first, 'nft', ['delete', 'table', 'inet', 'in']);
  await client.waitStatus(0);
  lab.scratch.assertCopy(lab.copyPath(2), image);
});

labTest('a copy that stalls in its midst: no carrier, then no server', 2, async (lab) => {
  const host = lab.world.host(2);
  const image = lab.scratch.randomFile('disk.img', 64 << 20);
  const server = lab.startServer(['-f', image, '--rate', '20M']);
  const client = lab.startClient(2);
  const toPort = ['-n', host.bridgeNamespace, 'link', 'set', host.bridgePort];
  const began = (least: number) =>
    client.waitFor('progress', ({ progress }) => progress.blocksReceived > least);
  await began(2000);
  runTool('ip', [...toPort, 'down']);
  const unplugged = /^nothing more of the image arrives: e0 has no carrier; look at its cable/;
  await client.waitFor('notice', ({ text }) => unplugged.test(text));
  runTool('ip', [...toPort, 'up']);
  await began(5000);
  server.kill('SIGKILL');
  const gone = /^the server at 10\.77\.0\.1 does not answer any more; it is waited for$/;
  await client.waitFor('notice', ({ text }) => gone.test(text));
  lab.startServer(['-f', image, '--exit-after', '1']);
  await client.waitStatus(0);
  lab.scratch.assertCopy(lab.copyPath(2), image);
});
