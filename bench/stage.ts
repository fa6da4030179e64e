/** Where a case plays: a world, an image, and whole-process runs of each program. */

import { statSync } from 'node:fs';
import { basename } from 'node:path';
import {
  type ClientProgram,
  type ServerProgram,
  startClient,
  startServer,
} from '../test/lab/programs.js';
import type { RunningProcess, StartOptions } from '../test/lab/running.js';
import { allocatedBytes, Scratch } from '../test/lab/scratch.js';
import { toolPath } from '../test/lab/tools.js';
import { type Host, type LinkOptions, World } from '../test/lab/world.js';
import { ReadyMemory } from './ready-memory.js';

export interface OurRun {
  /** Whole processes. */
  seconds: number;
  /** From the first client that finds the server to the last that has proven its copy. */
  copySeconds: number;
  server: ServerProgram;
  clients: ClientProgram[];
}

export interface OurOptions extends StartOptions {
  /** How many of the hosts take part; all if not given. */
  clientCount?: number;
  /** For both programs. */
  common?: string[];
  server?: string[];
  /** Start the server only when all clients listen: their start-up then costs nothing. */
  clientsFirst?: boolean;
  /** False: the copies are not the image to the last byte, and whoever asks judges them. */
  equal?: boolean;
}

/** Far above any sound run. */
const hangMs = 900_000;

export class Stage {
  readonly scratch = new Scratch();
  readonly world: World;
  private readonly memory = new ReadyMemory(this.scratch);

  /** @param links the server's link, then one for each client */
  constructor(links: LinkOptions[]) {
    try {
      this.world = new World({ hosts: links });
    } catch (error) {
      this.scratch.close();
      throw error;
    }
  }

  get serverHost(): Host {
    return this.world.host(1);
  }

  /** @param count all if not given */
  clientHosts(count = this.world.hosts.length - 1): Host[] {
    return this.world.hosts.slice(1, 1 + count);
  }

  copyPath(host: Host, image: string): string {
    return this.scratch.path(`client-${host.number}`, basename(image));
  }

  /**
   * Empties the folders that copies go to.
   *
   * @param comingBytes what the next copies will take: so much memory is made ready
   */
  clearCopies(comingBytes = 0): void {
    for (const host of this.clientHosts()) {
      const folder = `client-${host.number}`;
      this.scratch.remove(this.scratch.path(folder));
      this.scratch.makeFolder(folder);
    }
    this.memory.provide(comingBytes);
  }

  /**
   * Clients and server start together; the time ends with the last process.
   *
   * @throws Error when a program fails or a copy differs
   */
  async ours(image: string, options: OurOptions = {}): Promise<OurRun> {
    const { clientCount, common = [], server: serverArgs = [], ...others } = options;
    const { clientsFirst, equal = true, ...start } = others;
    const hosts = this.clientHosts(clientCount);
    this.clearCopies(hosts.length * allocatedBytes(image));
    const startMs = performance.now();
    const clients = hosts.map((host) =>
      startClient(host, ['-o', this.copyPath(host, image), ...common], start),
    );
    if (clientsFirst) await Promise.all(clients.map((client) => client.waitFor('listening')));
    const args = ['-f', image, '--no-cache', '--exit-after', `${hosts.length}`];
    const server = startServer(this.serverHost, [...args, ...common, ...serverArgs], start);
    const seconds = await this.untilAllEnd(startMs, [...clients, server]);
    if (equal) this.compareCopies(image, hosts);
    const foundMs = Math.min(...clients.map((client) => client.last('server-found').timeMs));
    const provenMs = Math.max(...clients.map((client) => client.last('proven').timeMs));
    return { seconds, copySeconds: (provenMs - foundMs) / 1000, server, clients };
  }

  /**
   * @param pipes commands that the image goes through at the sender and at each receiver
   * @returns whole-process seconds
   */
  async udpcast(
    image: string,
    pipes?: { sender: string; receiver: string },
    clientCount?: number,
  ): Promise<number> {
    const [receiver, sender] = [toolPath('udp-receiver'), toolPath('udp-sender')];
    const hosts = this.clientHosts(clientCount);
    this.clearCopies(hosts.length * statSync(image).size);
    const common = ['--nokbd', '--interface', 'e0', '--file'];
    const pipe = (command?: string) => (command === undefined ? [] : ['--pipe', command]);
    const startMs = performance.now();
    const receivers = hosts.map((host) =>
      host.start(receiver, [...pipe(pipes?.receiver), ...common, this.copyPath(host, image)]),
    );
    const waitFor = ['--full-duplex', '--min-receivers', `${hosts.length}`];
    const sending = this.serverHost.start(sender, [
      ...pipe(pipes?.sender),
      ...waitFor,
      ...common,
      image,
    ]);
    const seconds = await this.untilAllEnd(startMs, [...receivers, sending]);
    this.compareCopies(image, hosts);
    return seconds;
  }

  /**
   * The receivers are daemons: they listen before the clock starts, and the time ends with
   * the sender.
   *
   * @returns seconds
   */
  async uftp(image: string, clientCount?: number): Promise<number> {
    const [daemon, sender] = [toolPath('uftpd'), toolPath('uftp')];
    const hosts = this.clientHosts(clientCount);
    this.clearCopies(hosts.length * statSync(image).size);
    const daemons = hosts.map((host) => {
      const folder = this.scratch.path(`client-${host.number}`);
      return host.start(daemon, ['-d', '-I', 'e0', '-D', folder, '-B', '4000000']);
    });
    try {
      // The last it says before it listens.
      await Promise.all(daemons.map((one) => one.waitText('Loaded')));
      const startMs = performance.now();
      const args = ['-I', 'e0', '-R', '-1', '-B', '4000000', '-b', '1452', image];
      const seconds = await this.untilAllEnd(startMs, [this.serverHost.start(sender, args)]);
      this.compareCopies(image, hosts);
      return seconds;
    } finally {
      for (const one of daemons) one.kill('SIGKILL');
      await Promise.allSettled(daemons.map((one) => one.exited));
    }
  }

  /** @throws Error when one of them differs */
  compareCopies(image: string, hosts: Host[]): void {
    for (const host of hosts) this.scratch.assertCopy(this.copyPath(host, image), image);
  }

  /** @returns seconds from `startMs` until the last of them has ended well */
  async untilAllEnd(startMs: number, running: RunningProcess[]): Promise<number> {
    try {
      const exits = await Promise.all(running.map((one) => one.waitStatus(0, hangMs)));
      return (Math.max(...exits.map((exit) => exit.atMs)) - startMs) / 1000;
    } catch (error) {
      for (const one of running) if (one.exit === null) one.kill('SIGKILL');
      await Promise.allSettled(running.map((one) => one.exited));
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.world.close();
    this.scratch.close();
  }
}

/** Builds a stage for one case and takes it down after it. */
export async function onStage<T>(
  links: LinkOptions[],
  play: (stage: Stage) => Promise<T>,
): Promise<T> {
  const stage = new Stage(links);
  try {
    return await play(stage);
  } finally {
    await stage.close();
  }
}

/** One link for the server and `clientCount` for clients. */
export function linksFor(
  clientCount: number,
  server: LinkOptions = {},
  client: LinkOptions = {},
): LinkOptions[] {
  return [server, ...Array<LinkOptions>(clientCount).fill(client)];
}
