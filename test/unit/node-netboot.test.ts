/** What machines that start from the network are told, and who is told anything. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Failure } from '../../src/failure.js';
import { BootFolder } from '../../src/node/netboot/boot-folder.js';
import { BootServer } from '../../src/node/netboot/boot-server.js';
import { type BootPlan, firstGrub, kernelWords } from '../../src/node/netboot/boot-texts.js';
import { dnsmasqArguments } from '../../src/node/netboot/dnsmasq.js';
import { ipv4NetworkOf, refuseRange } from '../../src/node/netboot/ipv4-network.js';

/** Far above what anything here takes: it only ends a test that hangs. */
const hangMs = 60_000;

const plan: BootPlan = {
  address: '10.0.0.1',
  serverPort: 7500,
  group: '225.0.20.10',
  port: 16000,
  image: 'lab.img',
  isUnattended: false,
  extraWords: '',
};

const withCode = (code: string, text: RegExp) => (error: Failure) =>
  error.code === code && text.test(error.message);

/** A folder like the one that `npm run live` makes. */
function folderOf(t: TestContext, files: Record<string, string> = {}): string {
  const path = mkdtempSync(join(tmpdir(), 'netboot-'));
  t.after(() => rmSync(path, { recursive: true }));
  mkdirSync(join(path, 'boot'));
  const loaders = ['undionly.kpxe', 'shimx64.efi', 'grubx64.efi'].map((name) => `boot/${name}`);
  for (const name of ['vmlinuz', 'initrd.img', ...loaders]) {
    writeFileSync(join(path, name), `this is ${name}\n`);
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

test('the kernel is told of group, ports, server and image; nobody types', () => {
  const words = kernelWords(plan).split(' ');
  for (const word of [
    'multiclient.output=auto',
    'multiclient.group=225.0.20.10',
    'multiclient.port=16000',
    'multiclient.server=10.0.0.1:7500',
    'multiclient.image=lab.img',
    'multiclient.then=reboot',
  ]) {
    assert(words.includes(word), word);
  }
  assert(!words.includes('multiclient.unattended'));
  const told = { ...plan, isUnattended: true, extraWords: 'multiclient.then=poweroff' };
  const more = kernelWords(told).split(' ');
  assert(more.includes('multiclient.unattended'));
  // The last one counts.
  assert(more.indexOf('multiclient.then=poweroff') > more.indexOf('multiclient.then=reboot'));
});

test('GRUB begins anew when it comes back, and goes to the firmware in the end', () => {
  const [where, ...loop] = firstGrub(plan).trimEnd().split('\n');
  assert.equal(where, 'set root=(http,10.0.0.1:7500)');
  assert.match(loop[0]!, /^for try in 1 2 3 .* 60; do$/);
  assert.match(loop[1]!, /^ {2}configfile \/start\/grub\//);
  assert.equal(loop.at(-1), 'exit');
});

test('an image whose name a boot loader could take for commands is not named', () => {
  for (const image of ['a b.img', 'a";reboot', '$(x)', "it's", '']) {
    assert.doesNotMatch(kernelWords({ ...plan, image }), /multiclient\.image/);
  }
});

const dnsmasqPlan = {
  interface: 'eth1',
  address: '10.0.0.1',
  netmask: '255.255.255.0',
  ipxeUrl: 'http://10.0.0.1:7500/start.ipxe',
  tftpFolder: '/tmp/x',
};

test('beside another DHCP server, dnsmasq gives no addresses, and serves one interface alone', () => {
  const words = dnsmasqArguments({ ...dnsmasqPlan, range: null });
  assert.deepEqual(
    words.filter((word) => word.startsWith('--dhcp-range')),
    ['--dhcp-range=10.0.0.1,proxy'],
  );
  for (const word of [
    '--interface=eth1',
    '--bind-interfaces',
    '--port=0',
    '--conf-file=/dev/null',
  ]) {
    assert(words.includes(word), word);
  }
});

test('as the only DHCP server it gives the addresses that were asked for, and is no router', () => {
  const words = dnsmasqArguments({ ...dnsmasqPlan, range: ['10.0.0.50', '10.0.0.99'] });
  assert(words.some((word) => word.startsWith('--dhcp-range=10.0.0.50,10.0.0.99,255.255.255.0')));
  assert(words.includes('--dhcp-option=3'));
  assert(!words.some((word) => word.includes('proxy')));
});

test('addresses outside of the network, or with our own among them, are refused', () => {
  const network = { address: '10.0.0.1', netmask: '255.255.254.0', prefixLength: 23 };
  refuseRange(['10.0.0.2', '10.0.1.254'], network, 'eth1');
  const outside = withCode('BAD_RANGE', /does not lie in the network of interface eth1/);
  assert.throws(() => refuseRange(['10.0.1.1', '10.0.2.1'], network, 'eth1'), outside);
  assert.throws(() => refuseRange(['9.255.255.255', '10.0.1.1'], network, 'eth1'), outside);
  const own = withCode('BAD_RANGE', /this host's own address/);
  assert.throws(() => refuseRange(['10.0.0.0', '10.0.0.9'], network, 'eth1'), own);
});

test('a folder without a live system is refused with what it lacks', (t) => {
  const path = folderOf(t);
  assert.equal(new BootFolder(path).find('vmlinuz'), join(path, 'vmlinuz'));
  rmSync(join(path, 'boot', 'shimx64.efi'));
  const lacks = withCode('NO_LIVE_SYSTEM', /has no boot\/shimx64\.efi: make/);
  assert.throws(() => new BootFolder(path), lacks);
});

interface Answer {
  status: number;
  text: string;
  rawHeaders: string[];
}

function get(
  port: number,
  path: string,
  localAddress = '127.0.0.1',
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, localAddress, headers, agent: false });
    asked.on('error', reject);
    asked.on('response', (response) => {
      const { statusCode = 0, rawHeaders } = response;
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => {
        text += more;
      });
      response.on('end', () => resolve({ status: statusCode, text, rawHeaders }));
    });
    asked.end();
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function serve(
  t: TestContext,
  folder: string,
  prefixLength: number,
): Promise<{ port: number; told: string[]; server: BootServer }> {
  const told: string[] = [];
  const serverPort = await freePort();
  const own = { ...plan, address: '127.0.0.1', serverPort };
  const tell = (text: string): void => void told.push(text);
  const server = await BootServer.start(own, prefixLength, new BootFolder(folder), tell);
  t.after(() => server.close());
  return { port: serverPort, told, server };
}

test('only the files of the live system are handed out', async (t) => {
  const folder = folderOf(t, { secret: 'x', 'machines.csv': 'mac,hostname\n' });
  const { port } = await serve(t, folder, 8);
  const kernel = await get(port, '/vmlinuz');
  assert.equal(kernel.text, 'this is vmlinuz\n');
  // GRUB looks for it in these letters.
  assert(kernel.rawHeaders.includes('Content-Length'), kernel.rawHeaders.join());
  assert.equal((await get(port, '/machines.csv')).text, 'mac,hostname\n');
  for (const path of [
    '/secret',
    '/',
    '/boot/shimx64.efi',
    '/../secret',
    '/vmlinuz/x',
    '/%2e%2e/x',
  ]) {
    assert.equal((await get(port, path)).status, 404, path);
  }
});

test('a loader that goes on in the middle of a file gets the rest of it, and no more', async (t) => {
  const { port } = await serve(t, folderOf(t), 8);
  const ask = (range: string) => get(port, '/vmlinuz', '127.0.0.1', { range });
  const rest = await ask('bytes=8-');
  assert.equal(rest.status, 206);
  assert.equal(rest.text, 'vmlinuz\n');
  assert(rest.rawHeaders.includes('bytes 8-15/16'), rest.rawHeaders.join());
  assert(rest.rawHeaders.includes('8'), rest.rawHeaders.join());
  for (const range of [
    'bytes=0-',
    'bytes=8-9',
    'bytes=-3',
    'lines=8-',
    'bytes=9999999999999999-',
  ]) {
    const whole = await ask(range);
    assert.equal(whole.status, 200, range);
    assert.equal(whole.text, 'this is vmlinuz\n', range);
  }
  const beyond = await ask('bytes=16-');
  assert.equal(beyond.status, 416);
  assert(beyond.rawHeaders.includes('bytes */16'), beyond.rawHeaders.join());
});

test('a machine starts the live system until its copy is proven, and from its disk then', async (t) => {
  const { port, told } = await serve(t, folderOf(t), 8);
  const first = await get(port, '/start.ipxe');
  assert.match(
    first.text,
    /\n:again\nchain http:\/\/127\.0\.0\.1:\d+\/start\/ipxe\/\$\{netX\/mac:hexhyp\} && exit \|\|\n/,
  );
  const live = await get(port, '/start/ipxe/52-54-00-00-00-01');
  assert.match(
    live.text,
    /kernel \S+\/vmlinuz .*BOOTIF=01-52-54-00-00-00-01 .*multiclient\.output=auto/,
  );
  const grub = await get(port, '/start/grub/52:54:00:00:00:01');
  assert.match(grub.text, /linux \/vmlinuz BOOTIF=01-52-54-00-00-00-01 /);
  await get(port, '/proven/52:54:00:00:00:01');
  assert.match((await get(port, '/start/ipxe/52-54-00-00-00-01')).text, /sanboot/);
  assert.match((await get(port, '/start/grub/52:54:00:00:00:01')).text, /chainloader .*^exit$/ms);
  assert.match((await get(port, '/start/grub/52:54:00:00:00:02')).text, /^ {2}if linux /m);
  assert.deepEqual(
    told.map((text) => text.replace(/^machine /, '')),
    [
      '52:54:00:00:00:01 (127.0.0.1) starts the live system',
      '52:54:00:00:00:01 (127.0.0.1) will start from its disk from now on',
      '52:54:00:00:00:01 (127.0.0.1) starts from its disk: its copy is proven',
      '52:54:00:00:00:02 (127.0.0.1) starts the live system',
    ],
  );
});

test('who holds a copy from before a restart starts from its disk', async (t) => {
  const { port, server } = await serve(t, folderOf(t), 8);
  server.knowProven('52:54:00:00:00:01');
  server.knowProven('no address');
  assert.match((await get(port, '/start/ipxe/52-54-00-00-00-01')).text, /sanboot/);
  assert.match((await get(port, '/start/ipxe/52-54-00-00-00-02')).text, /kernel /);
});

test('machines that were started are waited for until they are ready, or it takes too long', async (t) => {
  const { port, server } = await serve(t, folderOf(t), 8);
  const never = new AbortController();
  await server.untilReady(hangMs, never.signal);
  await get(port, '/start/ipxe/52-54-00-00-00-01');
  await get(port, '/start/grub/52:54:00:00:00:02');
  assert.equal(server.startedCount, 2);
  await server.untilReady(1, never.signal);
  const ready = server.untilReady(hangMs, never.signal);
  for (const last of ['01', '02']) await get(port, `/proven/52:54:00:00:00:${last}`);
  await ready;
  await get(port, '/start/ipxe/52-54-00-00-00-03');
  const stopped = server.untilReady(hangMs, never.signal);
  never.abort();
  await stopped;
  await server.untilReady(hangMs, never.signal);
});

test('who asks for many files at once gets one, and none stays open', async (t) => {
  const folder = folderOf(t, { 'initrd.img': 'x'.repeat(30_000_000) });
  const { port } = await serve(t, folder, 8);
  const openFiles = () => readdirSync('/proc/self/fd').length;
  const before = openFiles();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET /initrd.img HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(100));
  await new Promise((resolve) => socket.on('close', resolve));
  while (openFiles() > before) await new Promise((resolve) => setImmediate(resolve));
  // One after the other is what loaders do.
  assert.equal((await get(port, '/vmlinuz')).status, 200);
});

test('of several networks of an interface, the one that is meant is taken', () => {
  const loopback = ipv4NetworkOf('lo', '127.0.0.1', null);
  assert.deepEqual(loopback, { address: '127.0.0.1', netmask: '255.0.0.0', prefixLength: 8 });
  assert.throws(() => ipv4NetworkOf('nowhere', undefined, null), withCode('NOT_READY', /no IPv4/));
});

test('what is no hardware address gets no script', async (t) => {
  const { port } = await serve(t, folderOf(t), 8);
  for (const mac of ['x', '52:54:00:00:00', '52:54:00:00:00:01%0aboot', '']) {
    assert.equal((await get(port, `/start/grub/${mac}`)).status, 404, mac);
  }
});

test('whoever asks from another network gets nothing', async (t) => {
  const { port } = await serve(t, folderOf(t), 30);
  assert.equal((await get(port, '/vmlinuz', '127.0.0.2')).status, 200);
  await assert.rejects(get(port, '/vmlinuz', '127.0.1.1'), /socket hang up|ECONNRESET/);
});

test('a port that is taken is named', async (t) => {
  const { port } = await serve(t, folderOf(t), 8);
  const own = { ...plan, address: '127.0.0.1', serverPort: port };
  await assert.rejects(
    BootServer.start(own, 8, new BootFolder(folderOf(t)), () => {}),
    withCode('PORT_TAKEN', new RegExp(`TCP port ${port} of 127\\.0\\.0\\.1 is taken`)),
  );
});
