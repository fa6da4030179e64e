/**
 * `npm run demo`: one server, three clients, one of them late, all on this machine and over its
 * loopback interface. Shows what happens, then compares every copy with the image. Needs no root.
 * `npm run demo -- 50` makes an image of 50 MB instead of 200.
 */
import { randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatBytes, formatElapsed, formatPercent, formatRate } from '../../src/ui/units.js';
import { onCleanup } from '../lab/cleanup.js';
import { type ClientProgram, Program, type ServerProgram } from '../lab/programs.js';
import { makeImage, sha256OfFile } from './image.js';

const USUAL_MEGABYTES = 200;
const MIN_MEGABYTES = 20;
const MAX_MEGABYTES = 20_000;
/**
 * A pass would take as long as this without compression, whatever the image's size, so that there
 * is something to watch.
 */
const PASS_SECONDS = 6;
/** The late client starts when the pass is here. */
const LATE_AT_RATIO = 0.5;
const CLIENT_COUNT = 3;
const LATE_CLIENT = 3;
const GIVE_UP_SECONDS = 30;
const STATUS_MS = 1000;
/** Only ends a demo that hangs. */
const HANG_MS = 10 * 60_000;

const startedMs = performance.now();

function say(who: string, text: string): void {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`${seconds.padStart(6)} s  ${who.padEnd(8)}  ${text}\n`);
}

function readMegabytes(): number {
  const text = process.argv[2] ?? String(USUAL_MEGABYTES);
  const megabytes = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (megabytes >= MIN_MEGABYTES && megabytes <= MAX_MEGABYTES) return megabytes;
  throw new Error(
    `'${text}' is no size; give megabytes, from ${MIN_MEGABYTES} to ${MAX_MEGABYTES}`,
  );
}

/** A folder that is gone when this process is. */
async function makeFolder(megabytes: number): Promise<string> {
  const { bavail, bsize } = await statfs(tmpdir());
  const neededBytes = megabytes * 1e6 * (1 + CLIENT_COUNT);
  if (bavail * bsize < neededBytes) {
    throw new Error(
      `${tmpdir()} has ${formatBytes(bavail * bsize)} free, the demo needs ` +
        `${formatBytes(neededBytes)}; ` +
        'set TMPDIR to another folder, or try a smaller image: npm run demo -- 50',
    );
  }
  const folder = mkdtempSync(join(tmpdir(), 'multiserver-demo-'));
  onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function loopbackName(): string {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some(({ internal, family }) => internal && family === 'IPv4')) return name;
  }
  throw new Error('this machine has no loopback interface with an IPv4 address');
}

/** A UDP port that nobody uses at the moment. */
async function freePort(): Promise<number> {
  const socket = dgram.createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address() as AddressInfo;
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Options of both programs: a group and ports of this run's own, on loopback alone. */
async function networkOptions(): Promise<{ common: string[]; serverPort: string }> {
  const group = `239.${randomInt(192, 256)}.${randomInt(256)}.${randomInt(1, 255)}`;
  const port = String(await freePort());
  const serverPort = String(await freePort());
  return { common: ['--json', '-i', loopbackName(), '-g', group, '-p', port], serverPort };
}

function command(name: string): string {
  return fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));
}

function startServer(args: string[], rateBits: number): ServerProgram {
  const server: ServerProgram = new Program(process.execPath, [command('multiserver'), ...args]);
  server.observe = (event) => {
    if (event.type === 'serving') {
      const where = `group ${event.group} on ${event.interface}`;
      say('server', `serving ${formatBytes(event.sizeBytes)} to ${where}`);
      say('server', `slowed down to ${formatRate(rateBits)}, so that there is something to watch`);
    } else if (event.type === 'prepared') {
      say(
        'server',
        `block map prepared: a digest of each chunk, image ${event.mapId.slice(0, 16)}`,
      );
    } else if (event.type === 'pass-begun') {
      say('server', `pass ${event.pass} begins, ${event.pendingChunks} chunks to send`);
    } else if (event.type === 'client-done') {
      say('server', `${event.doneCount} of ${CLIENT_COUNT} clients hold a proven copy`);
    } else if (event.type === 'notice' || event.type === 'error') {
      say('server', 'text' in event ? event.text : event.message);
    }
  };
  return server;
}

function startClient(number: number, args: string[]): ClientProgram {
  const client: ClientProgram = new Program(process.execPath, [command('multiclient'), ...args]);
  const who = `client ${number}`;
  client.observe = (event) => {
    if (event.type === 'server-found') say(who, `found '${event.image.name}' at ${event.address}`);
    else if (event.type === 'proven') say(who, 'copy proven, and safe on the disk');
    else if (event.type === 'notice') say(who, event.text);
    else if (event.type === 'error') say(who, event.message);
  };
  return client;
}

function statusLine(server: ServerProgram, clients: ClientProgram[]): string {
  const { progress } = server.last('progress');
  const place = formatPercent(progress.cursorChunk / progress.chunkCount);
  const sending = progress.state === 'idle' ? 'idle' : `pass ${progress.pass} at ${place}`;
  const shares = clients.map((client, index) => {
    const seen = client.all('progress').at(-1)?.progress;
    if (client.all('proven').length > 0) return `client ${index + 1}: proven`;
    const ratio =
      seen === undefined || seen.sizeBytes === 0 ? 0 : seen.writtenBytes / seen.sizeBytes;
    return `client ${index + 1}: ${formatPercent(ratio)}`;
  });
  return [sending, ...shares].join('   ');
}

/** Compares the copies with the image. @returns whether all are the same */
async function compare(image: string, copies: string[]): Promise<boolean> {
  const expected = await sha256OfFile(image);
  process.stdout.write(`\n  image     sha256 ${expected}\n`);
  let isSame = true;
  for (const [index, copy] of copies.entries()) {
    const digest = await sha256OfFile(copy);
    const verdict = digest === expected ? 'the same' : 'DIFFERENT';
    if (digest !== expected) isSame = false;
    process.stdout.write(`  client ${index + 1}  sha256 ${digest}  ${verdict}\n`);
  }
  return isSame;
}

function summary(server: ServerProgram, clients: ClientProgram[]): string {
  const { progress, elapsedMs } = server.last('ended');
  const lines = clients.map((client, index) => {
    const { progress: end, elapsedMs: tookMs } = client.last('proven');
    const late = index + 1 === LATE_CLIENT ? ', the late one' : '';
    return `client ${index + 1}: ${formatBytes(end.sizeBytes)} in ${formatElapsed(tookMs)}${late}`;
  });
  const wanted = clients.reduce((sum, client) => sum + client.last('proven').progress.sizeBytes, 0);
  lines.push(
    `server: sent ${formatBytes(progress.wireBytes)} in ${formatElapsed(elapsedMs)}, for ` +
      `copies of ` +
      `${formatBytes(wanted)} together`,
    'The image went out once, and once more what the late client had missed.',
    'Zeros do not travel, and what shrinks was compressed.',
  );
  return lines.map((line) => `  ${line}\n`).join('');
}

async function demo(): Promise<boolean> {
  const megabytes = readMegabytes();
  const folder = await makeFolder(megabytes);
  const imagePath = join(folder, 'demo.img');
  const image = await makeImage(imagePath, megabytes);
  const dataBytes = image.sizeBytes - image.zeroBytes;
  say(
    'demo',
    `made an image of ${formatBytes(image.sizeBytes)}: ${formatBytes(image.randomBytes)} random, ` +
      `${formatBytes(image.textBytes)} text, ${formatBytes(image.zeroBytes)} zeros`,
  );

  const { common, serverPort } = await networkOptions();
  const rateBits = Math.round((dataBytes * 8) / PASS_SECONDS / 1e6) * 1e6;
  const copies: string[] = [];
  const clients: ClientProgram[] = [];
  const addClient = () => {
    const number = clients.length + 1;
    const copy = join(folder, `copy-${number}.img`);
    copies.push(copy);
    const own = ['-s', serverPort, '-o', copy, '--give-up', String(GIVE_UP_SECONDS)];
    clients.push(startClient(number, [...common, ...own]));
  };

  const ownServer = ['-f', imagePath, '-s', serverPort, '--exit-after', String(CLIENT_COUNT)];
  const server = startServer([...common, ...ownServer, '--rate', String(rateBits)], rateBits);
  await server.waitFor('serving');
  while (clients.length + 1 < LATE_CLIENT) addClient();
  say('demo', 'started clients 1 and 2');
  const status = setInterval(() => {
    if (server.all('progress').length > 0) say('', statusLine(server, clients));
  }, STATUS_MS);
  try {
    await server.waitFor(
      'progress',
      ({ progress }) => progress.cursorChunk > LATE_AT_RATIO * progress.chunkCount,
      HANG_MS,
    );
    addClient();
    say('demo', `started client ${LATE_CLIENT}, in the middle of the pass`);
    await Promise.all([server, ...clients].map((program) => program.waitStatus(0, HANG_MS)));
  } finally {
    clearInterval(status);
  }

  const isSame = await compare(imagePath, copies);
  process.stdout.write(`\n${summary(server, clients)}\n`);
  return isSame;
}

// Whatever ends this process, what it started and made goes with it (see ../lab/cleanup.ts).
try {
  const isSame = await demo();
  process.stdout.write(
    isSame
      ? `Success: all ${CLIENT_COUNT} copies are the image, byte for byte.\n`
      : 'FAILED: a copy differs from the image.\n',
  );
  process.exit(isSame ? 0 : 1);
} catch (error) {
  process.stderr.write(`\nFAILED: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
