/** From the power button to a machine that runs from its proven copy; nobody types. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProcess } from '../lab/running.js';
import { runTool } from '../lab/tools.js';
import { Bench, hostNames, liveTest } from './bench.js';
import { emulatorWords, type Firmware } from './firmware.js';
import { outPath } from './out.js';
import { makeSystemImage, systemBytes } from './system-image.js';

const names: Record<Firmware, string> = { bios: 'BIOS', uefi: 'UEFI', secure: 'Secure Boot' };
const liveFolder = outPath('.');
const unattended = ['--netboot', liveFolder, '--unattended'];

/** Whether a process of the imaging host has this name. */
function runs(bench: Bench, name: string): boolean {
  const pids = runTool('ip', ['netns', 'pids', bench.network.namespace]).split('\n');
  return pids.filter(Boolean).some((pid) => {
    const path = `/proc/${pid}/comm`;
    return existsSync(path) && readFileSync(path, 'utf8').trim() === name;
  });
}

const isReady = (server: RunningProcess) => server.waitText('machines that start from the network');

describe('machines that start from the network', { concurrency: 2 }, () => {
  liveTest(
    'BIOS, UEFI and Secure Boot copy beside a DHCP server, and run',
    { hostNames },
    async (bench) => {
      const image = makeSystemImage(bench.scratch);
      const poweroff = ['--netboot-words', `${emulatorWords} multiclient.then=poweroff`];
      const server = bench.network.serve(image, [...unattended, ...poweroff]);
      await isReady(server);
      assert.match(server.stderr, /WARNING: --unattended/);
      const kinds: Firmware[] = ['bios', 'uefi', 'secure'];
      await Promise.all(
        kinds.map(async (firmware, index) => {
          const disk = bench.makeDisk(systemBytes);
          // The kernel and a part of the initrd get through to this one, which has to begin anew.
          const isCut = firmware === 'uefi';
          const mend = isCut ? bench.network.blockAfter(40e6, 7579, Bench.addressOf(2)) : () => {};
          const machine = await bench.startFromNetwork(firmware, index + 1, disk);
          if (isCut) await machine.hear('multiserver: that failed, and is tried again');
          mend();
          await machine.hear("proven copy of 'system.img': /dev/vda");
          bench.note(`${names[firmware]}: from power-on to a proven copy`, machine);
          await machine.waitOff();
          bench.scratch.assertCopy(disk.path, image);
          // Its firmware still prefers the network, and the server knows better.
          const again = await bench.startFromNetwork(
            firmware,
            index + 1,
            disk,
            firmware !== 'secure',
          );
          await again.hear(`THE COPY RUNS: golden, by ${names[firmware]},`);
          bench.note(`${names[firmware]}: from power-on to the copied system`, again);
          await again.waitOff();
          bench.scratch.assertCopy(disk.path, image);
        }),
      );
      assert.match(server.stderr, /client pc-01 .* holds a proven copy/);
    },
  );

  liveTest(
    'machines go on after a crash of the only DHCP server, and become themselves',
    { hasDhcp: false },
    async (bench) => {
      const image = makeSystemImage(bench.scratch);
      const folder = bench.scratch.makeFolder('netboot');
      for (const name of ['vmlinuz', 'initrd.img', 'boot']) {
        symlinkSync(outPath(name), join(folder, name));
      }
      const rows = [1, 2].map((number) => `${Bench.addressOf(number)},pc-0${number}`);
      writeFileSync(join(folder, 'machines.csv'), `mac,hostname\n${rows.join('\n')}\n`);
      const serve = () =>
        bench.network.serve(image, [
          ...['--netboot', folder, '--unattended', '--rate', '16M'],
          ...['--netboot-dhcp', '10.79.0.100,10.79.0.150'],
          '--netboot-words',
          `${emulatorWords} multiclient.fit multiclient.then=/hooks/grow ` +
            `multiclient.then=/hooks/personalize`,
        ]);
      const first = serve();
      await isReady(first);
      const disks = [1, 2].map(() => bench.makeDisk(2 * systemBytes));
      const machines = await Promise.all(
        disks.map((disk, index) => bench.startFromNetwork('bios', index + 1, disk)),
      );
      await Promise.all(machines.map((machine) => machine.hear('receiving, ')));
      first.kill('SIGKILL');
      await first.exited;
      while (runs(bench, 'dnsmasq')) await sleep(20);
      await isReady(serve());
      await Promise.all(machines.map((machine) => machine.hear('the server started again')));
      await Promise.all(machines.map((machine) => machine.hear("proven copy of 'system.img'")));
      await Promise.all(
        machines.map(async (machine, index) => {
          await machine.hear('The copy is proven.');
          bench.note('BIOS: from power-on, over a crash of the server, to the end', machine);
          await machine.waitOff();
          const again = await bench.startFromDisk('bios', disks[index]!);
          const grown = /THE COPY RUNS: pc-0\d, by BIOS, 1\d\d MiB/;
          await again.hear(`THE COPY RUNS: pc-0${index + 1}, by BIOS, `);
          await again.waitOff();
          assert.match(again.heard, grown);
        }),
      );
    },
  );
});
