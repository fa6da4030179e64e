/**
 * Interfaces, addresses, switches and firewalls that change under a transfer, or are not as they
 * should be.
 */

import assert from 'node:assert/strict';
import { type Lab, labTest } from '../lab/lab.js';
import { type ClientProgram, startClient, startServer } from '../lab/programs.js';
import { runTool } from '../lab/tools.js';
import type { Host } from '../lab/world.js';

const mebibyte = 1 << 20;
const sizeBytes = 16 * mebibyte;

const inHost = (host: Host, tool: string, args: string[], input = '') =>
  runTool('ip', ['netns', 'exec', host.namespace, tool, ...args], input);
const ip = (host: Host, ...args: string[]) => runTool('ip', ['-n', host.namespace, ...args]);

/** The transfer is under way. */
const underWay = (client: ClientProgram) =>
  client.waitFor('progress', ({ progress }) => progress.blocksReceived > 2000);

async function finish(
  lab: Lab,
  image: string,
  ...programs: { waitStatus(n: number): Promise<unknown> }[]
) {
  await Promise.all(programs.map((program) => program.waitStatus(0)));
  lab.scratch.assertCopy(lab.copyPath(2), image);
}

labTest('a switch that forgets the client is told again', 2, async (lab) => {
  const { bridgeNamespace, bridgePort } = lab.world.host(2);
  // Snooping begins to count once a querier was there for its response interval.
  const snooping = [
    'mcast_snooping',
    '1',
    'mcast_querier',
    '1',
    'mcast_query_response_interval',
    '50',
  ];
  runTool('ip', ['-n', bridgeNamespace, 'link', 'set', 'br0', 'type', 'bridge', ...snooping]);
  const inBridge = ['netns', 'exec', bridgeNamespace, 'bridge'];
  // Like most switches: what nobody asked for goes nowhere.
  runTool('ip', [...inBridge, 'link', 'set', 'dev', bridgePort, 'mcast_flood', 'off']);
  const image = lab.scratch.randomFile('disk.img', 2 * sizeBytes);
  const server = lab.startServer(['-f', image, '--rate', '40M', '--exit-after', '1']);
  const client = lab.startClient(2);
  // By then, the reports are out that the system sends of itself after joining.
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 10_000);
  const group = ['dev', 'br0', 'port', bridgePort, 'grp', '225.0.20.10'];
  runTool('ip', [...inBridge, 'mdb', 'del', ...group]);
  const before = client.last('progress').progress.blocksReceived;
  await client.waitFor('quiet');
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > before + 500);
  await finish(lab, image, client, server);
});

for (const [who, number] of [
  ['server', 1],
  ['client', 2],
] as const) {
  labTest(`the address of the ${who} changes in mid-transfer`, 2, async (lab) => {
    const host = lab.world.host(number);
    const image = lab.scratch.randomFile('disk.img', sizeBytes);
    const server = lab.startServer(['-f', image, '--rate', '40M', '--exit-after', '1']);
    const client = lab.startClient(2);
    await underWay(client);
    ip(host, 'addr', 'flush', 'dev', 'e0');
    ip(host, 'addr', 'add', `10.77.0.${100 + number}/24`, 'brd', '+', 'dev', 'e0');
    ip(host, 'route', 'replace', '224.0.0.0/4', 'dev', 'e0');
    await finish(lab, image, client, server);
  });
}

labTest('an interface that is not ready is waited for, by any of its names', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const [first, second] = [lab.world.host(1), lab.world.host(2)];
  ip(second, 'link', 'property', 'add', 'dev', 'e0', 'altname', 'lan0');
  for (const host of [first, second]) ip(host, 'link', 'set', 'e0', 'down');
  const late = startClient(second, ['-i', 'lan0', '-o', lab.copyPath(2), '--give-up', '1']);
  await late.waitStatus(7);
  assert.equal(late.last('error').code, 'NOT_READY');
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  const client = startClient(second, ['-i', 'lan0', '-o', lab.copyPath(2)]);
  await server.waitFor('notice', ({ text }) => /interface e0 is down/.test(text));
  await client.waitFor('notice', ({ text }) => /interface e0 is down/.test(text));
  second.setConnected(false);
  for (const host of [first, second]) ip(host, 'link', 'set', 'e0', 'up');
  await client.waitFor('notice', ({ text }) => /interface e0 has no carrier/.test(text));
  ip(second, 'addr', 'flush', 'dev', 'e0');
  second.setConnected(true);
  await client.waitFor('notice', ({ text }) => /interface e0 has no IPv4 address/.test(text));
  ip(second, 'addr', 'add', `${second.address}/24`, 'brd', '+', 'dev', 'e0');
  for (const host of [first, second]) ip(host, 'route', 'replace', '224.0.0.0/4', 'dev', 'e0');
  await finish(lab, image, client, server);
});

labTest('a smaller MTU in mid-transfer is said, and the rest goes in fragments', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const server = lab.startServer(['-f', image, '--rate', '40M', '--exit-after', '1']);
  const client = lab.startClient(2);
  await underWay(client);
  ip(lab.world.host(1), 'link', 'set', 'e0', 'mtu', '1000');
  await server.waitFor('notice', ({ text }) => /longer than its MTU/.test(text));
  await finish(lab, image, client, server);
});

labTest('a firewall that forbids sending is named, and its end as well', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const server = lab.startServer(['-f', image, '--rate', '40M', '--exit-after', '1']);
  const client = lab.startClient(2);
  await underWay(client);
  const rules =
    'table inet out { chain c { type filter hook output priority 0; udp dport 16000 drop; }; }\n';
  inHost(lab.world.host(1), 'nft', ['-f', '-'], rules);
  await server.waitFor('notice', ({ text }) =>
    /225\.0\.20\.10 on interface e0.*firewall/.test(text),
  );
  inHost(lab.world.host(1), 'nft', ['delete', 'table', 'inet', 'out']);
  await server.waitFor('notice', ({ text }) => /can be sent again/.test(text));
  await finish(lab, image, client, server);
});

labTest('an MTU above that of the interface is refused', 1, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const server = lab.startServer(['-f', image, '--mtu', '9000']);
  await server.waitStatus(7);
  assert.equal(server.last('error').code, 'MTU_TOO_LARGE');
});

labTest(
  'a server with several addresses: the second one, a second subnet, a management card',
  2,
  async (lab) => {
    const [first, second] = [lab.world.host(1), lab.world.host(2)];
    const image = lab.scratch.randomFile('disk.img', 2 * mebibyte);
    ip(first, 'addr', 'add', '10.88.0.1/24', 'brd', '+', 'dev', 'e0');
    // Another card, which clients reach by the first one.
    ip(first, 'link', 'add', 'mgmt', 'type', 'veth', 'peer', 'name', 'mgmt1');
    ip(first, 'addr', 'add', '10.99.0.1/24', 'dev', 'mgmt');
    for (const end of ['mgmt', 'mgmt1']) ip(first, 'link', 'set', end, 'up');
    ip(second, 'route', 'add', '10.99.0.0/24', 'via', first.address);

    const cases: [server: string[], client: string[], subnet: boolean][] = [
      [['-i', '10.88.0.1'], [], false],
      [[], [], true],
      [[], ['-s', '10.99.0.1'], false],
    ];
    for (const [serverArgs, clientArgs, isOther] of cases) {
      if (isOther) {
        ip(second, 'addr', 'flush', 'dev', 'e0');
        ip(second, 'addr', 'add', '10.88.0.2/24', 'brd', '+', 'dev', 'e0');
        ip(second, 'route', 'replace', '224.0.0.0/4', 'dev', 'e0');
      }
      const server = startServer(first, ['-f', image, '--exit-after', '1', ...serverArgs]);
      const client = lab.startClient(2, clientArgs);
      await finish(lab, image, client, server);
      if (clientArgs.length > 0) assert.equal(client.last('server-found').address, '10.99.0.1');
      lab.scratch.remove(lab.copyPath(2));
      if (!isOther) continue;
      ip(second, 'addr', 'flush', 'dev', 'e0');
      ip(second, 'addr', 'add', `${second.address}/24`, 'brd', '+', 'dev', 'e0');
      ip(second, 'route', 'replace', '224.0.0.0/4', 'dev', 'e0');
      ip(second, 'route', 'replace', '10.99.0.0/24', 'via', first.address);
    }
  },
);

labTest('why nothing arrives is said: a firewall, rp_filter, the network', 2, async (lab) => {
  const [, host] = [lab.world.host(1), lab.world.host(2)];
  const image = lab.scratch.randomFile('disk.img', 2 * mebibyte);
  const server = lab.startServer(['-f', image, '--rate', '20M']);
  await server.waitFor('serving');
  const sees = async (text: RegExp) => {
    const client = lab.startClient(2);
    const notice = await client.waitFor('notice', (event) => text.test(event.text));
    client.kill('SIGINT');
    await client.waitStatus(130);
    assert.match(notice.text, /the server answers, but nothing of the image arrives/);
  };
  const drop = (hook: string) =>
    `table inet in { chain c { type filter hook ${hook} priority 0; udp dport 16000 drop; }; }\n`;
  inHost(host, 'nft', ['-f', '-'], drop('input'));
  await sees(/'udp dport 16000 drop' in chain c .* nft insert rule inet in c .* accept/);
  inHost(host, 'nft', ['delete', 'table', 'inet', 'in']);

  const bridge = ['netns', 'exec', host.bridgeNamespace, 'nft'];
  const rules =
    `table bridge in { chain c { type filter hook forward priority 0; udp dport ` +
    `16000 drop; }; }\n`;
  runTool('ip', [...bridge, '-f', '-'], rules);
  await sees(/IGMP snooping and no querier/);
  runTool('ip', [...bridge, 'delete', 'table', 'bridge', 'in']);

  // The way back to the server's stream leads elsewhere: a strict filter drops it.
  ip(host, 'link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'other1');
  for (const end of ['other', 'other1']) ip(host, 'link', 'set', end, 'up');
  inHost(host, 'sysctl', ['-qw', 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.e0.rp_filter=1']);
  ip(lab.world.host(1), 'addr', 'add', '10.88.0.1/24', 'dev', 'e0');
  ip(host, 'route', 'add', '10.88.0.0/24', 'dev', 'other');
  server.kill('SIGTERM');
  await server.exited;
  const strange = ['-f', image, '-i', '10.88.0.1', '--rate', '20M'];
  await startServer(lab.world.host(1), strange).waitFor('serving');
  await sees(/such packets are dropped; sysctl -w .*rp_filter=2/);
});

labTest(
  'a server whose name cannot be resolved is said at once, and asked for until --give-up',
  2,
  async (lab) => {
    const client = lab.startClient(2, ['-s', 'no-such-host.invalid', '--give-up', '3']);
    await client.waitFor('notice', ({ text }) =>
      /no-such-host\.invalid.*cannot be resolved/.test(text),
    );
    await client.waitStatus(5);
  },
);

labTest('--give-up counts the time without progress, though the server answers', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  lab.startServer(['-f', image]);
  const rules =
    'table inet in { chain c { type filter hook input priority 0; udp dport 16000 drop; }; }\n';
  inHost(lab.world.host(2), 'nft', ['-f', '-'], rules);
  const client = lab.startClient(2, ['--give-up', '3']);
  await client.waitFor('server-found');
  await client.waitStatus(5);
  assert.match(client.last('error').message, /answers, but nothing of its image came/);
});
