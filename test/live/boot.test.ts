/** The live system on machines with 512 MB: from power-on to a proven copy. */

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { VERSION } from '../../src/cli/version.js';
import { Scratch } from '../lab/scratch.js';
import { requireLab } from '../lab/tools.js';
import { Machine } from './machine.js';
import { LiveNetwork } from './network.js';
import { outPath } from './out.js';

/** Far above what a sound run takes: it only ends a test that hangs. */
const hangMs = 600_000;
const imageBytes = 20_000_003;
const diskBytes = 64 << 20;
const cardAddress = '52:54:00:79:00:07';
const hostName = 'pc-07';
const bootCard = `BOOTIF=01-${cardAddress.replaceAll(':', '-')}`;

const kernel = outPath('vmlinuz');
const initrd = outPath('initrd.img');
const iso = outPath(`multiclient-${VERSION}-live-x64.iso`);

class Bench {
  readonly scratch = new Scratch();
  readonly network = new LiveNetwork({ [cardAddress]: hostName });
  readonly disk = this.scratch.path('disk.img');
  readonly image = this.scratch.randomFile('lab.img', imageBytes);
  readonly #machines: Machine[] = [];

  constructor() {
    writeFileSync(this.disk, '');
    truncateSync(this.disk, diskBytes);
  }

  async start(...args: string[]): Promise<Machine> {
    const port = `tap,id=card,ifname=${this.network.addPort()},script=no,downscript=no`;
    const card = ['-netdev', port, '-device', `virtio-net-pci,netdev=card,mac=${cardAddress}`];
    const disk = ['-drive', `file=${this.disk},format=raw,if=none,id=disk`];
    const model = 'virtio-blk-pci,drive=disk,serial=LIVE0001,bootindex=9';
    const path = this.scratch.path(`line-${this.#machines.length}`);
    const words = [...card, ...disk, '-device', model, ...args];
    const machine = await Machine.start(this.network, path, words);
    this.#machines.push(machine);
    return machine;
  }

  /** Starts a machine as from the network: with a kernel's command line. */
  startKernel(options: string, ...args: string[]): Promise<Machine> {
    const line = `console=tty0 console=ttyS0 ${bootCard} ${LiveNetwork.options} ${options}`;
    return this.start('-kernel', kernel, '-initrd', initrd, '-append', line, ...args);
  }

  assertDiskIsEmpty(): void {
    assert(readFileSync(this.disk).equals(Buffer.alloc(diskBytes)), 'the disk was written to');
  }

  assertCopied(): void {
    this.scratch.assertCopy(this.disk, this.image, imageBytes);
  }

  async close(): Promise<void> {
    await Promise.all(this.#machines.map((machine) => machine.close()));
    await this.network.close();
    this.scratch.close();
  }
}

function liveTest(name: string, body: (bench: Bench) => Promise<void>): void {
  test(name, { timeout: hangMs }, async () => {
    requireLab('qemu-system-x86_64');
    const bench = new Bench();
    try {
      await body(bench);
    } finally {
      await bench.close();
    }
  });
}

liveTest('a machine copies by itself and switches itself off', async (bench) => {
  const server = bench.network.serve(bench.image);
  // The card that the machine did not start from leads nowhere.
  const machine = await bench.startKernel(
    'multiclient.output=/dev/vda multiclient.verify multiclient.unattended multiclient.then=poweroff',
    ...['-netdev', 'hubport,id=other,hubid=1', '-device', 'e1000e,netdev=other'],
  );
  await machine.hear("proven copy of 'lab.img': /dev/vda");
  await machine.waitOff();
  bench.assertCopied();
  await server.waitText(`client ${hostName} `);
});

liveTest('nothing is written before somebody types yes', async (bench) => {
  bench.network.serve(bench.image);
  const machine = await bench.startKernel('multiclient.output=/dev/vda multiclient.image=lab.img');
  const question = await machine.hear("Type 'yes' to start");
  assert.match(question, new RegExp(`Machine: ${hostName}, QEMU`));
  assert.match(question, /Disk: +\/dev\/vda, 67 MB, .*serial LIVE0001/);
  assert.match(question, /image: lab\.img, from 10\.79\.0\.1:7579/);
  machine.type('y');
  await machine.hear("'y' is not 'yes'");
  bench.assertDiskIsEmpty();
  machine.type('yes');
  await machine.hear('The copy is proven.');
  await machine.hear('# ');
  machine.type('poweroff');
  await machine.waitOff();
  bench.assertCopied();
});

liveTest('what went wrong stays to be read, with a shell', async (bench) => {
  bench.network.serve(bench.image);
  truncateSync(bench.disk, 1 << 20);
  const machine = await bench.startKernel(
    'multiclient.output=/dev/vda multiclient.unattended multiclient.then=poweroff',
  );
  await machine.hear('multiclient ended with exit status 3');
  await machine.hear('# ');
  machine.type('echo $((6 * 7))');
  await machine.hear('42');
});

const firmware = '/usr/share/OVMF/OVMF_CODE_4M.fd';
const settings = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const cd = ['-drive', `file=${iso},format=raw,if=none,id=iso,media=cdrom,readonly=on`];
const stick = ['-drive', `file=${iso},format=raw,if=none,id=iso,readonly=on`];

liveTest('the ISO starts from a CD by BIOS, and asks', async (bench) => {
  const machine = await bench.start(...cd, '-device', 'ide-cd,drive=iso,bootindex=1');
  const question = await machine.hear("Type 'yes' to start");
  assert.match(question, /\(--output auto\), of:\s+\/dev\/vda, 67 MB/);
  bench.assertDiskIsEmpty();
});

liveTest('the ISO starts from a USB stick by UEFI, and asks', async (bench) => {
  const kept = bench.scratch.path('settings.fd');
  copyFileSync(settings, kept);
  const machine = await bench.start(
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${firmware}`],
    ...['-drive', `if=pflash,format=raw,file=${kept}`],
    ...[...stick, '-device', 'qemu-xhci', '-device', 'usb-storage,drive=iso,bootindex=1'],
  );
  const question = await machine.hear("Type 'yes' to start");
  assert.match(question, /\/dev\/vda, 67 MB/);
  assert.doesNotMatch(question, /\/dev\/sda/, 'the stick itself is offered as a target');
  bench.assertDiskIsEmpty();
});
