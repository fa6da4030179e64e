/**
 * The portable programs on Debian without Node: the oldest suite that the mirrors still have, and
 * the newest release.
 */

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { VERSION } from '../../src/cli/version.js';
import { onCleanup } from '../lab/cleanup.js';
import { RunningProcess } from '../lab/running.js';
import { Scratch } from '../lab/scratch.js';
import { requireLab, runTool, toolPath } from '../lab/tools.js';
import { outPath } from './out.js';

const suites = ['bullseye', 'trixie'];
const mirror = process.env.DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
/** Far above what a sound run takes, most of which is bootstrapping. */
const hangMs = 900_000;

/** The client tells files from mistyped devices by where `/dev` is. */
const mountsDevices = 'mount -t devtmpfs dev /dev && exec "$0" "$@"';

const archive = outPath(`multiclient-${VERSION}-linux-x64.tar.xz`);
const programs = `/opt/${basename(archive, '.tar.xz')}`;

/** A Debian system of a suite, with the programs in it, and a network that has loopback alone. */
class System {
  readonly root: string;
  private readonly namespace: string;
  private readonly undo: (() => void)[] = [];
  private readonly started: RunningProcess[] = [];

  constructor(suite: string) {
    requireLab('debootstrap', 'unshare');
    // debootstrap refuses folders in memory: they allow no devices.
    this.root = mkdtempSync(`/var/tmp/live-${suite}-`);
    this.undo.push(onCleanup(() => rmSync(this.root, { recursive: true, force: true })));
    this.namespace = `live-${process.pid}-${suite}`;
    runTool('ip', ['netns', 'add', this.namespace]);
    this.undo.push(onCleanup(() => runTool('ip', ['netns', 'del', this.namespace])));
    const steps = 'link set lo up\nroute add 224.0.0.0/4 dev lo\n';
    runTool('ip', ['-n', this.namespace, '-batch', '-'], steps);
    runTool('debootstrap', ['--variant=minbase', suite, this.root, mirror]);
    runTool('tar', ['-xJf', archive, '-C', join(this.root, 'opt')]);
  }

  start(command: string, ...args: string[]): RunningProcess {
    const inNamespace = ['netns', 'exec', this.namespace, toolPath('unshare'), '--mount'];
    const inSystem = ['--mount-proc', '--root', this.root, '/bin/sh', '-c', mountsDevices];
    const words = [...inNamespace, ...inSystem, command, ...args];
    const running = new RunningProcess(toolPath('ip'), words);
    this.started.push(running);
    return running;
  }

  async close(): Promise<void> {
    for (const running of this.started) if (running.exit === null) running.kill('SIGKILL');
    await Promise.allSettled(this.started.map((running) => running.exited));
    for (const undo of this.undo.reverse()) undo();
  }
}

for (const suite of suites) {
  test(`the portable programs copy on ${suite}, without Node`, { timeout: hangMs }, async () => {
    const scratch = new Scratch();
    const system = new System(suite);
    try {
      await system.start('/bin/sh', '-c', '! command -v node').waitStatus(0);
      const asked = system.start(`${programs}/multiclient`, '--version');
      await asked.waitStatus(0);
      assert.deepEqual(asked.lines, [VERSION]);

      const image = scratch.randomFile('source.img', 40_000_007);
      copyFileSync(image, join(system.root, 'source.img'));
      const common = ['-i', 'lo', '-g', '225.0.20.77', '-p', '16077'];
      const serving = ['-f', '/source.img', '--exit-after', '1', '-s', '7577', ...common];
      const server = system.start(`${programs}/multiserver`, ...serving);
      const receiving = ['-o', '/copy.img', '--json', '-s', '7577', ...common];
      const client = system.start(`${programs}/multiclient`, ...receiving);
      await Promise.all([server.waitStatus(0), client.waitStatus(0)]);
      scratch.assertCopy(join(system.root, 'copy.img'), image);
      // The native packages are found: plain datagrams are what there is without them.
      assert.match(client.lines.join('\n'), /batches/);
    } finally {
      await system.close();
      scratch.close();
    }
  });
}
