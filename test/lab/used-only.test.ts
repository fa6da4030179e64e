/**
 * `--used-only`, from one program to the other: what crosses the wire, what nobody may find there,
 * and what the copies are good for.
 */

import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { Random } from '../sim/random.js';
import { digestsIn, fill, type Kind, kinds } from './file-systems.js';
import { type Lab, labTest } from './lab.js';
import type { ServerProgram } from './programs.js';
import type { RunningProcess } from './running.js';
import { allocatedBytes } from './scratch.js';
import { requireLab, runTool } from './tools.js';

const mebibyte = 1 << 20;
const raw = ['--compress', 'off'];

requireLab('partclone.extfs', 'mkfs.xfs', 'mkfs.btrfs', 'ntfs-3g', 'mount.exfat-fuse', 'tcpdump');

/** All that leaves the server's host. */
async function startCapture(lab: Lab): Promise<RunningProcess> {
  const args = ['-i', 'e0', '-w', lab.scratch.path('capture'), '-B', '65536', '-U', 'udp'];
  const capture = lab.world.host(1).start('tcpdump', args);
  await capture.waitText('listening on');
  return capture;
}

async function endCapture(lab: Lab, capture: RunningProcess): Promise<Buffer> {
  capture.kill('SIGINT');
  await capture.waitExit();
  assert.match(capture.stderr, /^0 packets dropped/m);
  return readFileSync(lab.scratch.path('capture'));
}

/** What the sectors of an image begin with. */
function beginnings(bytes: Buffer): Set<string> {
  const found = new Set<string>();
  for (let at = 0; at < bytes.length; at += 512) found.add(bytes.toString('latin1', at, at + 16));
  return found;
}

const usedOf = (server: ServerProgram) => server.last('used');

for (const [name, kind] of Object.entries(kinds)) {
  labTest(`${name}: only what is used crosses the wire, and copies are sound`, 2, async (lab) => {
    const random = new Random(5);
    const { path, digests, deleted } = fill(lab.scratch, 'fs.img', kind, 24 * mebibyte, random);
    const capture = await startCapture(lab);
    const client = lab.startClient(2);
    const server = lab.startServer(['-f', path, '--used-only', '--exit-after', '1', ...raw]);
    await Promise.all([server.waitStatus(0), client.waitStatus(0)]);
    const wire = await endCapture(lab, capture);
    const { parts, usedBytes } = usedOf(server);
    assert.notEqual(parts[0]!.method, 'whole');
    const { wireBytes } = server.last('ended');
    assert(wireBytes <= 1.1 * usedBytes, `${wireBytes} bytes for ${usedBytes} that are used`);
    assert(wire.length > wireBytes / 2, 'the capture has it');

    // A file so small that it lies among the file system's own records is there until they are
    // reused.
    const source = beginnings(readFileSync(path));
    const left = deleted.filter((mark) => source.has(mark));
    assert(left.length > deleted.length / 2, 'deleted files are not on the disk anyway');
    for (const mark of left) assert(!wire.includes(mark, 0, 'latin1'), 'a deleted file was sent');

    const copy = lab.copyPath(2);
    const { freeBytes, provenBytes } = client.last('proven').progress;
    assert.equal(provenBytes, statSync(path).size);
    assert(allocatedBytes(copy) <= provenBytes - freeBytes);
    kind.check(copy);
    assert.deepEqual(digestsIn(lab.scratch, copy, kind), digests);
  });
}

interface Disk {
  path: string;
  parts: { name: string; kind: Kind; start: number; digests: Map<string, string> }[];
}

/** A disk with a GPT of four file systems. */
function makeDisk(lab: Lab, random: Random): Disk {
  const { scratch } = lab;
  const path = scratch.sparseFile('disk.img', 620 * mebibyte, []);
  const names = ['FAT32', 'ext4 of 4 KiB', 'xfs', 'ntfs'];
  const sizes = names.map((name) => kinds[name]!.sizeBytes / 1024);
  runTool('sfdisk', ['-q', path], ['label: gpt', ...sizes.map((size) => `,${size}K`)].join('\n'));
  const { partitiontable } = JSON.parse(runTool('sfdisk', ['-J', path]));
  const parts = names.map((name, index) => {
    const kind = kinds[name]!;
    const { start } = partitiontable.partitions[index];
    const filled = fill(scratch, `part-${index}`, kind, 12 * mebibyte, random);
    copySectors(filled.path, path, 0, start, kind.sizeBytes);
    scratch.remove(filled.path);
    return { name, kind, start, digests: filled.digests };
  });
  return { path, parts };
}

function copySectors(from: string, to: string, skip: number, seek: number, bytes: number): void {
  const where = [`skip=${skip}`, `seek=${seek}`, `count=${bytes / 512}`];
  runTool('dd', [`if=${from}`, `of=${to}`, 'bs=512', ...where, 'conv=notrunc', 'status=none']);
}

/** Every file system of a copy is sound, and has its files. */
function checkDisk(lab: Lab, { parts }: Disk, device: string): void {
  for (const { kind, start, digests } of parts) {
    const part = lab.scratch.sparseFile('part', kind.sizeBytes, []);
    copySectors(device, part, start, 0, kind.sizeBytes);
    kind.check(part);
    assert.deepEqual(digestsIn(lab.scratch, part, kind), digests);
    lab.scratch.remove(part);
  }
}

labTest('a disk of four file systems, onto devices that held other data', 5, async (lab) => {
  const { scratch } = lab;
  const disk = makeDisk(lab, new Random(6));
  const { size } = statSync(disk.path);
  const before = [2, 3, 4].map((host) => scratch.randomFile(`before-${host}`, size, 'earlier'));
  const [left, wiped, discarded] = before.map((path) => scratch.loopDevice(path));
  const source = scratch.loopDevice(disk.path);
  const server = lab.startServer(['-f', source, '--used-only', '--exit-after', '3']);
  const clients = [
    lab.startClient(2, ['-o', left!, '--verify']),
    lab.startClient(3, ['-o', wiped!, '--wipe-free']),
    lab.startClient(4, ['-o', discarded!, '--discard']),
  ];
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  for (const device of [left!, wiped!, discarded!]) checkDisk(lab, disk, device);

  // Where nothing is used: what was there, zeros, and nothing at all.
  const { freeBytes } = clients[0]!.last('proven').progress;
  assert(freeBytes > 400 * mebibyte);
  const earlier = scratch.randomFile('earlier', size, 'earlier');
  const bytes = [before[0]!, before[1]!, earlier].map((path) => readFileSync(path));
  let stayed = 0;
  for (let at = 0; at < size; at += mebibyte) {
    const [kept, zeroed, was] = bytes.map((all) => all.subarray(at, at + mebibyte));
    if (!kept!.equals(was!)) continue;
    stayed += kept!.length;
    assert(zeroed!.every((byte) => byte === 0));
  }
  assert.equal(stayed, freeBytes);
  assert(allocatedBytes(before[2]!) <= size - freeBytes + mebibyte);

  const again = lab.startServer(['-f', source, '--used-only']);
  const checks = [left!, wiped!, discarded!].map((device, index) =>
    lab.startClient(index + 2, ['-o', device, '--check']),
  );
  await Promise.all(checks.map((check) => check.waitStatus(0)));
  // One byte in each hundredth of what is used.
  const target = openSync(left!, 'r+');
  for (let at = 0; at < 24; at++) {
    writeSync(target, Buffer.from([at]), 0, 1, disk.parts[1]!.start * 512 + at * 65_536);
  }
  closeSync(target);
  const differing = lab.startClient(2, ['-o', left!, '--check']);
  await differing.waitStatus(8);
  const mended = lab.startClient(2, ['-o', left!, '--resume']);
  await mended.waitStatus(0);
  const { differingBytes, wireBytes } = mended.last('proven').progress;
  assert(differingBytes <= 4 * mebibyte && wireBytes < 1.1 * differingBytes + 100_000);
  checkDisk(lab, disk, left!);
  again.kill('SIGINT');
  await again.waitStatus(130);
});

labTest('an update of one in a hundred bytes costs what changed', 2, async (lab) => {
  const kind = kinds['ext4 of 4 KiB']!;
  const { path } = fill(lab.scratch, 'fs.img', kind, 24 * mebibyte, new Random(7));
  const serve = ['-f', path, '--used-only', '--exit-after', '1', ...raw];
  const first = [lab.startServer(serve), lab.startClient(2)];
  await Promise.all(first.map((program) => program.waitStatus(0)));
  const folder = lab.scratch.makeFolder('mounted');
  runTool('mount', ['-o', 'loop', path, folder]);
  const changed = lab.scratch.randomFile('changed', mebibyte / 4);
  runTool('cp', [changed, `${folder}/file-new`]);
  runTool('umount', [folder]);
  const update = lab.startClient(2, ['--resume']);
  const server = lab.startServer(serve);
  await Promise.all([server.waitStatus(0), update.waitStatus(0)]);
  const { differingBytes, wireBytes } = update.last('proven').progress;
  assert(differingBytes > 0 && differingBytes <= 8 * mebibyte);
  assert(wireBytes <= 1.1 * differingBytes + 100_000, `${wireBytes} for ${differingBytes}`);
  kind.check(lab.copyPath(2));
});

labTest('the recipe: a machine becomes an image, and the image serves the lab', 3, async (lab) => {
  const disk = makeDisk(lab, new Random(8));
  const golden = lab.scratch.loopDevice(disk.path);
  const image = lab.scratch.path('lab.img');
  // The host receives here, on the machine of the lab that will serve.
  const capture = lab.startClient(2, ['-o', image]);
  const machine = lab.startServer(['-f', golden, '--used-only', '--exit-after', '1']);
  await Promise.all([machine.waitStatus(0), capture.waitStatus(0)]);
  assert.equal(statSync(image).size, statSync(disk.path).size);
  const { usedBytes } = usedOf(machine);
  assert(allocatedBytes(image) < usedBytes + 16 * mebibyte, `${allocatedBytes(image)} are taken`);
  checkDisk(lab, disk, image);
  const client = lab.startClient(3);
  const server = lab.startServer(['-f', image, '--exit-after', '1']);
  await Promise.all([server.waitStatus(0), client.waitStatus(0)]);
  lab.scratch.assertCopy(lab.copyPath(3), image);
});

labTest(
  'a map of what is used is not taken for one of all, nor the other way round',
  1,
  async (lab) => {
    const kind = kinds['ext4 of 4 KiB']!;
    const { path } = fill(lab.scratch, 'fs.img', kind, 8 * mebibyte, new Random(9));
    runTool('sync', []);
    const prepare = async (...args: string[]) => {
      // The file system dates the image's last change by a clock of its own.
      const server = lab.startServer(['-f', path, '--prepare', ...args]);
      await server.waitStatus(0);
      return server.last('prepared');
    };
    const whole = await prepare();
    const used = await prepare('--used-only');
    assert.equal(used.fromCache, false);
    assert.notEqual(used.mapId, whole.mapId);
    assert.deepEqual(await prepare('--used-only').then(({ fromCache }) => fromCache), true);
    const wholeAgain = await prepare();
    assert.deepEqual([wholeAgain.fromCache, wholeAgain.mapId], [false, whole.mapId]);
  },
);

labTest('a mounted file system is refused, or sent whole by force', 1, async (lab) => {
  const kind = kinds['ext4 of 4 KiB']!;
  const { path } = fill(lab.scratch, 'fs.img', kind, 4 * mebibyte, new Random(10));
  const folder = lab.scratch.makeFolder('mounted');
  runTool('mount', ['-o', 'loop', path, folder]);
  try {
    const refused = lab.startServer(['-f', path, '--used-only']);
    await refused.waitStatus(4);
    assert.equal(refused.last('error').code, 'BUSY');
    const forced = lab.startServer(['-f', path, '--used-only', '--force']);
    const { parts } = await forced.waitFor('used');
    assert.deepEqual([parts[0]!.method, parts[0]!.usedBytes], ['whole', kind.sizeBytes]);
    forced.kill('SIGINT');
    await forced.waitExit();
  } finally {
    runTool('umount', [folder]);
  }
  // As after a power cut.
  runTool('debugfs', ['-w', '-R', 'set_super_value state 0', path]);
  const dirty = lab.startServer(['-f', path, '--used-only']);
  await dirty.waitStatus(4);
  assert.equal(dirty.last('error').code, 'NOT_CLEAN');
  const forced = lab.startServer(['-f', path, '--used-only', '--force', '--prepare']);
  await forced.waitStatus(0);
  assert.equal(forced.last('used').parts[0]!.method, 'whole');
});
