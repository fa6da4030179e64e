/**
 * A rival that has no image, but names the id of the true one, and repeats what its owner signed:
 * nothing of it is written, and the copy comes from the true server.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { type Lab, labTest } from '../lab/lab.js';
import { runTool } from '../lab/tools.js';
import type { ImpostorOptions } from './impostor.js';
import { Tally } from './tally.js';

const mebibyte = 1 << 20;
const sizeBytes = 3 * mebibyte;
const impostorPath = fileURLToPath(new URL('./impostor.js', import.meta.url));

interface Signed {
  image: string;
  publicKeyPath: string;
}

/** An image on host 1 that is prepared and signed. */
async function signedImage({ scratch, startServer }: Lab): Promise<Signed> {
  const image = scratch.randomFile('lab.img', sizeBytes);
  const publicKeyPath = scratch.path('lab.pub');
  const secretKeyPath = scratch.path('lab.key');
  await startServer(['-f', image, '--prepare']).waitStatus(0);
  runTool('minisign', ['-G', '-W', '-p', publicKeyPath, '-s', secretKeyPath]);
  runTool('minisign', ['-S', '-s', secretKeyPath, '-m', `${image}.image`]);
  return { image, publicKeyPath };
}

for (const how of ['--expect', '--trust']) {
  labTest(
    `${how}: a rival that lies about its image is left for the true server`,
    3,
    async (lab) => {
      const tally = new Tally();
      const { image, publicKeyPath } = await signedImage(lab);
      const first = lab.startServer(['-f', image]);
      const { mapId } = await first.waitFor('prepared');
      const { group, port, serverPort, name } = first.last('serving');
      first.kill('SIGTERM');
      await first.waitExit();

      const claims: ImpostorOptions = {
        ownAddress: lab.world.host(2).address,
        group,
        port,
        serverPort,
        name,
        sizeBytes,
        mapId,
        statementPath: `${image}.image`,
        signaturePath: `${image}.image.minisig`,
      };
      const impostor = lab.world
        .host(2)
        .start(process.execPath, [impostorPath, JSON.stringify(claims)]);
      await impostor.waitUntil('a socket', () => impostor.lines.at(0));
      const only = how === '--trust' ? ['--trust', publicKeyPath] : ['--expect', mapId];
      const client = lab.startClient(3, only);
      const found = await client.waitFor('server-found');
      assert.equal(found.address, claims.ownAddress, 'it is there first');
      lab.startServer(['-f', image]);
      await client.waitStatus(0);
      tally.compare(lab.copyPath(3), image);
      tally.faults += 1;
      const told = client.all('notice').map(({ text }) => text);
      assert.equal(told.filter((text) => /proves to be of the image/.test(text)).length, 1);
      tally.print(`${how}, a rival that lies`);
    },
  );
}
