/**
 * Hands the live system to machines that start from the network, by HTTP, as TFTP is slow. It also
 * remembers which of them hold a proven copy: those start from their disk, or a machine whose
 * firmware prefers the network would copy for ever.
 */
import { closeSync, createReadStream, fstatSync, openSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { BlockList, isIPv4, type Socket } from 'node:net';
import { Failure } from '../../failure.js';
import { type BootFolder, MACHINES } from './boot-folder.js';
import {
  type BootPlan,
  DISK_GRUB,
  DISK_IPXE,
  firstIpxe,
  grubConfig,
  ipxeScript,
} from './boot-texts.js';

/** More machines are started as well, but not remembered. */
const MAX_MACHINES = 10_000;
const MAX_CONNECTIONS = 1000;
const MAC = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/;

export class BootServer {
  private readonly proven = new Set<string>();
  /** Machines that were started, and are not known to be ready since. */
  private readonly started = new Set<string>();
  /** Connections on which an answer is under way. */
  private readonly busy = new WeakSet<Socket>();
  private onReady: () => void = () => {};
  /** What was told already of which machine. */
  private readonly told = new Set<string>();
  private readonly neighbours = new BlockList();

  private constructor(
    private readonly plan: BootPlan,
    private readonly folder: BootFolder,
    private readonly tell: (text: string) => void,
    private readonly server: Server,
  ) {}

  /**
   * @param prefixLength of the interface's network: nobody else is served
   * @throws Failure when the port is taken
   */
  static async start(
    plan: BootPlan,
    prefixLength: number,
    folder: BootFolder,
    tell: (text: string) => void,
  ): Promise<BootServer> {
    const { createServer } = await import('node:http');
    const server = createServer();
    const bootServer = new BootServer(plan, folder, tell, server);
    bootServer.neighbours.addSubnet(plan.address, prefixLength);
    server.maxConnections = MAX_CONNECTIONS;
    server.on('request', (request, response) => bootServer.answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(portFailure(plan, error)));
      server.listen(plan.serverPort, plan.address, resolve);
    });
    // A connection that fails is its machine's affair.
    server.on('error', () => {});
    return bootServer;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const address = request.socket.remoteAddress ?? '';
    if (!isIPv4(address) || !this.neighbours.check(address)) {
      request.socket.destroy();
      return;
    }
    // No loader asks for the next before it has the first: files of all would be open at once.
    if (this.busy.has(request.socket)) {
      request.socket.destroy();
      return;
    }
    this.busy.add(request.socket);
    response.on('close', () => this.busy.delete(request.socket));
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      end(response, 405, '');
      return;
    }
    const [, what, loader, word] = (request.url ?? '').split('/');
    const mac = macOf(word ?? loader ?? '');
    if (what === 'start.ipxe') {
      end(response, 200, firstIpxe(this.plan));
    } else if (what === 'start' && mac !== null && (loader === 'ipxe' || loader === 'grub')) {
      end(response, 200, this.startText(loader, mac, address));
    } else if (what === 'proven' && mac !== null) {
      this.noteProven(mac, address);
      end(response, 200, 'noted\n');
    } else {
      this.sendFile(loader === undefined ? (what ?? '') : '', request, response);
    }
  }

  private startText(loader: 'ipxe' | 'grub', mac: string, address: string): string {
    if (this.proven.has(mac)) {
      this.tellOnce(
        'disk',
        mac,
        `${nameOf(mac, address)} starts from its disk: its copy is proven`,
      );
      return loader === 'ipxe' ? DISK_IPXE : DISK_GRUB;
    }
    if (this.started.size < MAX_MACHINES) this.started.add(mac);
    this.tellOnce('live', mac, `${nameOf(mac, address)} starts the live system`);
    return loader === 'ipxe' ? ipxeScript(this.plan, mac) : grubConfig(this.plan, mac);
  }

  /** @param mac of a machine that holds a copy from before the server was started again */
  knowProven(mac: string): void {
    const name = macOf(mac);
    if (name !== null && this.proven.size < MAX_MACHINES) this.proven.add(name);
  }

  private noteProven(mac: string, address: string): void {
    this.knowProven(mac);
    this.started.delete(mac);
    if (this.startedCount === 0) this.onReady();
    this.tellOnce('proven', mac, `${nameOf(mac, address)} will start from its disk from now on`);
  }

  /** So many machines were started, and have not said yet that they are ready. */
  get startedCount(): number {
    return this.started.size;
  }

  /** Resolves when all that were started are ready, or it took too long. */
  untilReady(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(), timeoutMs);
      this.onReady = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener('abort', () => this.onReady(), { once: true });
      if (this.startedCount === 0 || signal.aborted) this.onReady();
    });
  }

  /** A machine that asks again and again is no news. */
  private tellOnce(what: string, mac: string, text: string): void {
    const key = `${what} ${mac}`;
    if (this.told.has(key) || this.told.size >= MAX_MACHINES) return;
    this.told.add(key);
    this.tell(text);
  }

  private sendFile(name: string, request: IncomingMessage, response: ServerResponse): void {
    const path = this.folder.find(name);
    const fd = path === null ? null : openFile(path);
    if (fd === null) {
      end(response, 404, '');
      return;
    }
    const sizeBytes = fstatSync(fd).size;
    const startBytes = startOf(request.headers.range);
    if (startBytes > 0 && startBytes >= sizeBytes) {
      closeSync(fd);
      response.setHeader('Content-Range', `bytes */${sizeBytes}`);
      end(response, 416, '');
      return;
    }
    if (startBytes > 0) {
      response.statusCode = 206;
      response.setHeader('Content-Range', `bytes ${startBytes}-${sizeBytes - 1}/${sizeBytes}`);
    }
    // GRUB knows this header in no other letters than these.
    response.setHeader('Content-Length', sizeBytes - startBytes);
    response.setHeader('Content-Type', name === MACHINES ? 'text/csv' : 'application/octet-stream');
    if (request.method === 'HEAD') {
      closeSync(fd);
      response.end();
      return;
    }
    const file = createReadStream('', { fd, start: startBytes });
    file.on('error', () => response.destroy());
    response.on('close', () => file.destroy());
    file.pipe(response);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}

/** Null when it went away, or may not be read. */
function openFile(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch {
    return null;
  }
}

/**
 * Where GRUB goes on: it asks for `bytes=N-` when it looks back, and takes what comes for that
 * place. Whoever asks for less gets the whole, as RFC 9110 (section 14.2) allows.
 */
function startOf(range: string | undefined): number {
  const [, digits] = /^bytes=(\d{1,15})-$/.exec(range ?? '') ?? [];
  return Number(digits ?? 0);
}

function end(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.setHeader('Content-Type', 'text/plain');
  response.end(text);
}

/** In the manner of iPXE and PXELINUX, with hyphens; null when it is none. */
function macOf(text: string): string | null {
  const lower = text.toLowerCase().replaceAll('%3a', ':');
  return MAC.test(lower) ? lower.replaceAll(':', '-') : null;
}

function nameOf(mac: string, address: string): string {
  return `machine ${mac.replaceAll('-', ':')} (${address})`;
}

function portFailure({ address, serverPort }: BootPlan, error: Error): Failure {
  const { code } = error as NodeJS.ErrnoException;
  const text =
    code === 'EADDRINUSE'
      ? `TCP port ${serverPort} of ${address} is taken, and --netboot needs it; give another ` +
        `with -s`
      : `--netboot cannot listen to TCP port ${serverPort} of ${address} (${error.message})`;
  return new Failure('network', 'PORT_TAKEN', text);
}
