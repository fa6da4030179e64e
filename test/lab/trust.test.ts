/** Whose image it is: rivals that answer first and serve the same name get nothing written. */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Capture, runsWithin } from './capture.js';
import { type Lab, labTest } from './lab.js';
import { type ServerProgram, startClient, startServer } from './programs.js';
import { runTool } from './tools.js';

const mebibyte = 1 << 20;

interface Rivals {
  /** The image that is to be taken, and its server on host 1. */
  image: string;
  server: ServerProgram;
  mapId: string;
}

/** A rival on host 2 that is there first, and serves another image under the same name. */
async function startRivals(lab: Lab, options: string[] = []): Promise<Rivals> {
  const { scratch, world } = lab;
  mkdirSync(scratch.path('rival'));
  const other = scratch.randomFile('rival/lab.img', 6 * mebibyte);
  const rival = startServer(world.host(2), ['-f', other]);
  await rival.waitFor('prepared');
  const image = scratch.randomFile('lab.img', 6 * mebibyte);
  const server = lab.startServer(['-f', image, ...options]);
  const { mapId } = await server.waitFor('prepared');
  return { image, server, mapId };
}

labTest('--expect: the rival is named and passed over, and the true copy made', 3, async (lab) => {
  const { image, mapId } = await startRivals(lab);
  const client = lab.startClient(3, ['--expect', mapId.slice(0, 16)]);
  await client.waitStatus(0);
  lab.scratch.assertCopy(lab.copyPath(3), image);
  assert.equal(client.last('proven').mapId, mapId);
  assert.equal(client.last('server-found').address, lab.world.host(1).address);
});

labTest(
  '--expect: with rivals alone, the client waits, and gives up with its reason',
  3,
  async (lab) => {
    const { server } = await startRivals(lab);
    server.kill('SIGTERM');
    await server.waitExit();
    const expect = ['--expect', '0123456789abcdef'];
    const client = lab.startClient(3, [...expect, '--give-up', '2']);
    await client.waitStatus(6);
    assert.equal(client.last('error').code, 'EXPECTED_OTHER');
    assert.equal(client.all('server-passed-over').length, 1);
    const named = lab.startClient(3, [...expect, '-s', lab.world.host(2).address]);
    await named.waitStatus(6, 5000);
    assert.equal(lab.scratch.exists(lab.copyPath(3)), false);
  },
);

labTest('the map id is shown before anything is written, and by --dry-run', 2, async (lab) => {
  const image = lab.scratch.randomFile('lab.img', 2 * mebibyte);
  const { mapId } = await lab.startServer(['-f', image]).waitFor('prepared');
  const client = lab.startClient(2, ['--dry-run']);
  await client.waitStatus(0);
  assert.match(client.last('notice').text, new RegExp(`image ${mapId}`));
  assert.equal(client.last('server-found').image.mapId, mapId);
  assert.equal(lab.scratch.exists(lab.copyPath(2)), false);
});

/** A pair of keys of Debian's minisign. @returns the paths of the public and the secret one */
function makeKeys(lab: Lab, name: string): [string, string] {
  const paths: [string, string] = [
    lab.scratch.path(`${name}.pub`),
    lab.scratch.path(`${name}.key`),
  ];
  runTool('minisign', ['-G', '-W', '-p', paths[0], '-s', paths[1]]);
  return paths;
}

const sign = (image: string, key: string, more: string[] = []): string =>
  runTool('minisign', ['-S', ...more, '-s', key, '-m', `${image}.image`]);

/** Prepares an image on host 1, and signs it. */
async function prepareSigned(lab: Lab, image: string, key: string, more: string[] = []) {
  await lab.startServer(['-f', image, '--prepare']).waitStatus(0);
  sign(image, key, more);
}

for (const more of [[], ['-l']]) {
  labTest(`--trust: what minisign signs is taken, a rival is not (${more})`, 3, async (lab) => {
    const { scratch, world } = lab;
    const [open, secret] = makeKeys(lab, 'lab');
    mkdirSync(scratch.path('rival'));
    const other = scratch.randomFile('rival/lab.img', 6 * mebibyte);
    await startServer(world.host(2), ['-f', other]).waitFor('prepared');
    const image = scratch.randomFile('lab.img', 6 * mebibyte);
    await prepareSigned(lab, image, secret, more);
    const { mapId } = await lab.startServer(['-f', image]).waitFor('prepared');
    // The key itself will do as well as its file.
    const key = readFileSync(open, 'utf8').split('\n')[1]!;
    for (const trust of [open, key]) {
      const client = lab.startClient(3, ['--trust', trust, '--force']);
      await client.waitStatus(0);
      scratch.assertCopy(lab.copyPath(3), image);
      assert.equal(client.last('proven').mapId, mapId);
    }
  });
}

labTest('--trust: each thing that is wrong has its own exit status', 2, async (lab) => {
  const { scratch } = lab;
  const [open, secret] = makeKeys(lab, 'lab');
  const [otherOpen, otherSecret] = makeKeys(lab, 'other');
  const image = scratch.randomFile('lab.img', 2 * mebibyte);
  const host = ['-s', lab.world.host(1).address];
  await prepareSigned(lab, image, secret);
  const signature = readFileSync(`${image}.image.minisig`, 'utf8');

  const served = async (expected: string, status: number, more: string[] = []): Promise<void> => {
    const server = lab.startServer(['-f', image]);
    await server.waitFor('prepared');
    const client = lab.startClient(2, [...host, '--trust', open, ...more]);
    await client.waitStatus(status);
    assert.equal(client.last('error').code, expected);
    assert.equal(scratch.exists(lab.copyPath(2)), false);
    assert.equal(scratch.exists(`${lab.copyPath(2)}.part`), false);
    server.kill('SIGTERM');
    await server.waitExit();
  };
  await served('OLDER_IMAGE', 14, ['--newer-than', '2199-01-01']);
  writeFileSync(`${image}.image.minisig`, signature.replace(/timestamp/, 'Timestamp'));
  await served('BAD_SIGNATURE', 11);
  sign(image, otherSecret);
  await served('OTHER_SIGNER', 12);
  rmSync(`${image}.image.minisig`);
  await served('NOT_SIGNED', 10);

  // Several keys: any of them will do.
  sign(image, otherSecret);
  await lab.startServer(['-f', image, '--exit-after', '1']).waitFor('prepared');
  await lab.startClient(2, ['--trust', open, '--trust', otherOpen]).waitStatus(0);
  scratch.assertCopy(lab.copyPath(2), image);
  const client = lab.startClient(2, ['--trust', image]);
  await client.waitStatus(2);
  assert.equal(client.last('error').code, 'PUBLIC_KEY_FORMAT');
});

labTest('the statement of another image is not handed out', 2, async (lab) => {
  const { scratch } = lab;
  const [open, secret] = makeKeys(lab, 'lab');
  const image = scratch.randomFile('lab.img', 2 * mebibyte);
  await prepareSigned(lab, image, secret);
  writeFileSync(image, 'another image');
  const server = lab.startServer(['-f', image]);
  await server.waitFor('notice', ({ text }) => /is not the statement of this image/.test(text));
  const client = lab.startClient(2, ['--trust', open, '--give-up', '1']);
  await client.waitStatus(10);
});

labTest(
  '--prepare leaves a statement of the same image alone: its signature stays good',
  1,
  async (lab) => {
    const { scratch } = lab;
    const [, secret] = makeKeys(lab, 'lab');
    const image = scratch.randomFile('lab.img', mebibyte);
    await prepareSigned(lab, image, secret);
    const before = readFileSync(`${image}.image`);
    const again = lab.startServer(['-f', image, '--prepare']);
    await again.waitStatus(0);
    assert.match(again.last('notice').text, /is signed already/);
    assert.deepEqual(readFileSync(`${image}.image`), before);
  },
);

/** A key that both sides share. @returns its options */
async function shareKey(lab: Lab, name: string): Promise<string[]> {
  const path = lab.scratch.path(name);
  await lab.startServer(['--new-key', path]).waitStatus(0);
  return ['--key', path];
}

labTest(
  '--key: a capture of a whole session holds nothing of the image, name or map',
  3,
  async (lab) => {
    const { scratch, world } = lab;
    const key = await shareKey(lab, 'lab.secret');
    // Zeros, text and noise: what compresses, and what does not.
    const runs = [
      { offsetBytes: 0, lengthBytes: 3 * mebibyte },
      { offsetBytes: 5 * mebibyte, lengthBytes: mebibyte },
    ];
    const image = scratch.sparseFile('secret-name-of-the-image.img', 9 * mebibyte, runs);
    const text = Buffer.alloc(mebibyte, 'root:$6$a password hash that nobody may read\n');
    const fd = openSync(image, 'r+');
    writeSync(fd, text, 0, text.length, 4 * mebibyte);
    closeSync(fd);
    const capture = await Capture.start(world.host(1));
    const server = lab.startServer(['-f', image, '--exit-after', '1', ...key]);
    await lab.startClient(2, key).waitStatus(0);
    await server.waitStatus(0);
    scratch.assertCopy(lab.copyPath(2), image);
    const heard = await capture.stop();
    const plain = readFileSync(image);
    assert.ok(heard.length > 4 * mebibyte, `${heard.length} bytes were heard`);
    const { mapId } = server.last('prepared');
    const secrets = {
      image: plain,
      map: readFileSync(`${image}.blockmap`),
      'map id': Buffer.from(mapId, 'hex'),
      name: Buffer.from('secret-name-of-the-image.img'),
    };
    for (const [what, bytes] of Object.entries(secrets)) {
      assert.equal(runsWithin(heard, bytes), 0, `runs of 16 bytes of the ${what}`);
    }
    // Without a key, the same look finds them: it is no blind one.
    const open = await Capture.start(world.host(1));
    const openServer = lab.startServer(['-f', image, '--exit-after', '1', '--compress', 'off']);
    await startClient(world.host(3), ['-o', lab.copyPath(3)]).waitStatus(0);
    await openServer.waitStatus(0);
    const heardOpen = await open.stop();
    for (const [what, bytes] of Object.entries(secrets)) {
      assert.notEqual(runsWithin(heardOpen, bytes), 0, `runs of the ${what}, without a key`);
    }
  },
);

labTest('--key: another key, none, and a server without one', 3, async (lab) => {
  const { scratch, world } = lab;
  const key = await shareKey(lab, 'lab.secret');
  const other = await shareKey(lab, 'other.secret');
  const image = scratch.randomFile('lab.img', 2 * mebibyte);
  const server = lab.startServer(['-f', image, ...key]);
  await server.waitFor('prepared');
  const startedMs = performance.now();
  const wrong = lab.startClient(2, [...other, '--give-up', '3']);
  await wrong.waitStatus(15);
  assert.equal(wrong.last('error').code, 'OTHER_KEY');
  assert.ok(performance.now() - startedMs < 8000);
  const none = lab.startClient(2, ['-s', world.host(1).address]);
  await none.waitStatus(15);
  assert.equal(none.last('error').code, 'KEY_NEEDED');
  // The server was told nothing: no client, no name of a machine.
  for (const type of ['client-joined', 'client-done', 'client-failed'] as const) {
    assert.equal(server.all(type).length, 0, type);
  }
  await lab.startClient(3, key).waitStatus(0);
  scratch.assertCopy(lab.copyPath(3), image);
  server.kill('SIGTERM');
  await server.waitExit();
  assert.equal(scratch.exists(lab.copyPath(2)), false);
});

labTest('--key: a rival that answers first is heard by nobody', 3, async (lab) => {
  const key = await shareKey(lab, 'lab.secret');
  const { image, mapId } = await startRivals(lab, key);
  const client = lab.startClient(3, key);
  await client.waitStatus(0);
  lab.scratch.assertCopy(lab.copyPath(3), image);
  assert.equal(client.last('proven').mapId, mapId);
});

labTest(
  '--key: blocks are lost, and machines come and go, as without one',
  [{}, { lossRatio: 0.02 }, { lossRatio: 0.05 }],
  async (lab) => {
    const key = await shareKey(lab, 'lab.secret');
    const image = lab.scratch.randomFile('lab.img', 12 * mebibyte);
    const server = lab.startServer(['-f', image, '--exit-after', '2', '--rate', '80M', ...key]);
    const crashed = lab.startClient(2, key);
    await crashed.waitFor('progress', ({ progress }) => progress.writtenBytes > 0);
    crashed.kill('SIGKILL');
    await crashed.exited;
    const clients = [2, 3].map((host) => lab.startClient(host, key));
    await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
    for (const host of [2, 3]) lab.scratch.assertCopy(lab.copyPath(host), image);
  },
);
