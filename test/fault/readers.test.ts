/** Readers of a program's output that do not read, and terminals that go away. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Lab, labTest } from '../lab/lab.js';

const mebibyte = 1 << 20;
const program = (name: string) => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));

/** Runs a program of ours in a host, by way of a shell that says what becomes of its output. */
function inShell(lab: Lab, hostNumber: number, script: string, args: string[]) {
  const [ip, ipArgs] = lab.world.host(hostNumber).command('bash', ['-c', script, ...args]);
  return spawn(ip, ipArgs, { stdio: ['ignore', 'pipe', 'inherit'] });
}

labTest(
  'a reader that sleeps slows nothing down, and learns that it missed something',
  2,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 16 * mebibyte);
    lab.startServer(['-f', image]);
    const done = lab.scratch.path('done');
    // The pipe is full long before the end: a hundred events are made ready that nobody takes.
    const script = `
    fill() { head -c 65536 /dev/zero | tr '\\0' ' '; }
    { fill; "$0" "$@"; echo $? > ${done}; } | { while [ ! -e ${done} ]; do sleep 0.1; done; cat; }`;
    const args = [process.execPath, program('multiclient'), '-i', 'e0', '--json'];
    const shell = inShell(lab, 2, script, [...args, '-o', lab.copyPath(2)]);
    let text = '';
    shell.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const [status] = await once(shell, 'close');
    assert.equal(status, 0);
    lab.scratch.assertCopy(lab.copyPath(2), image);
    assert.equal(text.trim(), '', 'nothing could be written');
  },
);

for (const isNohup of [true, false]) {
  labTest(
    `SIGHUP ${isNohup ? 'is ignored under nohup' : 'ends both like SIGTERM'}`,
    2,
    async (lab) => {
      const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
      const rate = ['--rate', '40M'];
      if (!isNohup) {
        const server = lab.startServer(['-f', image, ...rate]);
        const client = lab.startClient(2);
        await client.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
        server.kill('SIGHUP');
        await server.waitStatus(129);
        assert.equal(server.last('error').code, 'HUNG_UP');
        await client.waitFor('notice', ({ text }) => /server was stopped/.test(text));
        client.kill('SIGHUP');
        await client.waitStatus(129);
        return;
      }
      lab.startServer(['-f', image, ...rate]);
      const pidFile = lab.scratch.path('pid');
      const script = `nohup "$0" "$@" & echo $! > ${pidFile}; wait $!`;
      const args = [process.execPath, program('multiclient'), '-i', 'e0', '--json'];
      const client = inShell(lab, 2, script, [...args, '-o', lab.copyPath(2)]);
      for await (const part of client.stdout) {
        if (!/"writtenBytes":[1-9]/.test(String(part))) continue;
        process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGHUP');
      }
      if (client.exitCode === null) await once(client, 'close');
      assert.equal(client.exitCode, 0);
      lab.scratch.assertCopy(lab.copyPath(2), image);
    },
  );
}
