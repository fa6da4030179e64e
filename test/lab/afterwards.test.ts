/** What is done once a copy is proven: `--fit` and `--then`. */

import assert from 'node:assert/strict';
import { closeSync, copyFileSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Lab, labTest } from './lab.js';
import type { ClientProgram } from './programs.js';
import { runTool } from './tools.js';

const mebibyte = 1 << 20;

function gptImage(lab: Lab): string {
  const path = lab.scratch.randomFile('disk.img', 16 * mebibyte);
  const script = 'label: gpt\nstart=2048, size=4096\nstart=8192\n';
  runTool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], script);
  return path;
}

const textsOf = (client: ClientProgram): string =>
  client
    .all('notice')
    .map(({ text }) => text)
    .join('\n');

/** Empty when the process has ended, be it that nobody took notice yet. */
function commandLineOf(pid: number): string {
  const path = `/proc/${pid}/cmdline`;
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

labTest('--fit moves the second GPT to the end of a larger disk', 2, async (lab) => {
  const image = gptImage(lab);
  const disk = lab.scratch.sparseFile('larger.disk', 24 * mebibyte, []);
  const device = lab.scratch.loopDevice(disk);
  lab.startServer(['-f', image]);
  const client = lab.startClient(2, ['-o', device, '--fit']);
  await client.waitStatus(0);
  runTool('partx', ['--delete', device]);
  assert.match(textsOf(client), /second GPT of \S+ was moved to its end, 8\.39 MB further on/);
  assert.match(textsOf(client), /read \S+ anew: partitions \S+p1, \S+p2$/);
  assert.match(runTool('sfdisk', ['--verify', device]), /No errors detected/);
  // The place of the new second header is where the earlier one lies: no advice to clear it.
  const twice = lab.startClient(2, ['-o', device, '--fit']);
  await twice.waitStatus(0);
  runTool('partx', ['--delete', device]);
  assert.match(textsOf(twice), /was moved to its end/);
  assert.doesNotMatch(textsOf(twice), /behind the image|dd if=|larger than the image/);
  assert.match(runTool('sfdisk', ['--verify', device]), /No errors detected/);
  const unfitted = lab.startClient(2, ['-o', device]);
  await unfitted.waitStatus(0);
  runTool('partx', ['--delete', device]);
  assert.match(textsOf(unfitted), /second header of an earlier GPT.*; --fit overwrites it$/m);
  assert.match(textsOf(unfitted), /larger than the image, whose second GPT.*--resume --fit/);
  assert.doesNotMatch(textsOf(unfitted), /dd if=/);
  const mended = lab.startClient(2, ['-o', device, '--resume', '--fit']);
  await mended.waitStatus(0);
  runTool('partx', ['--delete', device]);
  const backup = lab.scratch.path('table.backup');
  runTool('sgdisk', ['--backup', backup, device]);
  const fitted = lab.startClient(2, ['-o', device, '--check']);
  await fitted.waitStatus(8);
  assert.match(fitted.last('error').message, /only where its partition table lies.*would undo/);
  assert.equal(
    readFileSync(disk)
      .toString('latin1', disk.length - 512)
      .includes('EFI PART'),
    true,
  );

  const same = lab.scratch.path('same.disk');
  copyFileSync(image, same);
  const sameDevice = lab.scratch.loopDevice(same);
  const again = lab.startClient(2, ['-o', sameDevice, '--fit', '--resume']);
  await again.waitStatus(0);
  runTool('partx', ['--delete', sameDevice]);
  assert.match(textsOf(again), /at its end already/);
  lab.scratch.assertCopy(same, image);

  const spoil = (atBytes: number): void => {
    const fd = openSync(device, 'r+');
    writeSync(fd, 'spoilt', atBytes);
    closeSync(fd);
  };
  // The name of the first partition.
  spoil(2 * 512 + 56);
  const spoiltTable = lab.startClient(2, ['-o', device, '--check']);
  await spoiltTable.waitStatus(8);
  assert.match(
    spoiltTable.last('error').message,
    /not only where.* with --resume --fit to mend it/,
  );
  runTool('sgdisk', ['--load-backup', backup, device]);

  spoil(4 * mebibyte);
  const spoilt = lab.startClient(2, ['-o', device, '--check']);
  await spoilt.waitStatus(8);
  assert.match(spoilt.last('error').message, /not only where.* with --resume --fit to mend it/);
});

labTest('where there is nothing to fit, --fit says so', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const device = lab.scratch.loopDevice(lab.scratch.sparseFile('disk', 8 * mebibyte, []));
  lab.startServer(['-f', image]);
  const onDevice = lab.startClient(2, ['-o', device, '--fit']);
  await onDevice.waitStatus(0);
  assert.match(textsOf(onDevice), /has no GPT/);
  const onFile = lab.startClient(2, ['--fit']);
  await onFile.waitStatus(0);
  assert.match(textsOf(onFile), /is a file/);
});

labTest('--then is told of a copy that is there, and heard', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk image.img', 4 * mebibyte);
  const told = lab.scratch.path('told');
  const names = ['TARGET', 'IMAGE', 'IMAGE_BYTES', 'MAP_ID', 'HOST', 'MAC'];
  const lines = names.map((name) => `echo "$MULTICLIENT_${name}"`).join('; ');
  lab.startServer(['-f', image]);
  // Only of a finished copy there is a file of this name.
  const command = `test -f "$MULTICLIENT_TARGET" && { ${lines}; } > ${told}; echo heard >&2`;
  const client = lab.startClient(2, ['--then', command]);
  await client.waitStatus(0);
  const { namespace } = lab.world.host(2);
  const mac = runTool('ip', ['-n', namespace, '-brief', 'link', 'show', 'e0']).split(/\s+/)[2];
  assert.deepEqual(readFileSync(told, 'utf8').trimEnd().split('\n'), [
    lab.copyPath(2),
    'disk image.img',
    `${4 * mebibyte}`,
    client.last('proven').mapId,
    hostname(),
    mac,
  ]);
  assert.match(textsOf(client), /^then: heard$/m);
});

labTest('a command that fails leaves a proven copy and a status of its own', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  lab.startServer(['-f', image]);
  const client = lab.startClient(2, ['--then', 'echo no key; exit 3']);
  await client.waitStatus(9);
  assert.equal(client.last('error').code, 'THEN_FAILED');
  assert.match(client.last('error').message, /ended with exit status 3 \(no key\)/);
  lab.scratch.assertCopy(lab.copyPath(2), image);
});

labTest('what a command leaves running is not waited for', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  lab.startServer(['-f', image]);
  const client = lab.startClient(2, ['--then', 'sleep 1000 & echo $!']);
  const heard = await client.waitFor('notice', ({ text }) => /^then: \d+$/.test(text));
  await client.waitStatus(0);
  process.kill(Number(heard.text.slice('then: '.length)));
});

labTest('a copy that fails runs no command', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const small = lab.scratch.loopDevice(lab.scratch.sparseFile('small', mebibyte, []));
  const mark = lab.scratch.path('mark');
  lab.startServer(['-f', image]);
  await lab.startClient(2, ['-o', small, '--then', `touch ${mark}`]).waitStatus(3);
  assert.equal(lab.scratch.exists(mark), false);
});

labTest('a command that is stopped ends with all that it started', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  lab.startServer(['-f', image]);
  const client = lab.startClient(2, ['--then', 'sleep 1000 & echo $!; wait']);
  const heard = await client.waitFor('notice', ({ text }) => /^then: \d+$/.test(text));
  client.kill('SIGTERM');
  await client.waitStatus(143);
  assert.match(client.last('error').message, /the copy is proven, but the command of --then/);
  const pid = Number(heard.text.slice('then: '.length));
  assert.equal(commandLineOf(pid), '');
  lab.scratch.assertCopy(lab.copyPath(2), image);
});
