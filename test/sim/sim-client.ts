/** A machine that is imaged: its links, its disk, and one run of the client after the other. */
import type { ClientSession } from '../../src/client/session.js';
import type { Failure } from '../../src/failure.js';
import type { Agenda } from './agenda.js';
import { ClientRun, type ClientSettings } from './client-run.js';
import { SimDisk } from './disk.js';
import type { SimImage } from './image.js';
import { Inbox } from './inbox.js';
import type { Link } from './network.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';
import type { Witness } from './witness.js';

export interface ClientContext {
  agenda: Agenda;
  random: Random;
  options: SimOptions;
  witness: Witness;
  /** Sends a datagram; without an address, to wherever servers are looked for. */
  send: (bytes: Buffer, to: { address: string; port: number } | null, from: SimClient) => void;
}

export class SimClient {
  readonly settings: ClientSettings;
  readonly disk: SimDisk;
  readonly inbox: Inbox;
  readonly port = 40_000;
  /** Why the last run ended, if not well. */
  failure: Failure | null = null;
  /** Said to be proven, synced and done. */
  isFinished = false;
  finishedMs = Number.POSITIVE_INFINITY;
  /** Blocks that servers had sent when this client was ready for the first. */
  blocksMissed = 0;
  private readonly context: ClientContext;
  private image: SimImage;
  private hasChanged = false;
  private run: ClientRun | null = null;

  constructor(
    readonly name: string,
    readonly address: string,
    readonly down: Link,
    readonly up: Link,
    image: SimImage,
    isBlank: boolean,
    context: ClientContext,
  ) {
    this.context = context;
    this.image = image;
    this.settings = {
      wantedName: undefined,
      giveUpMs: Number.POSITIVE_INFINITY,
      openMs: context.random.between(0.5, 20),
      isBlank,
      resumes: false,
      checksOnly: false,
      verifies: false,
      clearsFree: false,
    };
    this.disk = new SimDisk(image, isBlank, context.random);
    this.inbox = new Inbox(context.agenda, context.random, (arrival) => {
      this.run?.takeGroup(arrival);
    });
  }

  /** The machine of the run that is under way. */
  get machine(): ClientSession | null {
    return this.run?.machine ?? null;
  }

  /** From now on, a copy of `image` is right, and no other. */
  expect(image: SimImage): void {
    this.image = image;
    this.hasChanged = true;
    this.disk.expect(image);
  }

  start(): void {
    const { agenda, options, witness, send } = this.context;
    this.inbox.clear();
    this.isFinished = false;
    this.failure = null;
    witness.note(this.name, 'starts');
    this.run = new ClientRun(this.settings, {
      ...this.context,
      name: this.name,
      disk: this.disk,
      image: () => this.image,
      isStrict: () => !options.spoof && options.damage === 0 && !this.hasChanged,
      send: (bytes, to) => send(bytes, to, this),
      onBegin: () => {
        this.blocksMissed = witness.blocksSent;
      },
      onEnd: (failure) => {
        this.run = null;
        this.failure = failure;
        this.isFinished = failure === null;
        this.finishedMs = agenda.now;
        witness.note(this.name, failure === null ? 'is done' : `fails: ${failure.code}`);
      },
    });
  }

  /** Dies as by a power cut. What is on the disk stays, whatever it is. */
  crash(): void {
    if (this.run === null) return;
    this.context.witness.note(this.name, 'crashes');
    this.run.cut();
    this.run = null;
    this.disk.forgetOrders();
    this.settings.isBlank = false;
  }

  takeUnicast(bytes: Buffer, address: string, port: number): void {
    this.run?.takeUnicast(bytes, address, port);
  }

  takeGroup(
    train: Buffer,
    pieces: readonly number[],
    address: string,
    packetBytes = Math.max(1, train.length),
  ): void {
    if (this.run !== null) this.inbox.arrive({ train, pieces, packetBytes, address });
  }
}
