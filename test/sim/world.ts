/** Servers, clients and the wires between them, all in one virtual time. */
import type { Address } from '../../src/protocol/address.js';
import { Agenda } from './agenda.js';
import { STRANGER, Stranger } from './hostile.js';
import { SimImage } from './image.js';
import { Link, type LinkFaults } from './network.js';
import type { SimOptions } from './options.js';
import { Random } from './random.js';
import { type ClientContext, SimClient } from './sim-client.js';
import { SERVER_PORT, type ServerWires, SimServer } from './sim-server.js';
import { Witness } from './witness.js';

export class World {
  readonly agenda = new Agenda();
  readonly witness: Witness;
  readonly image: SimImage;
  readonly servers: SimServer[] = [];
  readonly clients: SimClient[] = [];
  /** Datagrams from servers to single clients. */
  answersSent = 0;
  private readonly stranger: Stranger;
  private readonly strangerRandom: Random;
  private faults: LinkFaults;
  private isHealed = false;
  /** Within one virtual ms: more means that somebody runs in circles without time passing. */
  private readonly mostEvents: number;

  constructor(readonly options: SimOptions) {
    this.mostEvents = 1000 + 500 * options.clients + options.imageChunks + options.hostile;
    this.agenda.now = 1000 + this.random('time').next() * 1e6;
    this.witness = new Witness(this.agenda, options);
    this.image = new SimImage('disk.img', options, this.random('image'));
    this.faults = {
      lossRatio: options.loss,
      burstRatio: options.burst,
      duplicateRatio: options.duplicate,
      reorderRatio: options.reorder,
      damageRatio: options.damage,
      outageMs: options.outage,
    };
    this.strangerRandom = this.random('stranger');
    this.stranger = new Stranger(this.strangerRandom);
    if (options.hostile > 0) this.agenda.after(0, () => this.attack());
  }

  /** Randomness of its own for each part, so that one part's needs don't shift the others'. */
  random(label: string): Random {
    return new Random(this.options.seed, label);
  }

  addServer(name: string, image: SimImage = this.image): SimServer {
    const address = `10.0.0.${1 + this.servers.length}`;
    const server = new SimServer(name, address, image, {
      agenda: this.agenda,
      random: this.random(`server ${name}`),
      options: this.options,
      witness: this.witness,
      wires: this.wires,
    });
    this.servers.push(server);
    return server;
  }

  /** Somebody on the way: gives back what goes on instead, the same or a copy. */
  tamper: (train: Buffer, packetBytes: number) => Buffer = (train) => train;

  addClient(image: SimImage = this.image, isBlank = true): SimClient {
    const number = this.clients.length + 1;
    const name = `client${number}`;
    const random = this.random(name);
    const context: ClientContext = {
      agenda: this.agenda,
      random,
      options: this.options,
      witness: this.witness,
      send: (bytes, to, from) => this.fromClient(bytes, to, from),
    };
    const address = `10.1.${number >>> 8}.${number & 255}`;
    const down = new Link(this.agenda, random, this.faults);
    const up = new Link(this.agenda, random, this.faults);
    const client = new SimClient(name, address, down, up, image, isBlank, context);
    this.clients.push(client);
    return client;
  }

  private readonly wires: ServerWires = {
    toGroup: (train, packetBytes, from) => {
      if (this.options.hostile > 0) this.stranger.hearServer(train, packetBytes);
      for (const client of this.clients) {
        if (client.machine === null) continue;
        client.down.carry(this.tamper(train, packetBytes), packetBytes, (carried, pieces) =>
          client.takeGroup(carried, pieces, from.address, packetBytes),
        );
      }
    },
    toOne: (bytes, to, from) => {
      const isTo = ({ address, port }: Address): boolean =>
        address === to.address && port === to.port;
      const server = this.servers.find(isTo);
      if (server !== undefined) this.betweenServers(bytes, server, from);
      const client = this.clients.find(isTo);
      if (client === undefined) return;
      this.answersSent++;
      this.witness.controlSent();
      client.down.carry(this.tamper(bytes, bytes.length), bytes.length, (carried) =>
        client.takeUnicast(carried, from.address, SERVER_PORT),
      );
    },
    toServers: (bytes, from) => {
      // Multicast comes back to its sender, too.
      for (const server of this.servers) this.betweenServers(bytes, server, from);
    },
  };

  private betweenServers(bytes: Buffer, to: SimServer, { address, port }: SimServer): void {
    this.agenda.after(0.2, () => to.take(bytes, { address, port }));
  }

  private fromClient(
    bytes: Buffer,
    to: { address: string; port: number } | null,
    from: SimClient,
  ): void {
    this.witness.controlSent();
    if (this.options.hostile > 0) this.stranger.hearClient(bytes);
    const peer = { address: from.address, port: from.port };
    for (const server of this.servers) {
      if (to !== null && (to.address !== server.address || to.port !== SERVER_PORT)) continue;
      from.up.carry(this.tamper(bytes, bytes.length), bytes.length, (carried) =>
        server.take(carried, { ...peer }),
      );
    }
  }

  private attack(): void {
    if (this.isHealed) return;
    const random = this.strangerRandom;
    const server = random.pick(this.servers);
    const address = this.options.spoof && random.chance(0.5) ? server.address : STRANGER;
    const client = random.pick(this.clients);
    switch (random.below(3)) {
      case 0:
        server.take(this.stranger.forServer(), { address: STRANGER, port: 6666 });
        break;
      case 1: {
        // Who still looks for a server has no way yet to tell a stranger from one.
        const bytes = this.stranger.forClient();
        if (client.machine?.serverAddress) client.takeUnicast(bytes, address, SERVER_PORT);
        break;
      }
      default: {
        const bytes = this.stranger.forGroup();
        client.takeGroup(bytes, [0, bytes.length], address);
      }
    }
    this.agenda.after((2 * random.next() * 1000) / this.options.hostile, () => this.attack());
  }

  /** Ends all faults. */
  heal(): void {
    this.isHealed = true;
    this.witness.note('world', 'is healed');
    for (const { down, up, disk } of this.clients) {
      down.heal();
      up.heal();
      disk.storeMs = Math.min(disk.storeMs, 0.4);
    }
  }

  get isFinished(): boolean {
    return this.clients.every((client) => client.isFinished);
  }

  /**
   * Lets time pass until `isOver`, which is asked after every event. @returns false at `untilMs`
   */
  runUntil(untilMs: number, isOver: () => boolean = () => false): boolean {
    let fromMs = this.agenda.now;
    let fromCount = this.agenda.count;
    while (!isOver()) {
      if (this.agenda.now - fromMs >= 1) {
        fromMs = this.agenda.now;
        fromCount = this.agenda.count;
      }
      const events = this.agenda.count - fromCount;
      if (events > this.mostEvents) this.witness.fail('world', `${events} events in one ms`);
      if (!this.agenda.step(untilMs)) {
        this.agenda.now = Math.max(this.agenda.now, untilMs);
        return isOver();
      }
    }
    return true;
  }

  runFor(ms: number): void {
    this.runUntil(this.agenda.now + ms);
  }

  /** Lets time pass until every client is done. */
  finishWithin(ms: number): void {
    let running = 0;
    const isOver = (): boolean => {
      while (running < this.clients.length && this.clients[running]!.isFinished) running++;
      return running === this.clients.length && this.isFinished;
    };
    if (this.runUntil(this.agenda.now + ms, isOver)) return;
    const unfinished = this.clients.filter((client) => !client.isFinished);
    const states = unfinished
      .slice(0, 5)
      .map(({ name, machine, failure }) =>
        machine === null
          ? `${name}: ${failure?.message ?? 'not running'}`
          : `${name}: ${JSON.stringify(machine.progress())}`,
      );
    const servers = this.servers.map((server) => {
      const progress = server.session?.progress(this.agenda.now);
      return JSON.stringify({ ...progress, clients: progress?.clients.slice(0, 8) });
    });
    this.witness.fail(
      'world',
      `${unfinished.length} clients are not done after ${Math.round(ms)} ms of peace\n` +
        [...states, ...servers].join('\n'),
    );
  }
}
