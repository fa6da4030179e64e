/** Drives a real ClientSession as the client program does, and checks it after every event. */
import type { StoreOrder } from '../../src/client/receiver.js';
import { ClientSession } from '../../src/client/session.js';
import type { Failure } from '../../src/failure.js';
import type { Agenda } from './agenda.js';
import { SimDisk } from './disk.js';
import { type SimImage, sha256 } from './image.js';
import type { Link } from './network.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';
import { GROUP, GROUP_PORT } from './sim-server.js';
import { StoreKeeper } from './store-keeper.js';
import type { Witness } from './witness.js';

/** What the kernel keeps of a group socket's packets while the program is busy. */
const SOCKET_BYTES = 128 * 1024;
/** What the program keeps while no chunk memory is free. */
const STASH_BYTES = 256 * 1024;
const STORE_WORKERS = 3;
const MOST_LATE_TIMERS = 400;

export interface ClientContext {
  agenda: Agenda;
  random: Random;
  options: SimOptions;
  witness: Witness;
  /** Sends a datagram; without an address, to wherever servers are looked for. */
  send: (bytes: Buffer, to: { address: string; port: number } | null, from: SimClient) => void;
}

interface Arrival {
  train: Buffer;
  pieces: readonly number[];
  address: string;
}

export class SimClient {
  readonly disk: SimDisk;
  readonly port = 40_000;
  failure: Failure | null = null;
  /** Said to be proven, synced and done. */
  isFinished = false;
  finishedMs = Number.POSITIVE_INFINITY;
  starts = 0;
  wantedName: string | undefined;
  giveUpMs = Number.POSITIVE_INFINITY;
  /** How often, and for how long, the processor does something else. */
  stutterMs = 0;
  readonly #context: ClientContext;
  readonly #isRightImage: SimImage;
  #machine: ClientSession | null = null;
  #stores: StoreKeeper | null = null;
  #isBlank: boolean;
  /** This client's clock counts from elsewhere. */
  #clockMs = 0;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #lateTimers = 0;
  #isOpening = false;
  #isFinishing = false;
  #socket: Arrival[] = [];
  #socketBytes = 0;
  #busyUntilMs = 0;
  #stash: { bytes: Buffer; isFromServer: boolean }[] = [];
  #stashBytes = 0;
  #blocksDelivered = 0;
  #provenBytes = 0;

  constructor(
    readonly name: string,
    readonly address: string,
    readonly down: Link,
    readonly up: Link,
    image: SimImage,
    isBlank: boolean,
    context: ClientContext,
  ) {
    this.#context = context;
    this.#isRightImage = image;
    this.#isBlank = isBlank;
    this.disk = new SimDisk(image, isBlank, STORE_WORKERS, context.random);
  }

  get machine(): ClientSession | null {
    return this.#machine;
  }

  start(): void {
    const { agenda, random, options, witness } = this.#context;
    this.starts++;
    // Microseconds modulo 2^32 wrap every 71 minutes: begin near it, now and then.
    this.#clockMs = random.chance(0.5) ? 4_294_000 + random.next() * 1000 : random.next() * 1e7;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#isOpening = false;
    this.#isFinishing = false;
    this.#socket = [];
    this.#socketBytes = 0;
    this.#stash = [];
    this.#stashBytes = 0;
    this.#busyUntilMs = 0;
    this.#blocksDelivered = 0;
    this.#provenBytes = 0;
    this.isFinished = false;
    this.failure = null;
    this.#machine = new ClientSession(
      {
        client: random.id(),
        host: this.name,
        wantedName: this.wantedName,
        group: GROUP,
        port: GROUP_PORT,
        timeoutMs: options.timeoutMs,
        giveUpMs: this.giveUpMs,
        digest: sha256,
        random: random.next,
      },
      this.#now,
    );
    witness.note(this.name, 'starts');
    const machine = this.#machine;
    agenda.after(0, () => this.#tend(machine));
  }

  /** Dies as by a power cut: chunks being written may be half on the disk. */
  crash(): void {
    if (this.#machine === null) return;
    this.#context.witness.note(this.name, 'crashes');
    this.#machine = null;
    this.#stores?.tear();
    this.#stores = null;
    this.disk.forgetOrders();
    // A new file begins blank, a device or an old file with whatever was there.
    this.#isBlank = false;
  }

  get #now(): number {
    return this.#context.agenda.now + this.#clockMs;
  }

  takeUnicast(bytes: Buffer, address: string, port: number): void {
    const machine = this.#machine;
    if (machine === null) return;
    this.#context.witness.guard(this.name, () => {
      machine.handleUnicast(bytes, address, port, this.#now);
      this.#tend(machine);
    });
  }

  takeGroup(train: Buffer, pieces: readonly number[], address: string): void {
    const machine = this.#machine;
    if (machine === null) return;
    const { agenda, random, witness } = this.#context;
    if (agenda.now < this.#busyUntilMs) {
      if (this.#socketBytes + train.length > SOCKET_BYTES) return;
      this.#socket.push({ train, pieces, address });
      this.#socketBytes += train.length;
      return;
    }
    witness.guard(this.name, () => {
      this.#takePieces(machine, train, pieces, address);
      this.#tend(machine);
    });
    if (this.stutterMs > 0 && random.chance(0.01)) {
      this.#busyUntilMs = agenda.now + random.next() * this.stutterMs;
      agenda.at(this.#busyUntilMs, () => this.#drainSocket(machine));
    }
  }

  #drainSocket(machine: ClientSession): void {
    if (this.#machine !== machine) return;
    const arrivals = this.#socket;
    this.#socket = [];
    this.#socketBytes = 0;
    for (const { train, pieces, address } of arrivals) this.takeGroup(train, pieces, address);
  }

  #takePieces(
    machine: ClientSession,
    train: Buffer,
    pieces: readonly number[],
    address: string,
  ): void {
    const isFromServer = address === machine.serverAddress;
    for (let i = 0; i < pieces.length; i += 2) {
      const start = pieces[i]!;
      const end = pieces[i + 1]!;
      this.#blocksDelivered += Math.ceil((end - start) / 29);
      if (this.#stash.length === 0 && !machine.isExhausted) {
        machine.handleGroup(train, start, end, isFromServer, this.#now);
      } else if (this.#stashBytes + end - start <= STASH_BYTES) {
        this.#stash.push({ bytes: train.subarray(start, end), isFromServer });
        this.#stashBytes += end - start;
      }
    }
  }

  #takeStash(machine: ClientSession): void {
    while (this.#stash.length > 0 && !machine.isExhausted) {
      const { bytes, isFromServer } = this.#stash.shift()!;
      this.#stashBytes -= bytes.length;
      machine.handleGroup(bytes, 0, bytes.length, isFromServer, this.#now);
    }
  }

  /** Does whatever the machine has become ready to do. */
  #tend(machine: ClientSession): void {
    if (this.#machine !== machine) return;
    const { send, witness } = this.#context;
    if (this.#now >= machine.nextDeadline()) machine.handleTimeout(this.#now);
    this.#submitStores(machine);
    for (let out = machine.pollTransmit(); out !== null; out = machine.pollTransmit()) {
      send(out.bytes, out.to, this);
    }
    for (const event of machine.pollEvents()) witness.note(this.name, event.type);
    this.#check(machine);
    if (machine.failure !== null) {
      this.#fail(machine, machine.failure);
      return;
    }
    if (machine.description !== null && !this.#isOpening) this.#open(machine);
    if (machine.isProven && !this.#isFinishing) this.#finish(machine);
    if (machine.isFinished) this.#end();
    else this.#schedule(machine);
  }

  #submitStores(machine: ClientSession): void {
    for (let order = machine.pollStore(); order !== null; order = machine.pollStore()) {
      this.#stores!.submit(order);
    }
  }

  #open(machine: ClientSession): void {
    this.#isOpening = true;
    const { agenda, random, options, witness } = this.#context;
    const { chunkSize, imageSize } = machine.description!;
    const slots = Array.from({ length: options.clientSlots }, () => Buffer.alloc(chunkSize));
    agenda.after(random.between(0.5, 20), () => {
      if (this.#machine !== machine) return;
      if (imageSize !== this.disk.bytes.length) return;
      this.#stores = new StoreKeeper(this.name, this.#isRightImage, this.disk, slots, {
        agenda,
        random,
        witness,
        isStrict: !options.spoof,
        done: (order, outcome) => this.#stored(machine, order, outcome),
      });
      const target = { slots, isBlank: this.#isBlank, receiveBufferBytes: SOCKET_BYTES };
      witness.guard(this.name, () => {
        machine.begin(target, this.#now);
        this.#tend(machine);
      });
    });
  }

  #stored(
    machine: ClientSession,
    order: StoreOrder,
    outcome: Parameters<ClientSession['handleStored']>[1],
  ): void {
    if (this.#machine !== machine) return;
    this.#context.witness.guard(this.name, () => {
      machine.handleStored(order, outcome, this.#now);
      this.#takeStash(machine);
      this.#tend(machine);
    });
  }

  #finish(machine: ClientSession): void {
    this.#isFinishing = true;
    const { agenda, random, witness } = this.#context;
    const syncMs = random.between(0.5, 15);
    // Whatever may still be written must not be: look once more when all is said to be done.
    agenda.after(syncMs, () => {
      if (this.#machine !== machine) return;
      witness.guard(this.name, () => {
        this.#checkProven();
        machine.part(this.#now);
        this.#tend(machine);
      });
    });
  }

  #end(): void {
    const { agenda, witness } = this.#context;
    this.#checkProven();
    this.isFinished = true;
    this.finishedMs = agenda.now;
    this.#machine = null;
    witness.note(this.name, 'is done');
  }

  #fail(machine: ClientSession, failure: Failure): void {
    const { send, witness } = this.#context;
    witness.note(this.name, `fails: ${failure.code}`);
    machine.leave(this.#now);
    const farewell = machine.pollTransmit();
    if (farewell !== null) send(farewell.bytes, farewell.to, this);
    this.failure = failure;
    this.#machine = null;
  }

  #schedule(machine: ClientSession): void {
    const { agenda, random, witness } = this.#context;
    const deadline = machine.nextDeadline();
    if (deadline === this.#timerAtMs) return;
    this.#timerAtMs = deadline;
    if (deadline === Number.POSITIVE_INFINITY) return;
    const leftMs = deadline - this.#now;
    this.#lateTimers = leftMs <= 0 ? this.#lateTimers + 1 : 0;
    witness.check(this.#lateTimers < MOST_LATE_TIMERS, this.name, 'its deadline has always passed');
    agenda.after(Math.max(1, Math.trunc(leftMs)) + random.next() * 0.3, () => {
      if (this.#machine !== machine || this.#timerAtMs !== deadline) return;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      witness.guard(this.name, () => this.#tend(machine));
    });
  }

  #check(machine: ClientSession): void {
    const { witness } = this.#context;
    const p = machine.progress();
    const isSane =
      p.writtenBytes <= p.sizeBytes &&
      p.provenBytes <= p.writtenBytes &&
      p.provenBytes >= this.#provenBytes &&
      p.missingChunks >= 0 &&
      p.missingChunks <= p.chunkCount &&
      p.blocksReceived + p.blocksDuplicate <= this.#blocksDelivered;
    witness.check(
      isSane,
      this.name,
      () => `progress cannot be: ${JSON.stringify(p)}, ${this.#blocksDelivered} blocks came`,
    );
    this.#provenBytes = p.provenBytes;
    witness.check(
      p.provenBytes <= this.disk.rightBytes,
      this.name,
      () => `${p.provenBytes} bytes are proven, ${this.disk.rightBytes} are right`,
    );
    if (machine.isProven) this.#checkProven();
  }

  #checkProven(): void {
    const { witness } = this.#context;
    witness.check(this.disk.isImage, this.name, 'says proven over a wrong copy');
    witness.check(
      this.#stores === null || this.#stores.isIdle,
      this.name,
      'says proven while it writes',
    );
  }
}
