/** The usual lab test: a server on host 1, clients on the others, scratch files. */

import { test } from 'node:test';
import { type ClientProgram, type ServerProgram, startClient, startServer } from './programs.js';
import { Scratch } from './scratch.js';
import { type LinkOptions, World } from './world.js';

export interface Lab {
  world: World;
  scratch: Scratch;
  /** Starts a server on host 1. */
  startServer(args: string[]): ServerProgram;
  /** Starts a client on a host, with `-o` to a place of its own unless another is given. */
  startClient(hostNumber: number, args?: string[]): ClientProgram;
  /** Where the client of this host puts its copy. */
  copyPath(hostNumber: number): string;
}

export interface Copied {
  server: ServerProgram;
  clients: ClientProgram[];
}

/** Far above what a sound run takes: it only ends a test that hangs. */
const hangMs = 120_000;

/**
 * A test in a world of its own, which is gone after it, however it ends.
 *
 * @param hosts number of hosts, or what the link of each is like; the server's is first
 */
export function labTest(
  name: string,
  hosts: number | LinkOptions[],
  body: (lab: Lab) => Promise<void>,
  mtu = 1500,
): void {
  test(name, { timeout: hangMs }, async () => {
    const links = typeof hosts === 'number' ? Array<LinkOptions>(hosts).fill({}) : hosts;
    const world = new World({ hosts: links, mtu });
    const scratch = new Scratch();
    const copyPath = (hostNumber: number) => scratch.path(`copy-${hostNumber}.img`);
    try {
      await body({
        world,
        scratch,
        copyPath,
        startServer: (args) => startServer(world.host(1), args),
        startClient(hostNumber, args = []) {
          const output = args.includes('-o') ? [] : ['-o', copyPath(hostNumber)];
          return startClient(world.host(hostNumber), [...output, ...args]);
        },
      });
    } finally {
      await world.close();
      scratch.close();
    }
  });
}

/**
 * Serves an image to all other hosts at once, waits for the end and compares every copy.
 *
 * @param common options for both programs
 * @throws Error when a program fails or a copy differs
 */
export async function copyToAll(
  lab: Lab,
  image: string,
  common: string[] = [],
  serverOnly: string[] = [],
): Promise<Copied> {
  const numbers = lab.world.hosts.slice(1).map((host) => host.number);
  const exitAfter = ['--exit-after', `${numbers.length}`];
  const clients = numbers.map((number) => lab.startClient(number, common));
  const server = lab.startServer(['-f', image, ...exitAfter, ...common, ...serverOnly]);
  await Promise.all([server, ...clients].map((program) => program.waitStatus(0)));
  for (const number of numbers) lab.scratch.assertCopy(lab.copyPath(number), image);
  return { server, clients };
}
