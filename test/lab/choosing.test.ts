/** Which image: two servers, none, and names that decide. */

import assert from 'node:assert/strict';
import { labTest } from './lab.js';
import { startServer } from './programs.js';

const mebibyte = 1 << 20;

labTest('two servers: the client lists both, and --image chooses', 3, async (lab) => {
  const { scratch, world } = lab;
  const alpha = scratch.randomFile('alpha.img', 2 * mebibyte);
  const beta = scratch.randomFile('beta.img', 3 * mebibyte);
  const servers = [alpha, beta].map((image, index) =>
    startServer(world.host(index + 1), ['-f', image]),
  );
  for (const server of servers) await server.waitFor('serving');

  const undecided = lab.startClient(3);
  await undecided.waitStatus(6);
  const { message } = undecided.last('error');
  assert.match(message, /alpha\.img/);
  assert.match(message, /beta\.img/);

  await lab.startClient(3, ['--image', 'beta.img']).waitStatus(0);
  scratch.assertCopy(lab.copyPath(3), beta);
  scratch.remove(lab.copyPath(3));
  await lab.startClient(3, ['--image', 'alpha.img']).waitStatus(0);
  scratch.assertCopy(lab.copyPath(3), alpha);
});

labTest('no server: --give-up ends the wait', 2, async (lab) => {
  await lab.startClient(2, ['--give-up', '2']).waitStatus(5);
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false);
});

labTest('options that do not agree with the server are named', 3, async (lab) => {
  const image = lab.scratch.randomFile('disk.img', mebibyte);
  await lab.startServer(['-f', image]).waitFor('serving');
  const swapped = lab.startClient(2, ['-p', '7500', '-s', '16000']);
  const elsewhere = lab.startClient(3, ['-g', '225.0.20.99']);
  // After 3 s it asks at the usual port, too: the answer, which ends it with what to do, may be
  // first.
  await swapped
    .waitFor('notice', ({ text }) => /start again with -s 7500/.test(text))
    .catch(() => assert.equal(swapped.last('error').code, 'OTHER_GROUP'));
  await elsewhere.waitFor('notice', ({ text }) =>
    /again with -g 225\.0\.20\.10 -p 1600/.test(text),
  );
});

labTest(
  'a server that is heard, and asked at another port than its own, is named',
  3,
  async (lab) => {
    const image = lab.scratch.randomFile('disk.img', 8 * mebibyte);
    lab.startServer(['-f', image, '-s', '7501', '--rate', '10M']);
    const heard = lab.startClient(2, ['-s', '7501']);
    await heard.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
    const unheard = lab.startClient(3);
    await unheard.waitFor('notice', ({ text }) =>
      /sends to this group, but none answers/.test(text),
    );
  },
);
