/** The live system on machines with 512 MB, started at once or from the ISO. */

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { VERSION } from '../../src/cli/version.js';
import { sha256OfFile } from '../lab/scratch.js';
import { type Bench, hostNames, liveTest } from './bench.js';
import { firmwareArguments } from './firmware.js';
import { outPath } from './out.js';

const imageBytes = 20_000_003;
const diskBytes = 64 << 20;
const iso = outPath(`multiclient-${VERSION}-live-x64.iso`);

const makeImage = (bench: Bench) => bench.scratch.randomFile('lab.img', imageBytes);

// Two at a time, as the machines of most who run this have two cores.
describe('the live system', { concurrency: 2 }, () => {
  liveTest(
    'a machine with the key copies by itself, and goes off',
    { hostNames },
    async (bench) => {
      const image = makeImage(bench);
      const disk = bench.makeDisk(diskBytes);
      const keyPath = bench.scratch.path('lab.secret');
      await bench.network.run(['--new-key', keyPath]).waitStatus(0);
      const server = bench.network.serve(image, ['--key', keyPath]);
      const words =
        'multiclient.output=/dev/vda multiclient.verify multiclient.unattended ' +
        'multiclient.key=lab.secret';
      // The card that the machine did not start from leads nowhere.
      const machine = await bench.startKernel(
        `${words} multiclient.then=poweroff`,
        1,
        ...bench.disk(disk, 9),
        ...bench.stick(keyPath),
        ...['-netdev', 'hubport,id=other,hubid=1', '-device', 'e1000e,netdev=other'],
      );
      await machine.hear("proven copy of 'lab.img': /dev/vda");
      await machine.waitOff();
      bench.note('from the kernel to a verified copy', machine);
      bench.scratch.assertCopy(disk.path, image, imageBytes);
      await server.waitText('client pc-01 ');
    },
  );

  liveTest('nothing is written before somebody types yes', { hostNames }, async (bench) => {
    const image = makeImage(bench);
    const disk = bench.makeDisk(diskBytes);
    const digest = await sha256OfFile(disk.path);
    bench.network.serve(image);
    const machine = await bench.startKernel(
      'multiclient.output=auto multiclient.image=lab.img',
      1,
      ...bench.disk(disk, 9),
    );
    const question = await machine.hear("Type 'yes' to start");
    assert.match(question, /Machine: pc-01, QEMU/);
    assert.match(question, /Disk: +\/dev\/vda, 67 MB, serial LIVE0001/);
    assert.match(question, /image: 'lab\.img', 20\.0 MB, (image [0-9a-f]{16}, )?at 10\.79\.0\.1$/m);
    machine.type('y');
    await machine.hear("'y' is not 'yes'");
    // Whatever a machine might do that nobody answers.
    await sleep(60_000);
    await bench.assertUntouched(disk, digest);
    machine.type('yes');
    await machine.hear('The copy is proven.');
    await machine.hear('# ');
    machine.type('poweroff');
    await machine.waitOff();
    bench.scratch.assertCopy(disk.path, image, imageBytes);
  });

  liveTest(
    'with two disks that fit, none is chosen before somebody names it',
    {},
    async (bench) => {
      const disks = [bench.makeDisk(diskBytes), bench.makeDisk(diskBytes)];
      const image = makeImage(bench);
      bench.network.serve(image);
      const machine = await bench.startKernel(
        'multiclient.output=auto multiclient.unattended multiclient.then=poweroff',
        1,
        ...disks.flatMap((disk) => bench.disk(disk, 9 + disks.indexOf(disk))),
      );
      const said = await machine.hear('multiclient ended with exit status 3');
      assert.match(said, /several disks could take the image/);
      assert.match(
        said,
        /\/dev\/vda, 67\.1 MB, serial LIVE0001\s+\/dev\/vdb, 67\.1 MB, serial LIVE0002/,
      );
      await machine.hear('# ');
      for (const disk of disks) bench.assertEmpty(disk);
      machine.type('copy-to /dev/vdb');
      await machine.hear("proven copy of 'lab.img': /dev/vdb");
      // As it was asked to.
      await machine.waitOff();
      bench.assertEmpty(disks[0]!);
      bench.scratch.assertCopy(disks[1]!.path, image, imageBytes);
    },
  );

  const cd = ['-drive', `file=${iso},format=raw,if=none,id=iso,media=cdrom,readonly=on`];
  const stick = ['-drive', `file=${iso},format=raw,if=none,id=iso,readonly=on`];

  liveTest('the ISO starts from a CD by BIOS, and asks', {}, async (bench) => {
    const disk = bench.makeDisk(diskBytes);
    bench.network.serveAsUsual(makeImage(bench));
    const machine = await bench.start(
      512,
      ...[...cd, '-device', 'ide-cd,drive=iso,bootindex=1'],
      ...[...bench.card(1), ...bench.disk(disk, 9)],
    );
    const question = await machine.hear("Type 'yes' to start");
    bench.note('from the CD by BIOS to the question', machine);
    assert.match(question, /Disk: +\/dev\/vda, 67 MB/);
    bench.assertEmpty(disk);
  });

  liveTest('the ISO starts from a USB stick by UEFI, and asks', {}, async (bench) => {
    const disk = bench.makeDisk(diskBytes);
    bench.network.serveAsUsual(makeImage(bench));
    const machine = await bench.start(
      512,
      ...firmwareArguments('uefi', bench.scratch.path('settings')),
      ...[...stick, '-device', 'qemu-xhci', '-device', 'usb-storage,drive=iso,bootindex=1'],
      ...[...bench.card(1), ...bench.disk(disk, 9)],
    );
    const question = await machine.hear("Type 'yes' to start");
    bench.note('from a USB stick by UEFI to the question', machine);
    // The stick itself would fit as well.
    assert.match(question, /Disk: +\/dev\/vda, 67 MB/);
    bench.assertEmpty(disk);
  });
});
