/** The fleet page while real clients copy. */
import assert from 'node:assert/strict';
import { startClient } from '../lab/programs.js';
import type { LinkOptions } from '../lab/world.js';
import { browserTest, ROWS_IN_SIGHT } from './stage.js';

const mebibyte = 1 << 20;
const CLIENTS = 40;
const LOSSY = 17;
/** What leaves at the test's rate in two seconds: by then the page has told. */
const TOLD_BY_BLOCKS = (2 * 8e6) / 8 / 1472;

const links = Array.from({ length: CLIENTS + 1 }, (_, index): LinkOptions => {
  if (index === 0) return { segmentationOffload: false };
  return index === LOSSY ? { lossRatio: 0.3 } : {};
});

browserTest('forty clients, of which one loses much: it is on top', links, async (stage) => {
  const { page, scratch, world } = stage;
  const image = scratch.randomFile('lab.img', 4 * mebibyte);
  const { server, url } = await stage.serve(['-f', image, '--hold', '--rate', '8M']);
  await page.goTo(url);
  await page.until("document.getElementById('run-state').textContent.startsWith('Waiting')");
  const clients = world.hosts.slice(1).map((host) => {
    const args = ['-o', scratch.path(`copy-${host.number}.img`), '--label', `desk-${host.number}`];
    return startClient(host, args);
  });
  await page.until(`document.querySelector('#filters b').textContent === '${CLIENTS}'`, 60_000);
  await server.waitFor('progress', ({ progress }) => progress.presentCount === CLIENTS);
  assert.equal(server.last('progress').progress.blocksSent, 0);

  await page.run("document.getElementById('start').click()");
  await server.waitFor('started', ({ reason }) => reason === 'operator');
  const startedMs = Date.now();
  await page.until(`${ROWS_IN_SIGHT}[0] === 'desk-${LOSSY + 1}'`);
  // How long it takes says how busy 42 programs keep the machine: so the stream is the clock.
  process.stdout.write(`on top after ${Date.now() - startedMs} ms\n`);
  const { blocksSent } = server.last('progress').progress;
  assert.ok(blocksSent <= TOLD_BY_BLOCKS, `${blocksSent} blocks were sent by then`);
  await page.until("document.getElementById('cells').ariaLabel.includes('sent')");
  await stage.keep('sending');

  await page.run("document.getElementById('pause').click()");
  await server.waitFor('paused');
  await page.until("document.getElementById('run-state').textContent === 'Paused'");
  await page.run("document.getElementById('pause').click()");
  await server.waitFor('resumed');
  const body = JSON.stringify({ bitsPerSecond: 400e6 });
  const headers = { 'content-type': 'application/json' };
  const request = JSON.stringify({ method: 'POST', headers, body });
  assert.equal(
    await page.run(`fetch('/api/rate', ${request}).then((answer) => answer.status)`),
    200,
  );
  await Promise.all(clients.map((client) => client.waitStatus(0)));
  for (const host of world.hosts.slice(1)) {
    scratch.assertCopy(scratch.path(`copy-${host.number}.img`), image);
  }
  await page.until(`document.getElementById('copies').textContent.startsWith('${CLIENTS}')`);
  await stage.keep('done');
  assert.deepEqual(page.troubles, []);
  assert(page.requests.every((address) => address.startsWith(new URL(url).origin)));
});
