/** The fleet page's API and metrics, as programs read them. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import type { FleetState } from '../../src/node/web/api.js';
import { type Lab, labTest } from './lab.js';
import { runTool, toolPath } from './tools.js';

const mebibyte = 1 << 20;

/** Runs a script of Node on the server's host. @returns what it printed */
async function onServerHost(lab: Lab, script: string): Promise<string> {
  const running = lab.world.host(1).start(process.execPath, ['--input-type=module', '-e', script]);
  await running.waitStatus(0);
  return running.lines.join('\n');
}

/** Orders what a button of the page does. @returns the status of the answer */
function order(lab: Lab, url: string, name: string, body: object): Promise<string> {
  const script = `const headers = { 'content-type': 'application/json' };
    const body = '${JSON.stringify(body)}';
    const { status } = await fetch('${url}api/${name}', { method: 'POST', body, headers });
    console.log(status);`;
  return onServerHost(lab, script);
}

const get = (url: string) => `console.log(await (await fetch('${url}')).text())`;

labTest('promtool finds nothing wrong with the metrics, while clients copy', 4, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
  const server = lab.startServer(['-f', image, '--web', '0', '--rate', '20M', '--exit-after', '3']);
  const { url } = await server.waitFor('page');
  const clients = [2, 3, 4].map((number) => lab.startClient(number, ['--label', `"${number}"\\`]));
  await clients[0]!.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
  const text = await onServerHost(lab, get(`${url}metrics`));
  assert.match(text, /^multiserver_state\{state="sending"\} 1$/m);
  assert.match(text, /^multiserver_client_progress_ratio\{.*label="\\"2\\"\\\\"\} 0\.\d+$/m);
  // It says nothing, and ends well, when there is nothing to say.
  assert.equal(runTool('promtool', ['check', 'metrics'], `${text}\n`), '');
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
});

labTest("Debian's Prometheus scrapes a server", 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const server = lab.startServer(['-f', image, '--web', `${lab.world.host(1).address}:0`]);
  const { host, searchParams } = new URL((await server.waitFor('page')).url);
  const config = lab.scratch.path('prometheus.yml');
  const token = searchParams.get('token');
  writeFileSync(
    config,
    'scrape_configs:\n' +
      '  - job_name: multiserver\n    scrape_interval: 1s\n' +
      `    authorization:\n      credentials: ${token}\n` +
      `    static_configs:\n      - targets: ['${host}']\n`,
  );
  const prometheus = lab.world
    .host(2)
    .start(toolPath('prometheus'), [
      `--config.file=${config}`,
      `--storage.tsdb.path=${lab.scratch.path('tsdb')}`,
      '--web.listen-address=127.0.0.1:9090',
    ]);
  const query = 'http://127.0.0.1:9090/api/v1/query?query=multiserver_image_bytes';
  const script = `for (let i = 0; i < 150; i++) {
    const answer = await fetch('${query}').then((a) => a.json()).catch(() => null);
    const value = answer?.data?.result?.[0]?.value?.[1];
    if (value !== undefined) { console.log(value); process.exit(0); }
    await new Promise((done) => setTimeout(done, 200));
  }
  process.exit(1)`;
  const asking = lab.world.host(2).start(process.execPath, ['--input-type=module', '-e', script]);
  await asking.waitStatus(0);
  assert.deepEqual(asking.lines, [String(mebibyte)]);
  prometheus.kill('SIGTERM');
});

labTest(
  'a client that is dropped ends, and says why; started again, it is served',
  3,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
    const report = lab.scratch.path('report.csv');
    const args = ['-f', image, '--web', '0', '--rate', '4M', '--report', report];
    const server = lab.startServer([...args, '--exit-after', '2']);
    const { url } = await server.waitFor('page');
    const client = lab.startClient(2);
    await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 0);
    const { id } = server.last('client-joined').client;
    assert.equal(await order(lab, url, 'drop', { id }), '200');
    await client.waitStatus(5);
    assert.equal(client.last('error').code, 'DROPPED');
    assert.equal(await order(lab, url, 'rate', { bitsPerSecond: null }), '200');
    await lab.startClient(2).waitStatus(0);
    await Promise.all([server.waitStatus(0), lab.startClient(3).waitStatus(0)]);
    lab.scratch.assertCopy(lab.copyPath(2), image);
    const verdicts = readFileSync(report, 'utf8').trim().split('\n').slice(1);
    assert.deepEqual(
      verdicts.map((line) => line.split(',')[2]),
      ['dropped', 'copied', 'copied'],
    );
  },
);

labTest('the end waits for nobody who was dropped, and names who was', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', 4 * mebibyte);
  const args = ['-f', image, '--web', '0', '--rate', '4M', '--exit-after', '2'];
  const server = lab.startServer(args);
  const { url } = await server.waitFor('page');
  const client = lab.startClient(2, ['--label', 'desk 2']);
  await client.waitFor('progress', ({ progress }) => progress.blocksReceived > 0);
  const { id } = server.last('client-joined').client;
  assert.equal(await order(lab, url, 'drop', { id }), '200');
  await Promise.all([client.waitStatus(5), lab.startClient(3).waitStatus(0)]);
  await server.waitStatus(16);
  assert.match(server.last('error').message, /desk 2/);
  const ends = server.last('summary').clients.map(({ label, reason }) => [label, reason]);
  assert.deepEqual(ends, [
    ['desk 2', 'dropped by the operator'],
    ['', ''],
  ]);
});

labTest('a program reads the state, and orders what the page can', 2, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  const server = lab.startServer(['-f', image, '--web', '0', '--hold']);
  const { url } = await server.waitFor('page');
  const client = lab.startClient(2, ['--label', 'desk 2']);
  await server.waitFor('progress', ({ progress }) => progress.presentCount === 1);
  const state = JSON.parse(await onServerHost(lab, get(`${url}api/state`))) as FleetState;
  assert.equal(state.run.state, 'waiting');
  assert.deepEqual(
    state.clients.map(({ label, address }) => [label, address]),
    [['desk 2', lab.world.host(2).address]],
  );
  const post = (path: string, type: string, more = '') =>
    `console.log((await fetch('${url}api/${path}', { method: 'POST', body: '{}',
      headers: { 'content-type': '${type}' ${more} } })).status);`;
  const script = [
    post('start', 'text/plain'),
    post('start', 'application/json', ", origin: 'http://evil.example'"),
    post('nothing', 'application/json'),
    post('start', 'application/json'),
  ].join('\n');
  assert.equal(await onServerHost(lab, script), '415\n403\n404\n200');
  await client.waitStatus(0);
  assert.equal(await onServerHost(lab, post('stop', 'application/json')), '200');
  await server.waitStatus(0);
  assert.equal(server.last('ended').doneCount, 1);
});
