/**
 * Runs Debian's dnsmasq, which answers machines that start from the network: beside the DHCP server
 * that there is, or as the only one. It serves one interface, and lives no longer than we do.
 */

import type { ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Failure } from '../../failure.js';
import { environmentOfTools, findTool } from '../system/system-tools.js';
import { LOADERS } from './boot-folder.js';

/** @throws Failure when dnsmasq is not installed */
export function requireDnsmasq(): void {
  if (findTool('dnsmasq') !== null) return;
  const text = '--netboot needs dnsmasq: install the Debian package dnsmasq-base';
  throw new Failure('network', 'NO_TOOL', text);
}

interface DnsmasqPlan {
  interface: string;
  /** Our own address there. */
  address: string;
  netmask: string;
  /** The first and the last address to give; null beside another DHCP server. */
  range: readonly [first: string, last: string] | null;
  /** What iPXE loads once it runs, as an address of HTTP. */
  ipxeUrl: string;
  tftpFolder: string;
}

/** Seconds: a machine is gone before, and its address free for the next. */
const LEASE_SECONDS = 3600;

export function dnsmasqArguments(plan: DnsmasqPlan): string[] {
  const { range, address } = plan;
  const services = [
    ['x86PC', LOADERS.bios],
    ['X86-64_EFI', LOADERS.shim],
    // What some firmware calls 64 bits.
    ['BC_EFI', LOADERS.shim],
  ];
  const own =
    range === null
      ? [
          `--dhcp-range=${address},proxy`,
          ...services.map(
            ([system, file]) => `--pxe-service=tag:!ipxe,${system},multiserver,${file}`,
          ),
        ]
      : [
          `--dhcp-range=${range[0]},${range[1]},${plan.netmask},${LEASE_SECONDS}`,
          '--dhcp-authoritative',
          // Firmware, boot loader and system have different identifiers: one address is enough.
          '--dhcp-ignore-clid',
          // It is no router.
          '--dhcp-option=3',
          '--dhcp-match=set:efi64,option:client-arch,7',
          '--dhcp-match=set:efi64,option:client-arch,9',
          `--dhcp-boot=tag:!ipxe,tag:efi64,${LOADERS.shim}`,
          `--dhcp-boot=tag:!ipxe,tag:!efi64,${LOADERS.bios}`,
        ];
  return [
    ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--log-facility=-'],
    // No names, only addresses and files; nothing is kept.
    ...['--port=0', '--leasefile-ro', '--no-hosts', '--no-resolv'],
    ...[`--interface=${plan.interface}`, '--bind-interfaces'],
    ...['--enable-tftp', `--tftp-root=${plan.tftpFolder}`, '--quiet-dhcp'],
    '--dhcp-match=set:ipxe,175',
    // iPXE goes by no address of HTTP that comes without one of a server.
    `--dhcp-boot=tag:ipxe,${plan.ipxeUrl},,${address}`,
    ...own,
  ];
}

const TFTP_PORT = 69;

/**
 * Two dnsmasq share a port without a word, and each answers for files that the other has.
 * @throws Failure when there is another server of TFTP at our address
 */
export async function refuseOtherTftp(address: string): Promise<void> {
  const { createSocket } = await import('node:dgram');
  const socket = createSocket('udp4');
  const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    socket.once('error', resolve);
    socket.bind({ address, port: TFTP_PORT, exclusive: true }, () => resolve(null));
  });
  socket.close();
  if (error?.code !== 'EADDRINUSE') return;
  const text =
    `UDP port ${TFTP_PORT} of ${address} is taken, and --netboot needs it: another TFTP server ` +
    "runs on this host; stop it, or the interface's part of it";
  throw new Failure('network', 'NETBOOT_FAILED', text);
}

/** Loaders and GRUB's first lines, where dnsmasq, which is not root, can read them. */
export function makeTftpFolder(loaders: readonly string[], grubConfig: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'multiserver-netboot-'));
  chmodSync(folder, 0o755);
  for (const path of loaders) {
    const place = join(folder, basename(path));
    copyFileSync(path, place);
    chmodSync(place, 0o644);
  }
  const place = join(folder, 'grub');
  mkdirSync(place);
  chmodSync(place, 0o755);
  writeFileSync(join(place, 'grub.cfg'), grubConfig);
  chmodSync(join(place, 'grub.cfg'), 0o644);
  return folder;
}

/**
 * Ends dnsmasq when our end of standard input is closed, which the system does whatever ends us. It
 * takes the folder along, and that first: whoever waits for the end finds it gone. dnsmasq's own
 * end ends the script.
 */
const GUARD = `
folder=$1
shift
exec 3<&0
dnsmasq "$@" 3<&- &
server=$!
{
  cat <&3 >/dev/null
  rm -rf "$folder"
  kill "$server"
} 2>/dev/null &
wait "$server"
`;

/** How dnsmasq says that it serves. */
const STARTED = /started, version/;
const MAX_LINES = 5;

export class Dnsmasq {
  /** What it said last. */
  private readonly lines: string[] = [];
  private isClosed = false;

  private constructor(
    private readonly child: ChildProcess,
    private readonly hasEnded: Promise<void>,
  ) {}

  /**
   * Resolves when it serves.
   * @param onDeath hears of an end that nobody asked for, once it served
   * @throws Failure when it cannot serve
   */
  static async start(plan: DnsmasqPlan, onDeath: (failure: Failure) => void): Promise<Dnsmasq> {
    const { spawn } = await import('node:child_process');
    const args = ['-c', GUARD, 'multiserver-dnsmasq', plan.tftpFolder, ...dnsmasqArguments(plan)];
    const child = spawn('/bin/sh', args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: environmentOfTools(),
      // Ctrl-C is for us alone: we end it.
      detached: true,
    });
    // It is gone already when its input cannot be closed.
    child.stdin!.on('error', () => {});
    const hasEnded = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('close', () => resolve());
    });
    const dnsmasq = new Dnsmasq(child, hasEnded);
    let isStarted = false;
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr! }).on('line', (line) => {
        dnsmasq.hear(line);
        isStarted ||= STARTED.test(line);
        if (isStarted) resolve();
      });
      child.once('error', (error) => reject(dnsmasq.deathFailure(error.message)));
      // If the guard alone was ended, dnsmasq still goes by our end of its input.
      child.once('exit', () => child.stdin!.end());
      child.once('close', (status, signal) => {
        const failure = dnsmasq.deathFailure(`exit status ${status ?? signal}`);
        if (!isStarted) reject(failure);
        else if (!dnsmasq.isClosed) onDeath(failure);
      });
    });
    return dnsmasq;
  }

  private hear(line: string): void {
    const words = line.replace(/^dnsmasq(-\w+)?(\[\d+\])?: /, '');
    // The reason came before.
    if (words === 'FAILED to start up') return;
    this.lines.push(words);
    if (this.lines.length > MAX_LINES) this.lines.shift();
  }

  private deathFailure(how: string): Failure {
    const words = this.lines.at(-1) ?? how;
    const advice = /Address already in use/.test(words)
      ? "; another DHCP server runs on this host: stop it, or the interface's part of it"
      : '';
    return new Failure(
      'network',
      'NETBOOT_FAILED',
      `dnsmasq for --netboot ended: ${words}${advice}`,
    );
  }

  /** Resolves when it has ended. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.child.stdin!.end();
    await this.hasEnded;
  }
}
