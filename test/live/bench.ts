/** Machines, their disks and their network, for one test. */

import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Scratch, sha256OfFile } from '../lab/scratch.js';
import { requireLab, runTool } from '../lab/tools.js';
import { emulatorWords, type Firmware, firmwareArguments, memoryMegabytes } from './firmware.js';
import { Machine } from './machine.js';
import { LiveNetwork, type NetworkOptions } from './network.js';
import { outPath } from './out.js';

/** Far above what a sound run takes: it only ends a test that hangs. */
const hangMs = 1_500_000;
const STICK_BYTES = 16 << 20;

export interface Disk {
  path: string;
  serial: string;
}

export const hostNames = { '52:54:00:79:00:01': 'pc-01', '52:54:00:79:00:02': 'pc-02' };

export class Bench {
  readonly scratch = new Scratch();
  readonly network: LiveNetwork;
  private readonly machines: Machine[] = [];
  private diskCount = 0;
  private nameCount = 0;

  constructor(
    private readonly context: TestContext,
    options: NetworkOptions,
  ) {
    this.network = new LiveNetwork(options);
  }

  makeDisk(sizeBytes: number): Disk {
    this.diskCount += 1;
    const path = this.scratch.path(`disk-${this.diskCount}`);
    this.resize(path, sizeBytes);
    return { path, serial: `LIVE000${this.diskCount}` };
  }

  /** A name for a new file. */
  newPath(name: string): string {
    this.nameCount += 1;
    return this.scratch.path(`${name}-${this.nameCount}`);
  }

  resize(path: string, sizeBytes: number): void {
    const fd = openSync(path, 'a');
    ftruncateSync(fd, sizeBytes);
    closeSync(fd);
  }

  static addressOf(number: number): string {
    return `52:54:00:79:00:0${number}`;
  }

  /** @param number of the machine, from 1: its card's address ends so */
  card(number: number, ...properties: string[]): string[] {
    const port = `tap,id=card,ifname=${this.network.addPort()},script=no,downscript=no`;
    const model = ['virtio-net-pci', 'netdev=card', `mac=${Bench.addressOf(number)}`];
    return ['-netdev', port, '-device', [...model, ...properties].join(',')];
  }

  disk({ path, serial }: Disk, bootIndex: number): string[] {
    const drive = ['-drive', `file=${path},format=raw,if=none,id=${serial}`];
    const model = `virtio-blk-pci,drive=${serial},serial=${serial},bootindex=${bootIndex}`;
    return [...drive, '-device', model];
  }

  async start(megabytes: number, ...args: string[]): Promise<Machine> {
    const path = this.newPath('line');
    const machine = await Machine.start(this.network, path, megabytes, args);
    this.machines.push(machine);
    return machine;
  }

  /** A USB stick with one file on it. @returns how a machine has it plugged in */
  stick(filePath: string): string[] {
    const path = this.newPath('stick');
    this.resize(path, STICK_BYTES);
    runTool('mkfs.vfat', [path]);
    runTool('mcopy', ['-i', path, filePath, '::']);
    const drive = ['-drive', `file=${path},format=raw,if=none,id=stick`];
    return [...drive, '-device', 'qemu-xhci', '-device', 'usb-storage,drive=stick,removable=on'];
  }

  /**
   * Starts a machine whose firmware looks at the network first, and at its disk then.
   * @param hasIpxe its card has an iPXE of its own; otherwise UEFI does it all by itself, as most
   *   machines of hardware do
   */
  startFromNetwork(
    firmware: Firmware,
    number: number,
    disk: Disk,
    hasIpxe = firmware === 'bios',
  ): Promise<Machine> {
    const properties = hasIpxe ? ['bootindex=1'] : ['bootindex=1', 'romfile='];
    return this.start(
      memoryMegabytes[firmware],
      ...firmwareArguments(firmware, this.newPath('settings')),
      ...this.card(number, ...properties),
      ...this.disk(disk, 2),
    );
  }

  /** Starts a machine that has no network. */
  startFromDisk(firmware: Firmware, disk: Disk): Promise<Machine> {
    return this.start(
      memoryMegabytes[firmware],
      ...firmwareArguments(firmware, this.newPath('settings')),
      ...this.disk(disk, 1),
    );
  }

  /** Starts the live system at once, with a kernel's command line. */
  startKernel(options: string, number: number, ...args: string[]): Promise<Machine> {
    const bootCard = `BOOTIF=01-${Bench.addressOf(number).replaceAll(':', '-')}`;
    const line =
      `console=tty0 console=ttyS0 ${emulatorWords} ${bootCard} ` +
      `${LiveNetwork.options} ${options}`;
    const kernel = ['-kernel', outPath('vmlinuz'), '-initrd', outPath('initrd.img')];
    return this.start(512, ...kernel, '-append', line, ...this.card(number), ...args);
  }

  assertEmpty({ path }: Disk): void {
    const bytes = readFileSync(path);
    assert(bytes.equals(Buffer.alloc(bytes.length)), 'the disk was written to');
  }

  async assertUntouched({ path }: Disk, digest: string): Promise<void> {
    assert.equal(await sha256OfFile(path), digest, 'the disk was written to');
  }

  /** Says in the test's report how long something took, and what it cost. */
  note(what: string, machine: Machine): void {
    const { ageSeconds, peakMegabytes } = machine;
    this.context.diagnostic(
      `${what}: after ${ageSeconds} s, QEMU took ${peakMegabytes} MB at most`,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.close()));
    await this.network.close();
    this.scratch.close();
  }
}

export function liveTest(
  name: string,
  options: NetworkOptions,
  body: (bench: Bench) => Promise<void>,
): void {
  test(name, { timeout: hangMs }, async (context) => {
    requireLab('qemu-system-x86_64');
    const bench = new Bench(context, options);
    try {
      await body(bench);
    } finally {
      await bench.close();
    }
  });
}
