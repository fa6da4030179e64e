/** One server, several clients: every copy is byte-exact, on every path a packet can take. */

import assert from 'node:assert/strict';
import { copyToAll, labTest } from './lab.js';
import { checkFilesystem, sha256OfFile } from './scratch.js';

const mebibyte = 1 << 20;

labTest('four clients get a sound filesystem at once', 5, async (lab) => {
  const image = lab.scratch.ext4Image('disk.img', 64 * mebibyte, 40 * mebibyte);
  const { server, clients } = await copyToAll(lab, image);
  const digest = await sha256OfFile(image);
  for (const [index, client] of clients.entries()) {
    const copy = lab.copyPath(index + 2);
    checkFilesystem(copy);
    assert.equal(await sha256OfFile(copy), digest);
    assert.equal(client.last('proven').mapId, server.last('prepared').mapId);
  }
  assert.equal(server.last('ended').doneCount, 4);
});

labTest('plain sockets and trains mix on both sides', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 * mebibyte + 5);
  const plain = ['--no-offload'];
  await copyToAll(lab, image, plain);
  lab.scratch.remove(lab.copyPath(2), lab.copyPath(3));
  await copyToAll(lab, image, [], plain);
  lab.scratch.remove(lab.copyPath(2), lab.copyPath(3));
  const clients = [lab.startClient(2, plain), lab.startClient(3)];
  const server = lab.startServer(['-f', image, '--exit-after', '2']);
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  for (const number of [2, 3]) lab.scratch.assertCopy(lab.copyPath(number), image);
});

for (const path of [[], ['--no-offload'], ['-g', 'ff15::7:2']]) {
  labTest(
    `a client on the server's own machine, beside others ${path.join(' ')}`,
    2,
    async (lab) => {
      const image = lab.scratch.randomFile('disk.img', 4 * mebibyte + 3);
      const server = lab.startServer(['-f', image, '--exit-after', '2', ...path]);
      const clients = [lab.startClient(1, path), lab.startClient(2, path)];
      await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
      for (const number of [1, 2]) lab.scratch.assertCopy(lab.copyPath(number), image);
    },
  );
}

for (const path of [[], ['--no-offload']]) {
  labTest(
    `nothing comes back to a server's machine that has no clients ${path.join(' ')}`,
    2,
    async (lab) => {
      const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
      await copyToAll(lab, image, path);
      const looking = lab.world.host(1).start('cat', ['/proc/net/netstat']);
      await looking.waitStatus(0);
      const [names, values] = looking.lines
        .filter((line) => line.startsWith('IpExt:'))
        .map((line) => line.split(' '));
      const bytesHeard = Number(values![names!.indexOf('InMcastOctets')]);
      assert(bytesHeard < mebibyte, `${bytesHeard} bytes came back`);
    },
  );
}

labTest('an IPv6 group, found by multicast and by address', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte + 1);
  const group = ['-g', 'ff15::7:1'];
  const clients = [
    lab.startClient(2, group),
    lab.startClient(3, [...group, '-s', lab.world.host(1).address6]),
  ];
  const server = lab.startServer(['-f', image, '--exit-after', '2', ...group]);
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  for (const number of [2, 3]) lab.scratch.assertCopy(lab.copyPath(number), image);
});

labTest('other ports, another group, a server named by its address', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const common = ['-g', '239.7.7.7', '-p', '17001'];
  const client = lab.startClient(2, [...common, '-s', `${lab.world.host(1).address}:7555`]);
  const server = lab.startServer(['-f', image, '--exit-after', '1', ...common, '-s', '7555']);
  await Promise.all([server.waitStatus(0), client.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(2), image);
});

labTest(
  'jumbo frames carry jumbo blocks',
  3,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 16 * mebibyte + 3);
    const { server } = await copyToAll(lab, image);
    const { blockSizeBytes } = server.last('serving');
    assert.ok(blockSizeBytes > 8000 && blockSizeBytes < 9000, `${blockSizeBytes}`);
    lab.scratch.remove(lab.copyPath(2), lab.copyPath(3));
    const small = await copyToAll(lab, image, [], ['--mtu', '1500']);
    assert.ok(small.server.last('serving').blockSizeBytes < 1500);
  },
  9000,
);
