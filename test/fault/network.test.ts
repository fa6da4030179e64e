/** Networks that go away, machines that stand still, servers that do not come back. */

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, labTest } from '../lab/lab.js';
import { type ClientProgram, startClient, startServer } from '../lab/programs.js';
import { runTool } from '../lab/tools.js';
import type { Host } from '../lab/world.js';
import { Tally } from './tally.js';

const mebibyte = 1 << 20;
const sizeBytes = 16 * mebibyte + 77;
const rate = ['--rate', '100M'];

/** The transfer is under way. */
async function underWay(client: ClientProgram): Promise<void> {
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 2000);
}

function setInterfaceUp(host: Host, isUp: boolean): void {
  runTool('ip', ['-n', host.namespace, 'link', 'set', 'e0', isUp ? 'up' : 'down']);
  // The kernel forgets routes with the interface; who configures networks puts them back.
  if (isUp) {
    runTool('ip', ['-n', host.namespace, 'route', 'replace', '224.0.0.0/4', 'dev', 'e0']);
  }
}

/** A fault that lasts for a while, in the middle of a transfer that ends well all the same. */
function outageTest(
  name: string,
  lastsMs: number,
  begin: (lab: Lab, client: ClientProgram, serverPid: number) => void,
  end: (lab: Lab, client: ClientProgram, serverPid: number) => Promise<void> | void,
  clientOptions: string[] = [],
): void {
  labTest(name, 2, async (lab) => {
    const tally = new Tally();
    const image = lab.scratch.randomFile('disk.img', sizeBytes);
    const server = lab.startServer(['-f', image, ...rate, '--exit-after', '1']);
    const client = lab.startClient(2, clientOptions);
    await underWay(client);
    begin(lab, client, server.pid);
    tally.faults += 1;
    await sleep(lastsMs);
    assert.equal(client.exit, null, 'it waits');
    await end(lab, client, server.pid);
    await Promise.all([client.waitStatus(0), server.waitStatus(0)]);
    for (const program of [client, server]) tally.take(program);
    tally.compare(lab.copyPath(2), image);
    tally.print(name);
  });
}

outageTest(
  "the server's cable is pulled, then the client's",
  1200,
  ({ world }) => world.host(1).setConnected(false),
  async ({ world }) => {
    world.host(1).setConnected(true);
    world.host(2).setConnected(false);
    await sleep(1200);
    world.host(2).setConnected(true);
  },
);

outageTest(
  "the server's interface is taken down and up, then the client's",
  400,
  ({ world }) => setInterfaceUp(world.host(1), false),
  async ({ world }) => {
    setInterfaceUp(world.host(1), true);
    setInterfaceUp(world.host(2), false);
    await sleep(400);
    setInterfaceUp(world.host(2), true);
  },
);

for (const [path, options] of [
  ['through the C library', []],
  ['through Node', ['--no-offload']],
] as const) {
  outageTest(
    `the client's network adapter is pulled and plugged in again, ${path}`,
    400,
    ({ world }) => world.host(2).unplug(),
    ({ world }) => world.host(2).plugIn(),
    [...options],
  );

  labTest(
    `the server's network adapter, ${path}, and a client that comes later`,
    3,
    async (lab) => {
      const tally = new Tally();
      const image = lab.scratch.randomFile('disk.img', sizeBytes);
      const server = lab.startServer(['-f', image, ...rate, ...options, '--exit-after', '2']);
      const client = lab.startClient(2, [...options]);
      await underWay(client);
      lab.world.host(1).unplug();
      tally.faults += 1;
      lab.world.host(1).plugIn();
      await server.waitFor('notice', ({ text }) =>
        text.includes('had lost group 225.0.20.10 on interface e0'),
      );
      const late = lab.startClient(3, [...options]);
      await Promise.all([client, late, server].map((program) => program.waitStatus(0)));
      for (const host of [2, 3]) tally.compare(lab.copyPath(host), image);
      tally.print("the server's network adapter");
    },
  );
}

outageTest(
  'the client stands still a little longer than it would wait for a server',
  2500,
  (_lab, client) => client.kill('SIGSTOP'),
  (_lab, client) => client.kill('SIGCONT'),
  ['--give-up', '1'],
);

outageTest(
  'the client is suspended, for longer than it would wait for a server',
  5500,
  (_lab, client) => client.kill('SIGSTOP'),
  (_lab, client) => client.kill('SIGCONT'),
  ['--give-up', '2'],
);

outageTest(
  'the server stands still for some time',
  1500,
  (_lab, _client, pid) => process.kill(pid, 'SIGSTOP'),
  (_lab, _client, pid) => {
    process.kill(pid, 'SIGCONT');
  },
);

labTest('a server that is gone for good: --give-up, and later the rest', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const server = lab.startServer(['-f', image, ...rate]);
  const client = lab.startClient(2, ['--give-up', '1']);
  await underWay(client);
  server.kill('SIGKILL');
  tally.faults += 1;
  await client.waitStatus(5);
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false, 'nothing is claimed');
  const again = lab.startClient(2);
  lab.startServer(['-f', image]);
  await again.waitStatus(0);
  assert.ok(again.last('proven').progress.keptBytes > 0, 'what had come is used');
  tally.compare(lab.copyPath(2), image);
  tally.print('server gone');
});

labTest('wall clocks that jump by days change nothing', 3, async ({ world, scratch, copyPath }) => {
  const tally = new Tally();
  const image = scratch.randomFile('disk.img', sizeBytes);
  const clock = new URL('./jumping-clock.js', import.meta.url).href;
  const options = { environment: { NODE_OPTIONS: `--import=${clock}` } };
  const args = ['-f', image, ...rate, '--exit-after', '2'];
  const server = startServer(world.host(1), args, options);
  const clients = [2, 3].map((host) =>
    startClient(world.host(host), ['-o', copyPath(host)], options),
  );
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  for (const host of [2, 3]) tally.compare(copyPath(host), image);
  const times = clients[0]!.events.map(({ timeMs }) => timeMs);
  tally.faults += times.filter((timeMs, i) => i > 0 && timeMs < times[i - 1]!).length;
  assert.ok(tally.faults > 0, 'the clock went back');
  tally.print('jumping clocks');
});
