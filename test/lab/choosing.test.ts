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
