/** A key, and all that tells of a run: none of it tells the key, and an operator's word holds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Random } from '../sim/random.js';
import { digestsIn, fill, kinds } from './file-systems.js';
import { type Lab, labTest } from './lab.js';
import type { ServerProgram } from './programs.js';

const mebibyte = 1 << 20;

/** Runs a script of Node on the server's host. @returns what it printed */
async function onServerHost(lab: Lab, script: string): Promise<string> {
  const running = lab.world.host(1).start(process.execPath, ['--input-type=module', '-e', script]);
  await running.waitStatus(0);
  return running.lines.join('\n');
}

async function shareKey(lab: Lab): Promise<{ path: string; text: string }> {
  const path = lab.scratch.path('lab.secret');
  const maker = lab.startServer(['--new-key', path]);
  await maker.waitStatus(0);
  const text = readFileSync(path, 'latin1').trim();
  assertNoKey(text, [maker]);
  return { path, text };
}

/** Neither as it is in its file nor as its bytes, in what programs have said or in `texts`. */
function assertNoKey(
  key: string,
  programs: { lines: readonly string[]; stderr: string }[],
  texts: Record<string, string> = {},
): void {
  const forms = [key, Buffer.from(key, 'base64').toString('hex')];
  const said = programs.flatMap(({ lines, stderr }) => [...lines, stderr]);
  for (const [what, text] of [...said.entries(), ...Object.entries(texts)]) {
    for (const form of forms) assert.ok(!text.includes(form), `${what} holds the key`);
  }
}

for (const compress of [[], ['--compress', 'off']]) {
  labTest(`with a key: --used-only ${compress.join(' ')}`, 2, async (lab) => {
    const { path: keyPath } = await shareKey(lab);
    const key = ['--key', keyPath];
    const kind = kinds['ext4 of 4 KiB']!;
    const { path, digests } = fill(lab.scratch, 'fs.img', kind, 24 * mebibyte, new Random(5));
    const args = ['-f', path, '--used-only', '--exit-after', '1', ...compress, ...key];
    const server = lab.startServer(args);
    const { mapId } = await server.waitFor('prepared');
    // Nothing is written before it is proven, and free is only what the map says to be so.
    const client = lab.startClient(2, [...key, '--expect', mapId]);
    await Promise.all([server.waitStatus(0), client.waitStatus(0)]);
    const { wireBytes } = server.last('ended');
    const { usedBytes } = server.last('used');
    assert(wireBytes <= 1.1 * usedBytes, `${wireBytes} bytes for ${usedBytes} that are used`);
    assert(client.last('proven').progress.freeBytes > 0);
    kind.check(lab.copyPath(2));
    assert.deepEqual(digestsIn(lab.scratch, lab.copyPath(2), kind), digests);
  });
}

const idOf = (server: ServerProgram, address: string): string =>
  server.all('client-joined').find(({ client }) => client.address === address)!.client.id;

labTest(
  'with a key: page, metrics, record and events, and a machine is dropped',
  3,
  async (lab) => {
    const { path, text } = await shareKey(lab);
    const key = ['--key', path];
    const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
    const report = lab.scratch.path('report.jsonl');
    const args = [
      '-f',
      image,
      '--web',
      '0',
      '--rate',
      '4M',
      '--report',
      report,
      '--exit-after',
      '1',
    ];
    const server = lab.startServer([...args, '--wait-for', '2', ...key]);
    const { url } = await server.waitFor('page');
    const clients = [2, 3].map((host) =>
      lab.startClient(host, [...key, '--label', `desk ${host}`]),
    );
    await clients[0]!.waitFor('progress', ({ progress }) => progress.blocksReceived > 0);
    const get = (place: string) => `console.log(await (await fetch('${url}${place}')).text())`;
    const state = await onServerHost(lab, get('api/state'));
    const metrics = await onServerHost(lab, get('metrics'));
    assert.match(state, /desk 2/);
    assert.match(metrics, /label="desk 3"/);
    const order = (name: string, body: object) =>
      onServerHost(
        lab,
        `console.log((await fetch('${url}api/${name}', { method: 'POST',
      body: '${JSON.stringify(body)}', headers: { 'content-type': 'application/json' } })).status)`,
      );
    const id = idOf(server, lab.world.host(2).address);
    assert.equal(await order('drop', { id }), '200');
    await clients[0]!.waitStatus(5);
    assert.equal(clients[0]!.last('error').code, 'DROPPED');
    assert.equal(await order('rate', { bitsPerSecond: null }), '200');
    await Promise.all([clients[1]!.waitStatus(0), server.waitStatus(0)]);
    lab.scratch.assertCopy(lab.copyPath(3), image);
    const rows = readFileSync(report, 'utf8');
    assert.deepEqual(
      rows
        .trim()
        .split('\n')
        .map((row) => JSON.parse(row).verdict),
      ['dropped', 'copied'],
    );
    assertNoKey(text, [server, ...clients], { state, metrics, rows });
  },
);
