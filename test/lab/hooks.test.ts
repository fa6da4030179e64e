/** The scripts of live/hooks on a copied system, run by `--then`. */

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lab, labTest } from './lab.js';
import type { ClientProgram } from './programs.js';
import { checkFilesystem } from './scratch.js';
import { runTool, toolPath } from './tools.js';

const mebibyte = 1 << 20;
const sectorBytes = 512;
const firstSector = 2048;
const fileSystemBytes = 24 * mebibyte;
const hook = (name: string) =>
  fileURLToPath(new URL(`../../../live/hooks/${name}`, import.meta.url));

/** Copies a program into a root folder, with the libraries that it is linked with. */
function putProgram(root: string, tool: string): void {
  const path = toolPath(tool);
  const libraries = runTool('ldd', [path]).matchAll(/(?:=> |^\t)(\/\S+) \(/gm);
  for (const file of [path, ...[...libraries].map(([, library]) => library!)]) {
    const place = join(root, file === path ? `usr/bin/${tool}` : file);
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(file, place);
  }
}

/**
 * A disk with a GPT, a small partition without a system, and one with as much of Debian as the
 * hooks look at.
 */
function systemImage(lab: Lab): string {
  const root = lab.scratch.makeFolder('root');
  const files = {
    'etc/os-release': 'ID=debian\n',
    'etc/hostname': 'golden\n',
    'etc/hosts': '127.0.0.1\tlocalhost\n127.0.1.1\tgolden.example golden\n',
    'etc/machine-id': `${'0'.repeat(32)}\n`,
    'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
    'etc/ssh/ssh_host_rsa_key': 'the same everywhere\n',
    'dev/.keep': '',
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  putProgram(root, 'ssh-keygen');
  const system = lab.scratch.path('system.ext4');
  runTool('mke2fs', ['-q', '-t', 'ext4', '-d', root, system, `${fileSystemBytes / 1024}k`]);
  const other = lab.scratch.path('other.ext4');
  runTool('mke2fs', ['-q', '-t', 'ext4', other, '4096k']);
  const image = lab.scratch.sparseFile('golden.img', fileSystemBytes + 8 * mebibyte, []);
  const systemSector = firstSector + (4 * mebibyte) / sectorBytes;
  const size = fileSystemBytes / sectorBytes;
  const script =
    `label: gpt\nstart=${firstSector}, size=8192\nstart=${systemSector}, ` + `size=${size}\n`;
  runTool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', image], script);
  for (const [part, sector] of [
    [other, firstSector],
    [system, systemSector],
  ] as const) {
    const place = ['bs=512', `seek=${sector}`, 'conv=notrunc,sparse', 'status=none'];
    runTool('dd', [`if=${part}`, `of=${image}`, ...place]);
  }
  return image;
}

/** Copies to a disk of 64 MiB with a command afterwards, and looks at its second partition. */
async function copyAndLook(
  lab: Lab,
  command: string,
  status: number,
  look: (client: ClientProgram, partition: string, mounted: string) => void,
): Promise<void> {
  const device = lab.scratch.loopDevice(lab.scratch.sparseFile('disk', 64 * mebibyte, []));
  lab.startServer(['-f', systemImage(lab)]);
  const client = lab.startClient(2, ['-o', device, '--then', command]);
  const mounted = lab.scratch.makeFolder('mounted');
  try {
    await client.waitStatus(status);
    checkFilesystem(`${device}p2`);
    runTool('mount', ['-o', 'ro', `${device}p2`, mounted]);
    try {
      look(client, `${device}p2`, mounted);
    } finally {
      runTool('umount', [mounted]);
    }
  } finally {
    runTool('partx', ['--delete', device]);
  }
}

const sizeOf = (path: string) => Number(runTool('blockdev', ['--getsize64', path]));

labTest(
  'grow takes the last partition and its file system to the end of the disk',
  2,
  async (lab) => {
    const command = `${hook('grow')} && ${hook('grow')}`;
    await copyAndLook(lab, command, 0, (client, partition, mounted) => {
      assert.ok(sizeOf(partition) > 56 * mebibyte, `${sizeOf(partition)}`);
      const blocks = runTool('stat', ['--file-system', '--format=%S %b', mounted]).split(' ');
      assert.ok(Number(blocks[0]) * Number(blocks[1]) > 48 * mebibyte, blocks.join());
      const texts = client.all('notice').map(({ text }) => text);
      assert.ok(
        texts.some((text) => /p2: 24 MiB before, 58 MiB now/.test(text)),
        texts.join('\n'),
      );
    });
  },
);

labTest(
  'personalize gives name, machine-id and new SSH keys by the hardware address',
  2,
  async (lab) => {
    const { namespace } = lab.world.host(2);
    const mac = runTool('ip', ['-n', namespace, '-brief', 'link', 'show', 'e0']).split(/\s+/)[2]!;
    const written = mac.toUpperCase().replaceAll(':', '-');
    const table = lab.scratch.path('machines.csv');
    writeFileSync(table, `hostname,mac\r\nother,52:54:00:00:00:01\r\npc-02,${written}\r\n`);
    await copyAndLook(lab, `${hook('personalize')} ${table}`, 0, (_client, _partition, mounted) => {
      const read = (name: string) => readFileSync(join(mounted, name), 'utf8');
      assert.equal(read('etc/hostname'), 'pc-02\n');
      assert.equal(read('etc/hosts'), '127.0.0.1\tlocalhost\n127.0.1.1\tpc-02\n');
      assert.match(read('etc/machine-id'), /^(?!0{32})[0-9a-f]{32}\n$/);
      assert.match(read('etc/ssh/ssh_host_ed25519_key.pub'), /^ssh-ed25519 /);
      assert.notEqual(read('etc/ssh/ssh_host_rsa_key'), 'the same everywhere\n');
    });
  },
);

labTest(
  'personalize takes machine-id and host key of the table, whoever the disk is for',
  2,
  async (lab) => {
    const key = lab.scratch.path('key');
    runTool('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', key]);
    const base64 = readFileSync(key).toString('base64');
    const machineId = '0123456789abcdef0123456789abcdef';
    const table = lab.scratch.path('machines.csv');
    const row = `52:54:00:00:00:01,pc-01,${machineId},${base64}`;
    writeFileSync(table, `mac,hostname,machine_id,ssh_host_key\n${row}\n`);
    const command = `${hook('personalize')} ${table} "$MULTICLIENT_TARGET" 52:54:00:00:00:01`;
    await copyAndLook(lab, command, 0, (_client, _partition, mounted) => {
      const read = (name: string) => readFileSync(join(mounted, name), 'utf8');
      assert.equal(read('etc/machine-id'), `${machineId}\n`);
      assert.equal(read('etc/ssh/ssh_host_ed25519_key'), readFileSync(key, 'utf8'));
      const [kind, digits] = readFileSync(`${key}.pub`, 'utf8').split(' ');
      assert.ok(read('etc/ssh/ssh_host_ed25519_key.pub').startsWith(`${kind} ${digits}`.trim()));
      assert.equal(existsSync(join(mounted, 'etc/ssh/ssh_host_rsa_key')), false);
    });
  },
);

labTest('of two Linuxes on a disk, personalize takes none', 2, async (lab) => {
  const table = lab.scratch.path('machines.csv');
  writeFileSync(table, 'mac,hostname\n52:54:00:00:00:01,pc-01\n');
  const device = lab.scratch.loopDevice(lab.scratch.sparseFile('disk', 64 * mebibyte, []));
  const script = `label: gpt\nstart=${firstSector}, size=49152\nsize=49152\n`;
  runTool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', device], script);
  runTool('partx', ['--update', device]);
  const root = lab.scratch.makeFolder('root');
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc/hostname'), 'golden\n');
  try {
    for (const number of [1, 2]) {
      runTool('mke2fs', ['-q', '-t', 'ext4', '-d', root, `${device}p${number}`]);
    }
    const args = [hook('personalize'), table, device, '52:54:00:00:00:01'];
    const running = lab.world.host(1).start(toolPath('sh'), args);
    await running.waitStatus(1);
    assert.match(running.stderr, /several partitions of \S+ have a Linux on them: \S+p1 \S+p2/);
  } finally {
    runTool('partx', ['--delete', device]);
  }
});

labTest('a machine that is not in the table keeps the copy as it is, and fails', 2, async (lab) => {
  const table = lab.scratch.path('machines.csv');
  writeFileSync(table, 'mac,hostname\n52:54:00:00:00:01,pc-01\n');
  await copyAndLook(lab, `${hook('personalize')} ${table}`, 9, (client, _partition, mounted) => {
    assert.match(client.last('error').message, /is not in .*machines\.csv/);
    assert.equal(readFileSync(join(mounted, 'etc/hostname'), 'utf8'), 'golden\n');
  });
});
