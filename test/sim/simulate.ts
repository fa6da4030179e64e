/** One whole run: faults first, then peace, in which everybody must get done. */
import { MAX_JOIN_WINDOW_MS } from '../../src/protocol/from-server.js';
import { mostImages } from './bounds.js';
import { passMs, type SimOptions } from './options.js';
import type { Random } from './random.js';
import type { SimClient } from './sim-client.js';
import { World } from './world.js';

export interface SimResult {
  /** Blocks of the image that hold data. */
  imageBlocks: number;
  blocksSent: number;
  /** blocksSent over imageBlocks. */
  blockRatio: number;
  controlMessages: number;
  controlPeakPerSecond: number;
  /** From the first start to the last client done. */
  virtualMs: number;
  events: number;
  crashes: number;
  serverRestarts: number;
}

const EARLY_MS = 600;

/** @throws SimFailure when an invariant breaks */
export function simulate(options: SimOptions): SimResult {
  const world = new World(options);
  const random = world.random('plan');
  const startMs = world.agenda.now;
  const server = world.addServer('server');
  const serverStartMs = startMs + (options.early > 0 ? EARLY_MS : 0);
  world.agenda.at(serverStartMs, () => server.start(options.prepareMs));
  for (let i = 0; i < options.clients; i++) planClient(world, random, serverStartMs);

  const faultMs = options.faultMs || 4 * passMs(options);
  const plan = new Faults(world, random, serverStartMs, faultMs);
  plan.make();
  if (hasFaults(options)) {
    world.runUntil(serverStartMs + faultMs, () => world.isFinished && plan.isOver);
    world.heal();
  }
  // Strangers may have told that many clients are about to join: each then waits for its turn.
  const turnMs = options.hostile > 0 ? MAX_JOIN_WINDOW_MS : 0;
  const healMs = 12 * passMs(options) + options.prepareMs + turnMs + 10_000;
  world.finishWithin(options.healMs || healMs);
  const virtualMs = Math.max(...world.clients.map((client) => client.finishedMs)) - startMs;
  checkSilence(world);
  const { blocksSent, controlMessages, controlPeakPerSecond } = world.witness;
  const imageBlocks = world.image.dataBlocks;
  // A tiny image may have gone by before the next client is ready.
  const mostBlocks = mostImages(options) * imageBlocks + 64 * options.clients;
  world.witness.check(
    blocksSent <= mostBlocks,
    'server',
    `sent ${blocksSent} blocks, where ${Math.ceil(mostBlocks)} should have been plenty`,
  );
  return {
    imageBlocks,
    blocksSent,
    blockRatio: imageBlocks > 0 ? blocksSent / imageBlocks : 1,
    controlMessages,
    controlPeakPerSecond,
    virtualMs,
    events: world.agenda.count,
    crashes: plan.crashes,
    serverRestarts: plan.serverRestarts,
  };
}

function hasFaults(options: SimOptions): boolean {
  const { loss, burst, reorder, duplicate, damage, outage, crashes, serverRestarts, slow } =
    options;
  const { partitions, hostile } = options;
  return (
    loss +
      burst +
      reorder +
      duplicate +
      damage +
      outage +
      crashes +
      serverRestarts +
      slow +
      partitions +
      hostile >
    0
  );
}

function planClient(world: World, random: Random, serverStartMs: number): void {
  const { options } = world;
  const client = world.addClient(world.image, random.chance(options.blank));
  client.settings.resumes = random.chance(options.resume);
  client.settings.verifies = random.chance(options.verify);
  if (client.settings.resumes) client.disk.fillPartly(random.next(), options.edits);
  let startMs = serverStartMs + random.next() * 15;
  if (random.chance(options.early)) startMs = serverStartMs - random.next() * EARLY_MS;
  else if (random.chance(options.late)) {
    startMs = serverStartMs + passMs(options) * random.between(0.1, 0.9);
  }
  world.agenda.at(startMs, () => client.start());
  if (random.chance(options.slow)) makeSlow(client, random, options);
}

function makeSlow(client: SimClient, random: Random, options: SimOptions): void {
  const rateBytesPerMs = options.rate / 8000;
  switch (random.below(3)) {
    case 0:
      // Three workers that together take a third of the rate.
      client.disk.storeMs = (9 * options.chunkSizeBytes) / rateBytesPerMs;
      break;
    case 1:
      client.down.bytesPerMs = rateBytesPerMs * random.between(0.2, 0.7);
      client.down.queueBytes = 8192;
      break;
    default:
      client.inbox.stutterMs = 120;
  }
}

/** What goes wrong, and when. */
class Faults {
  crashes = 0;
  serverRestarts = 0;
  private readonly world: World;
  private readonly random: Random;
  private readonly startMs: number;
  private readonly lengthMs: number;
  private planned = 0;
  private done = 0;

  constructor(world: World, random: Random, startMs: number, lengthMs: number) {
    this.world = world;
    this.random = random;
    this.startMs = startMs;
    this.lengthMs = lengthMs;
  }

  /** Nothing more will go wrong. */
  get isOver(): boolean {
    return this.done === this.planned;
  }

  make(): void {
    const { crashes, serverRestarts, partitions } = this.world.options;
    for (let i = 0; i < crashes; i++) this.plan(() => this.crash());
    for (let i = 0; i < serverRestarts; i++) this.plan(() => this.restartServer());
    for (let i = 0; i < partitions; i++) this.plan(() => this.cut());
  }

  private plan(act: () => number): void {
    this.planned++;
    const atMs = this.startMs + this.lengthMs * this.random.between(0.02, 0.6);
    this.world.agenda.at(atMs, () => {
      const lastsMs = act();
      this.world.agenda.after(lastsMs, () => {
        this.done++;
      });
    });
  }

  private crash(): number {
    const { agenda, clients } = this.world;
    const running = clients.filter((client) => client.machine !== null);
    if (running.length === 0) return 0;
    const client = this.random.pick(running);
    client.crash();
    this.crashes++;
    const lastsMs = this.random.between(20, 500);
    agenda.after(lastsMs, () => client.start());
    return lastsMs + 1;
  }

  private restartServer(): number {
    const { agenda, options, servers } = this.world;
    const server = servers[0]!;
    if (server.session === null) return 0;
    if (this.random.chance(0.5)) server.stop();
    else server.crash();
    this.serverRestarts++;
    const lastsMs = this.random.between(20, 900);
    const prepareMs = this.random.chance(0.5) ? options.prepareMs : 0;
    agenda.after(lastsMs, () => server.start(prepareMs));
    return lastsMs + 1;
  }

  private cut(): number {
    const { agenda, clients, witness } = this.world;
    const cut = clients.filter(() => this.random.chance(0.4));
    const lastsMs = this.random.between(50, 1500);
    witness.note('world', `cuts off ${cut.length} clients`);
    for (const { down, up } of cut) {
      down.isCut = true;
      up.isCut = this.random.chance(0.7);
    }
    agenda.after(lastsMs, () => {
      for (const { down, up } of cut) {
        down.isCut = false;
        up.isCut = false;
      }
    });
    return lastsMs + 1;
  }
}

/** When all are done, the server has nothing to say. */
function checkSilence(world: World): void {
  // Clients that crashed are missed for a while.
  world.runFor(30_000);
  const { witness } = world;
  const before = [
    witness.blocksSent,
    witness.statusesSent,
    world.answersSent,
    witness.controlMessages,
  ];
  world.runFor(60_000);
  const after = [
    witness.blocksSent,
    witness.statusesSent,
    world.answersSent,
    witness.controlMessages,
  ];
  witness.check(
    before.join() === after.join(),
    'world',
    `is not silent when all are done: ${before} then ${after}`,
  );
}
