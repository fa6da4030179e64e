/** The record of who got a copy, when the server dies or its disk is full. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { onCleanup } from '../lab/cleanup.js';
import { labTest } from '../lab/lab.js';
import { runTool } from '../lab/tools.js';

const mebibyte = 1 << 20;

interface Row {
  client: string;
  machine: string;
  verdict: string;
}

function rowsOf(path: string): Row[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  assert.equal(lines.pop(), '', 'the last row is whole');
  return lines.map((line) => JSON.parse(line) as Row);
}

for (const deaths of [1, 3]) {
  labTest(
    `a server that is killed ${deaths} times loses no row, and has none twice`,
    6,
    async (lab) => {
      const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
      const report = lab.scratch.path('report.jsonl');
      const args = ['-f', image, '--exit-after', '5', '--report', report, '--rate', '200M'];
      const clients = [2, 3, 4, 5, 6].map((number) => lab.startClient(number));
      for (let death = 0; death < deaths; death++) {
        const server = lab.startServer(args);
        // In the midst of the ends of clients, and of what is written for them.
        await server.waitFor(death === 0 ? 'client-done' : 'prepared');
        server.kill('SIGKILL');
        await server.exited;
      }
      const server = lab.startServer(args);
      await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
      const rows = rowsOf(report);
      assert.deepEqual(
        rows.map(({ verdict }) => verdict),
        Array(5).fill('copied'),
      );
      assert.equal(new Set(rows.map(({ machine }) => machine)).size, 5);
    },
  );
}

labTest(
  'a second server with the same record is refused, and takes no row away',
  3,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', mebibyte);
    const report = lab.scratch.path('report.jsonl');
    const args = ['-f', image, '--report', report];
    const first = lab.startServer([...args, '--exit-after', '2']);
    await first.waitFor('prepared');
    await lab.startClient(2).waitStatus(0);
    const second = lab.startServer([...args, '-g', '225.0.20.11', '-p', '16001', '-s', '7501']);
    await second.waitStatus(2);
    assert.equal(second.last('error').code, 'REPORT_IN_USE');
    await lab.startClient(3).waitStatus(0);
    await first.waitStatus(0);
    assert.equal(rowsOf(report).length, 2);
  },
);

labTest('a record on a full disk says whose rows it lacks, and has no torn row', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const folder = lab.scratch.makeFolder('small');
  runTool('mount', ['-t', 'tmpfs', '-o', 'size=8192', 'none', folder]);
  const unmount = onCleanup(() => runTool('umount', [folder]));
  try {
    const report = `${folder}/report.jsonl`;
    // Of one page, less than a row is left; the other one is free until the server has started.
    const line = { client: 'x', verdict: 'y', pad: 'z'.repeat(3900) };
    writeFileSync(report, `${JSON.stringify(line)}\n`);
    const args = ['-f', image, '--exit-after', '2', '--report', report];
    const server = lab.startServer(args);
    await server.waitFor('prepared');
    writeFileSync(`${folder}/other`, 'z'.repeat(4096));
    const clients = [lab.startClient(2), lab.startClient(3)];
    await Promise.all(clients.map((program) => program.waitStatus(0)));
    await server.waitStatus(9);
    assert.match(
      server.all('error')[0]!.message,
      /lacks 2 rows of .* \(copied\), .* \(copied\): no space/,
    );
    assert.equal(rowsOf(report).length, 1);
    await lab.startServer(args).waitStatus(2);
  } finally {
    unmount();
  }
});
