/** Small changes cost what changed, not the chunks that they lie in. */

import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { Random } from '../sim/random.js';
import { labTest } from './lab.js';

const mebibyte = 1 << 20;

for (const path of [[], ['--no-offload'], ['--compress', 'off'], ['--key']]) {
  const isServers = path.includes('--compress');
  const isSealed = path.includes('--key');
  labTest(`ten edits of 4 KiB in 256 MiB ${path.join(' ')}`, 4, async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 256 * mebibyte);
    const key = isSealed ? ['--key', lab.scratch.path('lab.secret')] : [];
    if (isSealed) await lab.startServer(['--new-key', key[1]!]).waitStatus(0);
    const common = isSealed ? key : path;
    const random = new Random(11);
    const edits = Array.from({ length: 10 }, () => random.below(256 * 256) * 4096);
    for (const host of [2, 3, 4]) {
      const copy = lab.copyPath(host);
      lab.scratch.randomFile(`copy-${host}.img`, 256 * mebibyte, 'disk.img');
      const fd = openSync(copy, 'r+');
      for (const at of edits) writeSync(fd, random.fill(Buffer.alloc(4096)), 0, 4096, at);
      closeSync(fd);
    }
    const clients = [2, 3, 4].map((host) =>
      lab.startClient(host, ['--resume', ...(isServers ? [] : common)]),
    );
    const server = lab.startServer(['-f', image, '--exit-after', '3', '--no-cache', ...common]);
    await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
    for (const host of [2, 3, 4]) lab.scratch.assertCopy(lab.copyPath(host), image);
    const { wireBytes } = server.last('ended');
    const share = wireBytes / (256 * mebibyte);
    assert(share <= 0.012, `${(share * 100).toFixed(2)} % of the image went over the wire`);
  });
}
