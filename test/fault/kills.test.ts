/**
 * SIGKILL for the client, the server or both, at random moments of a transfer: after all the
 * restarts the copy is exact. `FAULT_MOMENTS=100` for the long form, `FAULT_SEED=N` to repeat.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ClientProgram,
  type ServerProgram,
  startClient,
  startServer,
} from '../lab/programs.js';
import { Scratch, sha256OfFile } from '../lab/scratch.js';
import { World } from '../lab/world.js';
import { Random } from '../sim/random.js';
import { faultSeed, numberFrom, Tally } from './tally.js';

const imageBytes = 16 * (1 << 20) + 4321;
/** The transfer takes about a second, as long as a program needs to start a few times over. */
const serverOptions = ['--rate', '130M'];
/** From the start of the one who is killed; its own start takes the first part of it. */
const latestKillMs = 1500;
const mostKillsOfCopy = 6;

const moments = numberFrom('FAULT_MOMENTS', 12);
const seed = faultSeed();

class Killing {
  readonly random = new Random(seed, 'kills');
  readonly tally = new Tally();
  readonly world = new World({ hosts: [{}, {}] });
  readonly scratch = new Scratch();
  readonly kills = { client: 0, server: 0, both: 0 };
  private copies = 0;

  /** One copy, with several kills on the way. */
  async copyOnce(): Promise<void> {
    const number = this.copies++;
    const image = this.scratch.randomFile(`image-${number}`, imageBytes, `${seed}-${number}`);
    const isDevice = number % 2 === 1;
    const copy = isDevice
      ? this.scratch.loopDevice(this.scratch.randomFile(`disk-${number}`, imageBytes + 3775))
      : this.scratch.path(`copy-${number}`);
    const cache = this.random.chance(0.5) ? [] : ['--no-cache'];
    const run = new Run(this.world, ['-f', image, ...serverOptions, ...cache], copy, isDevice);

    const kills = 1 + this.random.below(mostKillsOfCopy);
    for (let kill = 0; kill < kills && this.tally.faults < moments; kill++) {
      const victim = this.random.pick(['client', 'client', 'server', 'server', 'both'] as const);
      await Promise.race([sleep(this.random.below(latestKillMs)), run.client.exited]);
      if (run.client.exit !== null) break;
      this.tally.faults += 1;
      this.kills[victim] += 1;
      for (const program of run.programs) this.tally.take(program);
      await run.kill(victim);
      // A name without .part is a claim, whoever died after it was made.
      if (!isDevice && this.scratch.exists(copy)) this.tally.compare(copy, image);
      run.restart();
    }
    await run.client.waitStatus(0);
    this.tally.take(run.client);
    run.server.kill('SIGTERM');
    await run.server.waitExit();
    this.tally.compare(copy, image);
    if (!isDevice) assert.equal(await sha256OfFile(copy), await sha256OfFile(image));
    this.scratch.remove(image, `${image}.blockmap`, ...(isDevice ? [] : [copy]));
  }

  async close(): Promise<void> {
    await this.world.close();
    this.scratch.close();
  }
}

/** A server and a client that are started again when they were killed. */
class Run {
  server: ServerProgram;
  client: ClientProgram;
  private readonly world: World;
  private readonly serverArgs: string[];
  private readonly clientArgs: string[];

  constructor(world: World, serverArgs: string[], copy: string, isDevice: boolean) {
    this.world = world;
    this.serverArgs = serverArgs;
    this.clientArgs = ['-o', copy, ...(isDevice ? ['--resume', '--verify'] : [])];
    this.server = startServer(world.host(1), serverArgs);
    this.client = startClient(world.host(2), this.clientArgs);
  }

  get programs(): [ClientProgram, ServerProgram] {
    return [this.client, this.server];
  }

  async kill(victim: 'client' | 'server' | 'both'): Promise<void> {
    if (victim !== 'server') this.client.kill('SIGKILL');
    if (victim !== 'client') this.server.kill('SIGKILL');
    if (victim !== 'server') await this.client.exited;
    if (victim !== 'client') await this.server.exited;
  }

  /** Whoever was killed comes back. A client that finished first needs no second run. */
  restart(): void {
    if (this.server.exit !== null) this.server = startServer(this.world.host(1), this.serverArgs);
    if (this.client.exit?.signal === 'SIGKILL') {
      this.client = startClient(this.world.host(2), this.clientArgs);
    }
  }
}

test(`killed at ${moments} random moments`, { timeout: 60_000 + moments * 10_000 }, async () => {
  process.stdout.write(`FAULT_SEED=${seed} FAULT_MOMENTS=${moments}\n`);
  const killing = new Killing();
  try {
    while (killing.tally.faults < moments) await killing.copyOnce();
  } finally {
    const { client, server, both } = killing.kills;
    const victims = `killed: client ${client}, server ${server}, both ${both}`;
    killing.tally.print(`kills of seed ${seed}`, victims);
    await killing.close();
  }
});
