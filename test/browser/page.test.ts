/** The fleet page with clients that only say what real ones would, and with strangers. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { browserTest, ROWS_IN_SIGHT, type Stage } from './stage.js';

const mebibyte = 1 << 20;
const crowdPath = fileURLToPath(new URL('crowd-main.js', import.meta.url));

/** A crowd on the server's own host. */
async function comes(stage: Stage, count: number): Promise<void> {
  const crowd = stage.world.host(1).start(process.execPath, [crowdPath, '7500', String(count)]);
  await crowd.waitText('here', 30_000);
}

const onSelf = ['-i', 'lo', '-g', '239.7.7.7'];

browserTest(
  'a thousand machines scroll, and a name of markup stays a name',
  [{}],
  async (stage) => {
    const { page, scratch } = stage;
    const image = scratch.randomFile('lab.img', 4 * mebibyte);
    const { url } = await stage.serve(['-f', image, ...onSelf, '--hold']);
    await page.goTo(url);
    await comes(stage, 1000);
    await page.until("document.querySelector('#filters b').textContent === '1,000'");
    const rowCount = "document.querySelectorAll('.row').length";
    assert((await page.run<number>(rowCount)) < 80, 'only rows in sight exist');

    // Frames while it scrolls from end to end: the longest pause between two of them.
    const longestMs = await page.run<number>(`new Promise((done) => {
    const list = document.getElementById('list');
    let last = performance.now(), longest = 0, step = 0;
    const turn = (now) => {
      longest = Math.max(longest, now - last);
      last = now;
      list.scrollTop = (list.scrollHeight - list.clientHeight) * (step / 120);
      if (step++ < 120) requestAnimationFrame(turn); else done(longest);
    };
    requestAnimationFrame(turn);
  })`);
    assert(longestMs < 500, `a frame took ${longestMs} ms`);
    assert((await page.run<number>(rowCount)) < 80);

    await page.run("document.getElementById('search').focus()");
    await page.type('<script>');
    await page.until(`${ROWS_IN_SIGHT}.join() === "<script>globalThis.isHacked = 1</script>"`);
    assert.equal(await page.run('globalThis.isHacked === undefined'), true);
    await page.run("document.querySelector('.row').click()");
    await page.until("document.getElementById('machine-dialog').open");
    const name = "document.getElementById('machine-name').textContent";
    assert.equal(await page.run(name), '<script>globalThis.isHacked = 1</script>');
    assert.equal(await page.run("document.querySelectorAll('script').length"), 1);
    await page.press('Escape');
    await page.run("search.value = ''; search.dispatchEvent(new Event('input'))");
    await stage.keep('thousand');
    assert.deepEqual(page.troubles, []);
  },
);

browserTest('whoever has no mouse can do everything', [{}], async (stage) => {
  const { page, scratch } = stage;
  const image = scratch.randomFile('lab.img', 4 * mebibyte);
  const { server, url } = await stage.serve(['-f', image, ...onSelf, '--hold']);
  await comes(stage, 30);
  await page.goTo(url);
  await page.until("document.querySelector('#filters b')?.textContent === '30'");
  const pressTabUntil = async (id: string) => {
    for (let count = 0; count < 30; count++) {
      await page.press('Tab');
      if (await page.run(`document.activeElement.id === '${id}'`)) return;
    }
    throw new Error(`no way leads to ${id}`);
  };
  const isOpen = (id: string) => page.until(`document.getElementById('${id}').open`);

  await pressTabUntil('list');
  await page.press('End');
  const lastIndex = "document.querySelector('[aria-selected=true]')?.dataset.index";
  await page.until(`${lastIndex} === '29'`);
  await page.press('ArrowUp');
  await page.press('Enter');
  await isOpen('machine-dialog');
  await stage.keep('machine');
  await pressTabUntil('drop');
  await page.press('Enter');
  await isOpen('confirm-dialog');
  assert.equal(await page.run('document.activeElement.value'), 'cancel', 'nothing by accident');
  await page.press('Tab');
  await page.press('Enter');
  await server.waitFor('client-dropped');
  await page.until("document.body.textContent.includes(' was dropped')");
  const count = await page.run("document.querySelector('#filters b').textContent");
  assert.equal(count, '30', 'it is not forgotten');

  await page.run('document.activeElement.blur()');
  await pressTabUntil('rate');
  await page.press('Enter');
  await isOpen('rate-dialog');
  await page.type('250');
  await page.press('Enter');
  const set = await server.waitFor('rate-set');
  assert.equal(set.ceilingBitsPerSecond, 250e6);

  await page.run("document.getElementById('mark')?.focus(); document.activeElement.blur()");
  await pressTabUntil('start');
  await page.press('Enter');
  await server.waitFor('started');
  await pressTabUntil('stop');
  await page.press('Enter');
  await isOpen('confirm-dialog');
  await page.press('Tab');
  await page.press('Enter');
  await server.waitStatus(0);
  await page.until("document.getElementById('run-state').textContent === 'Ended'");
});

browserTest(
  'without the token there is nothing, and with it everything',
  [{}, {}],
  async (stage) => {
    const { page, scratch, world } = stage;
    const image = scratch.randomFile('lab.img', mebibyte);
    const { address } = world.host(1);
    const { url } = await stage.serve(['-f', image], `${address}:0`);
    const { origin, searchParams } = new URL(url);
    assert.equal(searchParams.get('token')?.length, 22);
    const text = "document.body?.innerText.includes('Open the link with its token')";
    await page.goTo(origin);
    await page.until(text);
    await page.goTo(`${origin}/?token=wrong`);
    await page.until(text);
    await page.goTo(url);
    await page.until("document.getElementById('image-name')?.textContent === 'lab.img'");
    assert.equal(await page.run('location.href'), `${origin}/`, 'the token is not left to be seen');
    // What was kept opens it again.
    await page.goTo(origin);
    await page.until("document.getElementById('image-name')?.textContent === 'lab.img'");
    const statuses = await page.run<number[]>(`Promise.all([
    fetch('/metrics'), fetch('/api/state'), fetch('/api/nothing', { method: 'POST',
      headers: { 'content-type': 'application/json' } }),
  ].map((answer) => answer.then(({ status }) => status)))`);
    assert.deepEqual(statuses, [200, 200, 404]);
  },
);
