/** `multiserver --netboot` with Debian's dnsmasq: how it starts, and that it never stays behind. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, labTest } from './lab.js';
import { requireLab, runTool, toolPath } from './tools.js';
import type { Host } from './world.js';

/** Something that looks like a live system from outside. */
function liveFolder(lab: Lab): string {
  const folder = lab.scratch.makeFolder('live');
  lab.scratch.makeFolder('live/boot');
  for (const name of ['vmlinuz', 'initrd.img', 'boot/undionly.kpxe']) {
    lab.scratch.randomFile(`live/${name}`, 100_000);
  }
  for (const name of ['boot/shimx64.efi', 'boot/grubx64.efi']) {
    lab.scratch.randomFile(`live/${name}`, 100_000);
  }
  return folder;
}

/** Processes of a host whose program has this name. */
function processesOf(host: Host, name: string): number[] {
  const pids = runTool('ip', ['netns', 'pids', host.namespace]).split('\n').filter(Boolean);
  return pids.map(Number).filter((pid) => {
    const path = `/proc/${pid}/comm`;
    // It may end between the two looks.
    return existsSync(path) && readFileSync(path, 'utf8').trim() === name;
  });
}

async function untilNone(host: Host, name: string): Promise<void> {
  // The test's own time limit ends this.
  while (processesOf(host, name).length > 0) await sleep(20);
}

function netbootFolders(): string[] {
  return readdirSync('/tmp').filter((name) => name.startsWith('multiserver-netboot-'));
}

labTest('machines are served by a dnsmasq that lives as long as the server', 2, async (lab) => {
  requireLab('dnsmasq', 'curl');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const host = lab.world.host(1);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const server = lab.startServer(['-f', image, '--netboot', liveFolder(lab)]);
    const ready = await server.waitFor('netboot');
    assert.equal(ready.mode, 'proxy');
    assert.equal(processesOf(host, 'dnsmasq').length, 1);
    const url = `http://${ready.address}:${ready.serverPort}`;
    const other = lab.world.host(2);
    const script = await runIn(other, 'curl', ['-sf', `${url}/start/ipxe/52-54-00-00-00-01`]);
    assert.match(script, /multiclient\.image=lab\.img/);
    await runIn(other, 'curl', ['-sf', `${url}/initrd.img`, '-o', lab.scratch.path('fetched')]);
    lab.scratch.assertCopy(lab.scratch.path('fetched'), lab.scratch.path('live', 'initrd.img'));
    // TFTP: what firmware can do.
    await runIn(other, 'curl', ['-sf', `tftp://${ready.address}/grub/grub.cfg`]);
    server.kill(signal);
    await server.exited;
    await untilNone(host, 'dnsmasq');
    lab.scratch.remove(lab.scratch.path('live'), lab.scratch.path('fetched'));
  }
});

async function runIn(host: Host, command: string, args: string[]): Promise<string> {
  const running = host.start(toolPath(command), args);
  await running.waitStatus(0);
  return running.lines.join('\n');
}

labTest('the end of dnsmasq is the end of the server, with a reason', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const server = lab.startServer(['-f', image, '--netboot', liveFolder(lab)]);
  await server.waitFor('netboot');
  for (const pid of processesOf(lab.world.host(1), 'dnsmasq')) process.kill(pid, 'SIGKILL');
  await server.waitStatus(7);
  assert.equal(server.last('error').code, 'NETBOOT_FAILED');
});

labTest('an end of what watches dnsmasq leaves no dnsmasq either', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const server = lab.startServer(['-f', image, '--netboot', liveFolder(lab)]);
  await server.waitFor('netboot');
  const host = lab.world.host(1);
  const [dnsmasq] = processesOf(host, 'dnsmasq');
  const guard = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${dnsmasq}/status`, 'utf8'))![1]);
  process.kill(guard, 'SIGKILL');
  await server.waitStatus(7);
  await untilNone(host, 'dnsmasq');
});

labTest('a second DHCP server on the host is named as the reason', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const listen = `
    const socket = require('node:dgram').createSocket('udp4');
    socket.bind(67, () => console.log('bound'));`;
  const other = lab.world.host(1).start(process.execPath, ['-e', listen]);
  await other.waitUntil('its socket', () => other.lines.includes('bound') || undefined);
  const server = lab.startServer(['-f', image, '--netboot', liveFolder(lab)]);
  await server.waitStatus(7);
  assert.equal(server.last('error').code, 'NETBOOT_FAILED');
  assert.match(server.last('error').message, /another DHCP server runs on this host/);
});

labTest('a second TFTP server at the address is named as the reason', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const host = lab.world.host(1);
  const files = ['--conf-file=/dev/null', '--pid-file=', '--log-facility=-', '--port=0'];
  const tftp = ['--enable-tftp', '--tftp-root=/usr/share', '--interface=e0', '--bind-interfaces'];
  const other = host.start(toolPath('dnsmasq'), ['--keep-in-foreground', ...files, ...tftp]);
  await other.waitText('started, version');
  const server = lab.startServer(['-f', image, '--netboot', liveFolder(lab)]);
  await server.waitStatus(7);
  assert.equal(server.last('error').code, 'NETBOOT_FAILED');
  assert.match(server.last('error').message, /another TFTP server runs on this host/);
});

labTest('whoever holds a copy from before a restart starts from its disk', 2, async (lab) => {
  requireLab('dnsmasq', 'curl');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const args = ['-f', image, '--netboot', liveFolder(lab), '--exit-after', '2'];
  const first = lab.startServer(args);
  const client = lab.startClient(2, ['-o', lab.scratch.path('copy')]);
  await client.waitStatus(0);
  await first.waitFor('client-done');
  const mac = first.last('client-done').client.identity.mac!;
  first.kill('SIGKILL');
  await first.exited;
  const host = lab.world.host(1);
  await untilNone(host, 'dnsmasq');
  const second = lab.startServer(args);
  await second.waitFor('copies-kept');
  const ready = await second.waitFor('netboot');
  const url = `http://${ready.address}:${ready.serverPort}/start/ipxe`;
  const ask = (address: string) =>
    runIn(lab.world.host(2), 'curl', ['-sf', `${url}/${address.replaceAll(':', '-')}`]);
  assert.match(await ask(mac), /starts from its disk/);
  assert.match(await ask('52:54:00:00:00:09'), /starting the live system/);
});

labTest('of two networks of an interface, the one is taken that is meant', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const { namespace } = lab.world.host(1);
  runTool('ip', ['-n', namespace, 'addr', 'add', '192.168.7.1/24', 'dev', 'e0']);
  const folder = liveFolder(lab);
  const start = (...args: string[]) => lab.startServer(['-f', image, '--netboot', folder, ...args]);
  const unsure = start();
  await unsure.waitStatus(7);
  assert.equal(unsure.last('error').code, 'SEVERAL_NETWORKS');
  for (const args of [
    ['-i', '192.168.7.1'],
    ['--netboot-dhcp', '192.168.7.10,192.168.7.20'],
  ]) {
    const server = start(...args);
    assert.equal((await server.waitFor('netboot')).address, '192.168.7.1');
    server.kill('SIGTERM');
    await server.exited;
    await untilNone(lab.world.host(1), 'dnsmasq');
  }
});

labTest('what cannot work is refused before anything is served', 1, async (lab) => {
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const empty = lab.startServer(['-f', image, '--netboot', lab.scratch.folder]);
  await empty.waitStatus(4);
  assert.equal(empty.last('error').code, 'NO_LIVE_SYSTEM');
  assert.equal(empty.all('serving').length, 0);
  const elsewhere = ['--netboot-dhcp', '192.168.7.10,192.168.7.20'];
  const range = lab.startServer(['-f', image, '--netboot', liveFolder(lab), ...elsewhere]);
  await range.waitStatus(7);
  assert.equal(range.last('error').code, 'BAD_RANGE');
});

labTest('that nobody will be asked is a warning, and dnsmasq gives addresses', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const before = netbootFolders();
  const more = ['--unattended', '--netboot-dhcp', '10.77.0.100,10.77.0.199', '--exit-after', '1'];
  const server = lab.startServer(['-f', image, '--netboot', liveFolder(lab), ...more]);
  const ready = await server.waitFor('netboot');
  assert.equal(ready.mode, 'dhcp');
  assert.equal(ready.isUnattended, true);
  assert.equal(server.events[0]!.type, 'warning');
  server.kill('SIGINT');
  await server.waitStatus(130);
  assert.deepEqual(
    netbootFolders().filter((name) => !before.includes(name)),
    [],
  );
});

labTest('with a key, the operator hears how it gets to the machines', 1, async (lab) => {
  requireLab('dnsmasq');
  const image = lab.scratch.randomFile('lab.img', 1_000_000);
  const key = lab.scratch.path('lab.secret');
  await lab.startServer(['--new-key', key]).waitStatus(0);
  const sealed = ['-f', image, '--key', key, '--netboot', liveFolder(lab)];
  for (const [words, count] of [
    [[], 1],
    [['--netboot-words', 'multiclient.key=lab.secret'], 0],
  ] as const) {
    const server = lab.startServer([...sealed, ...words]);
    await server.waitFor('netboot');
    const told = server.all('notice').filter(({ text }) => /have no key/.test(text));
    assert.equal(told.length, count);
    server.kill('SIGTERM');
    await server.exited;
  }
});
