/** Real block devices, by way of loop devices, as source and as target. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type Lab, labTest } from './lab.js';
import { startClient } from './programs.js';
import { checkFilesystem, sha256OfFile } from './scratch.js';
import { runTool } from './tools.js';

const mebibyte = 1 << 20;

labTest('from one device to devices as large and larger', 3, async (lab) => {
  const { scratch, world } = lab;
  const sizeBytes = 24 * mebibyte;
  const image = scratch.ext4Image('disk.img', sizeBytes, 12 * mebibyte);
  // Old content, so that zero chunks of the image must really be written.
  const fits = scratch.loopDevice(scratch.randomFile('fits.disk', sizeBytes));
  const largerFile = scratch.randomFile('larger.disk', sizeBytes + mebibyte);
  const larger = scratch.loopDevice(largerFile);
  const tail = readFileSync(largerFile).subarray(sizeBytes);

  const clients = [
    startClient(world.host(2), ['-o', fits]),
    startClient(world.host(3), ['-o', larger]),
  ];
  const server = lab.startServer(['-f', scratch.loopDevice(image), '--exit-after', '2']);
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));

  assert.equal(server.last('serving').sizeBytes, sizeBytes);
  assert.equal(await sha256OfFile(fits), await sha256OfFile(image));
  checkFilesystem(fits);
  scratch.assertCopy(larger, image, sizeBytes);
  assert.ok(readFileSync(largerFile).subarray(sizeBytes).equals(tail), 'the rest is untouched');
});

labTest('a device that is too small is refused and left alone', 2, async (lab) => {
  const { scratch, world } = lab;
  const image = scratch.randomFile('disk.img', 4 * mebibyte);
  const smallFile = scratch.randomFile('small.disk', 2 * mebibyte);
  const before = await sha256OfFile(smallFile);
  lab.startServer(['-f', image]);
  const client = startClient(world.host(2), ['-o', scratch.loopDevice(smallFile)]);
  await client.waitStatus(3);
  assert.equal(await sha256OfFile(smallFile), before);
});

/** A disk of 512-byte sectors with a GPT. */
function gptImage(lab: Lab, name: string, sizeBytes: number): string {
  const path = lab.scratch.randomFile(name, sizeBytes);
  const script = 'label: gpt\nstart=2048, size=4096\nstart=8192\n';
  runTool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], script);
  return path;
}

labTest(
  'the system learns the new partitions, and what an earlier one left is named',
  2,
  async (lab) => {
    const image = gptImage(lab, 'disk.img', 16 * mebibyte);
    const device = lab.scratch.loopDevice(gptImage(lab, 'old.img', 24 * mebibyte));
    lab.startServer(['-f', image]);
    const client = lab.startClient(2, ['-o', device]);
    await client.waitStatus(0);
    const texts = client.all('notice').map(({ text }) => text);
    const name = device.replace('/dev/', '');
    assert.ok(
      texts.some((text) => text.includes(`partitions ${name}p1, ${name}p2`)),
      texts.join('\n'),
    );
    const leftover = texts.find((text) => /second header of an earlier GPT/.test(text));
    // The new table's second header may go there yet.
    assert.match(leftover ?? '', /; --fit overwrites it$/);
    runTool('partx', ['--delete', device]);
    lab.scratch.assertCopy(device, image, 16 * mebibyte);
    assert.ok(texts.some((text) => /larger than the image, whose second GPT/.test(text)));
  },
);

labTest('an image without partitions leaves none, and no talk of old ones', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 16 * mebibyte);
  const device = lab.scratch.loopDevice(gptImage(lab, 'old.img', 24 * mebibyte));
  const name = device.replace('/dev/', '');
  const partitions = () =>
    readdirSync(`/sys/block/${name}`).filter((entry) => entry.startsWith(name));
  // Others' tests may have left some on this number.
  runTool('partx', ['--update', device]);
  assert.equal(partitions().length, 2);
  lab.startServer(['-f', image]);
  const first = lab.startClient(2, ['-o', device]);
  await first.waitStatus(0);
  assert.ok(first.all('notice').some(({ text }) => text.endsWith('anew: no partitions')));
  assert.deepEqual(partitions(), []);
  const texts = first.all('notice').map(({ text }) => text);
  const leftover = texts.find((text) => /second header of an earlier GPT/.test(text));
  const [, command] = /remove it: (dd .*)$/.exec(leftover ?? '') ?? [];
  const [, tool, rest] = /^(\w+) (.*)$/.exec(command ?? '') ?? [];
  runTool(tool!, rest!.split(' '));
  lab.scratch.assertCopy(device, image, 16 * mebibyte);
  const second = lab.startClient(2, ['-o', device]);
  await second.waitStatus(0);
  assert.deepEqual(
    second.all('notice').filter(({ text }) => /partition|earlier GPT/.test(text)),
    [],
  );
});

labTest(
  'a disk with other sectors than the image was made for is refused, unless forced',
  2,
  async (lab) => {
    const image = gptImage(lab, 'disk.img', 8 * mebibyte);
    const backing = lab.scratch.randomFile('old.img', 8 * mebibyte);
    const device = lab.scratch.loopDevice(backing, 4096);
    lab.startServer(['-f', image]);
    const refused = lab.startClient(2, ['-o', device]);
    await refused.waitStatus(3);
    assert.equal(refused.last('error').code, 'SECTOR_SIZE');
    runTool('cmp', [device, backing]);
    await lab.startClient(2, ['-o', device, '--force']).waitStatus(0);
    lab.scratch.assertCopy(device, image);
  },
);

labTest('what is wrong with a target is said at once, without a server', 2, async (lab) => {
  const device = lab.scratch.loopDevice(lab.scratch.randomFile('disk', mebibyte));
  const folder = lab.scratch.makeFolder('mounted');
  runTool('mke2fs', ['-q', device]);
  runTool('mount', ['-o', 'ro', device, folder]);
  try {
    const slips: [string, string, RegExp][] = [
      ['/dev/sdzz', 'NO_DEVICE', new RegExp(`there is no device /dev/sdzz.*${device}, `, 's')],
      [lab.scratch.folder, 'NOT_A_TARGET', /is a folder/],
      [lab.scratch.path('nowhere', 'copy.img'), 'CANNOT_WRITE', /folder does not exist/],
      [`${folder}/copy.img`, 'CANNOT_WRITE', /read-only/],
      [device, 'BUSY', /is mounted on/],
    ];
    for (const [output, code, text] of slips) {
      for (const more of [[], ['--dry-run']]) {
        const client = lab.startClient(2, ['-o', output, ...more]);
        await client.waitStatus(3);
        assert.equal(client.last('error').code, code);
        assert.match(client.last('error').message, text);
        assert.equal(client.all('listening').length, 0);
      }
    }
    assert.equal(lab.scratch.exists('/dev/sdzz'), false);
  } finally {
    runTool('umount', [folder]);
  }
});

labTest('--force overrules what is built on a device', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const device = lab.scratch.loopDevice(lab.scratch.randomFile('old.img', 4 * mebibyte));
  const above = lab.scratch.loopDevice(device);
  lab.startServer(['-f', image]);
  const refused = lab.startClient(2, ['-o', device]);
  await refused.waitStatus(3);
  assert.match(
    refused.last('error').message,
    new RegExp(`loop device ${above.slice(5)} is set up`),
  );
  await lab.startClient(2, ['-o', device, '--force']).waitStatus(0);
  lab.scratch.assertCopy(device, image);
});
