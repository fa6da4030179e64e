/** Images that change, shrink or are exchanged while they are served. */

import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onCleanup } from '../lab/cleanup.js';
import { type Lab, labTest } from '../lab/lab.js';
import type { ClientProgram, ServerProgram } from '../lab/programs.js';
import { runTool } from '../lab/tools.js';
import { overwrite } from './damage.js';
import { Tally } from './tally.js';

const mebibyte = 1 << 20;
const sizeBytes = 16 * mebibyte;
const rate = ['--rate', '60M'];
const mappedWriterPath = fileURLToPath(new URL('./mapped-writer.js', import.meta.url));

async function underWay(lab: Lab, image: string, options: string[] = []) {
  const server = lab.startServer(['-f', image, ...rate]);
  const client = lab.startClient(2, options);
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 2000);
  return { server, client };
}

function assertNothingClaimed(lab: Lab, client: ClientProgram): void {
  assert.equal(client.all('proven').length, 0);
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false);
}

const damages: Record<string, (image: string) => void> = {
  'cut short': (image) => truncateSync(image, 9 * mebibyte + 1),
  'longer than it was': (image) => truncateSync(image, sizeBytes + 4096),
  'written to where it is yet to be sent': (image) => overwrite(image, 14 * mebibyte, 1000),
  'written to where it was sent': (image) => overwrite(image, 100_000, 1000),
};

for (const [what, damage] of Object.entries(damages)) {
  labTest(`an image that is ${what}: both fail, and say why`, 2, async (lab) => {
    const tally = new Tally();
    const image = lab.scratch.randomFile('disk.img', sizeBytes);
    const { server, client } = await underWay(lab, image);
    damage(image);
    tally.faults += 1;
    await Promise.all([server.waitStatus(4), client.waitStatus(4)]);
    assert.equal(server.last('error').code, 'SOURCE_CHANGED');
    assert.equal(client.last('error').code, 'SOURCE_CHANGED');
    assertNothingClaimed(lab, client);
    // As it is now it can be served; what is there of the old one does no harm.
    lab.startServer(['-f', image]);
    await lab.startClient(2).waitStatus(0);
    tally.compare(lab.copyPath(2), image);
    tally.print(`image ${what}`);
  });
}

/** Ends the server and starts another one at once, with another image. */
async function exchange(lab: Lab, server: ServerProgram, tally: Tally): Promise<string> {
  server.kill('SIGKILL');
  await server.exited;
  tally.faults += 1;
  const other = lab.scratch.randomFile('other.img', sizeBytes - 999);
  lab.startServer(['-f', other]);
  return other;
}

labTest('a server that comes back with another image ends the client', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const { server, client } = await underWay(lab, image);
  await exchange(lab, server, tally);
  await client.waitStatus(6);
  assertNothingClaimed(lab, client);
  tally.print('another image');
});

labTest('with --follow, the client starts anew with the other image', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const { server, client } = await underWay(lab, image, ['--follow']);
  const other = await exchange(lab, server, tally);
  await client.waitStatus(0);
  tally.compare(lab.copyPath(2), other);
  tally.print('another image, followed');
});

labTest(
  'a client that follows image after image keeps nothing open of those before',
  2,
  async (lab) => {
    const held: string[][] = [];
    const client = lab.startClient(2, ['--follow']);
    for (let image = 0; image < 3; image++) {
      const size = sizeBytes - image * mebibyte;
      const path = lab.scratch.randomFile(`disk${image}.img`, size);
      const server = lab.startServer(['-f', path, ...rate]);
      await client.waitFor(
        'progress',
        ({ progress }) => progress.sizeBytes === size && progress.blocksReceived > 1000,
      );
      held.push(readdirSync(`/proc/${client.pid}/fd`));
      server.kill('SIGKILL');
      await server.exited;
    }
    assert.equal(held[2]!.length, held[1]!.length, held.join(' | '));
    client.kill('SIGTERM');
    await client.exited;
    assert.doesNotMatch(client.stderr, /MaxListeners/);
  },
);

labTest('the same name and size, but other content: no mixture is claimed', 2, async (lab) => {
  const tally = new Tally();
  const image = lab.scratch.randomFile('disk.img', sizeBytes);
  const { server, client } = await underWay(lab, image);
  server.kill('SIGKILL');
  await server.exited;
  tally.faults += 1;
  overwrite(image, 5 * mebibyte, 1000);
  lab.startServer(['-f', image]);
  const { status } = await client.waitExit();
  // It ends with an error when it knew the old map, and with the new image when it did not.
  if (status === 0) tally.compare(lab.copyPath(2), image);
  else assertNothingClaimed(lab, client);
  assert.ok(status === 0 || status === 6, client.describe());
  tally.print('same name, other content', `exit status ${status}`);
});

function startMappedWriter(lab: Lab, image: string) {
  const writer = lab.world.host(1).start(process.execPath, [mappedWriterPath, image]);
  const said = (word: string) =>
    writer.waitUntil(`'${word}'`, () => writer.lines.includes(word) || undefined);
  return { writer, said };
}

labTest('what a program stores through mapped memory is noticed', 2, async (lab) => {
  const tally = new Tally();
  const disk = lab.scratch.ext4Image('ext4.disk', 64 * mebibyte, mebibyte);
  const folder = lab.scratch.makeFolder('ext4');
  runTool('mount', [lab.scratch.loopDevice(disk), folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  try {
    const image = join(folder, 'disk.img');
    copyFileSync(lab.scratch.randomFile('disk.img', sizeBytes), image);
    const { writer, said } = startMappedWriter(lab, image);
    await said('dirty');
    const { server, client } = await underWay(lab, image);
    await server.waitFor('prepared');
    // The page is dirty since long; it was read, and nobody will read it again.
    writer.kill('SIGUSR2');
    await said('stored');
    tally.faults += 1;
    await Promise.all([server.waitStatus(4), client.waitStatus(4)]);
    assert.equal(server.last('error').code, 'SOURCE_CHANGED');
    assertNothingClaimed(lab, client);
    writer.kill('SIGKILL');
    await writer.exited;
    tally.print('stores through mapped memory');
  } finally {
    await lab.world.host(1).killAll();
    unmount();
  }
});

labTest('in memory, where no such store is dated, nobody else may write', 2, async (lab) => {
  const image = '/dev/shm/multiserver-mapped.img';
  copyFileSync(lab.scratch.randomFile('disk.img', sizeBytes), image);
  try {
    const { writer, said } = startMappedWriter(lab, image);
    await said('dirty');
    const refused = lab.startServer(['-f', image]);
    await refused.waitStatus(4);
    assert.equal(refused.last('error').code, 'BUSY');
    assert.match(refused.last('error').message, /open for writing by another program/);
    const forced = lab.startServer(['-f', image, '--force']);
    await forced.waitFor('serving');
    forced.kill('SIGTERM');
    writer.kill('SIGKILL');
    await Promise.all([forced.exited, writer.exited]);
    // One that comes later ends the service.
    const { server, client } = await underWay(lab, image);
    await startMappedWriter(lab, image).said('dirty');
    await Promise.all([server.waitStatus(4), client.waitStatus(4)]);
    assertNothingClaimed(lab, client);
  } finally {
    rmSync(image);
    rmSync(`${image}.blockmap`, { force: true });
  }
});
