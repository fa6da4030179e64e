/** What whoever sits at a terminal sees, and can still prevent. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Lab, labTest } from './lab.js';
import { programPath } from './programs.js';
import type { RunningProcess } from './running.js';
import { sha256OfFile } from './scratch.js';
import { toolPath } from './tools.js';

const mebibyte = 1 << 20;

/** A client of host 2 on a terminal of its own; what it shows is in `lines`. */
function startOnTerminal(lab: Lab, args: string[]): RunningProcess {
  const words = [process.execPath, programPath('multiclient'), '-i', 'e0', ...args];
  return lab.world
    .host(2)
    .start(toolPath('script'), ['-qefc', `stty cols 60; exec ${words.join(' ')}`, '/dev/null']);
}

/** The program that `script` has started. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
}

const shown = (program: RunningProcess) => program.lines.join(' ').replace(/\s+/g, ' ');

labTest('on a terminal there is time to think better of overwriting a disk', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const disk = lab.scratch.randomFile('old.disk', 4 * mebibyte);
  const before = await sha256OfFile(disk);
  const device = lab.scratch.loopDevice(disk);
  lab.startServer(['-f', image]);
  const client = startOnTerminal(lab, ['-o', device]);
  const isWarned = () => /OVERWRITTEN with 'disk\.img'/.test(shown(client)) || undefined;
  await client.waitUntil('the warning', isWarned);
  assert.match(shown(client), new RegExp(`${device} is about to be OVERWRITTEN .*4\\.19 MB`));
  process.kill(childOf(client.pid), 'SIGINT');
  await client.waitStatus(130);
  assert.match(shown(client), /interrupted: nothing was written/);
  for (const line of client.lines) {
    for (const part of line.split('\r')) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal's own codes
      assert(part.replace(/\u001b\[K/g, '').length < 100, part);
    }
  }
  assert.equal(await sha256OfFile(disk), before);
});

labTest('--yes asks for no time, and a copy goes to the end', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const device = lab.scratch.loopDevice(lab.scratch.randomFile('old.disk', 4 * mebibyte));
  lab.startServer(['-f', image]);
  const client = startOnTerminal(lab, ['-o', device, '--yes']);
  await client.waitStatus(0);
  assert.doesNotMatch(shown(client), /OVERWRITTEN/);
  assert.equal(await sha256OfFile(device), await sha256OfFile(image));
});
