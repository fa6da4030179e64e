/** One run of a client, from start to its end or crash: drives a real ClientSession. */

import type { ClientOutput, Transmit } from '../../src/client/outputs.js';
import { ClientSession } from '../../src/client/session.js';
import type { Failure } from '../../src/failure.js';

import type { ImageDescription } from '../../src/protocol/from-server.js';
import { SEAL_BYTES } from '../../src/trust/seal.js';
import { digestOf } from '../digest.js';
import type { Agenda } from './agenda.js';
import { ClientCheck } from './client-check.js';
import type { SimDisk } from './disk.js';
import { DiskWork } from './disk-work.js';
import type { SimImage } from './image.js';
import type { Arrival } from './inbox.js';
import { SOCKET_BYTES } from './inbox.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';
import { GROUP, GROUP_PORT, OWNER_KEY, SECRET } from './sim-server.js';
import type { Witness } from './witness.js';

/** Memory for packets while no chunk memory is free. */
const STASH_BYTES = 256 * 1024;

/** How a client is started. */
export interface ClientSettings {
  wantedName: string | undefined;
  giveUpMs: number;
  /** How long the target takes to open. */
  openMs: number;
  /** The target reads as zeros at first. */
  isBlank: boolean;
  /** Looks at what is on the target before it asks. */
  resumes: boolean;
  /** Compares only. */
  checksOnly: boolean;
  /** Reads the copy back before it ends. */
  verifies: boolean;
  /** Clears what no file system uses. */
  clearsFree: boolean;
}

export interface RunContext {
  name: string;
  agenda: Agenda;
  random: Random;
  options: SimOptions;
  witness: Witness;
  disk: SimDisk;
  /** What a copy has to be like. */
  image: () => SimImage;
  /** Whatever is written must be right. */
  isStrict: () => boolean;
  send: (bytes: Buffer, to: { address: string; port: number } | null) => void;
  /** The target is open, the first block may come. */
  onBegin: () => void;
  onEnd: (failure: Failure | null) => void;
}

export class ClientRun {
  readonly machine: ClientSession;
  private readonly settings: ClientSettings;
  private readonly context: RunContext;
  private readonly check: ClientCheck;
  /** This run's clock counts from elsewhere. */
  private readonly clockMs: number;
  private work: DiskWork | null = null;
  private isEnded = false;
  private timerAtMs = Number.POSITIVE_INFINITY;

  constructor(settings: ClientSettings, context: RunContext) {
    const { agenda, random, options, name, disk, witness } = context;
    this.settings = settings;
    this.context = context;
    this.check = new ClientCheck(name, disk, witness);
    // Microseconds modulo 2^32 wrap every 71 minutes: begin near it, now and then.
    this.clockMs = random.chance(0.5) ? 4_294_000 + random.next() * 1000 : random.next() * 1e7;
    const drawNonce = (): Buffer => random.fill(Buffer.alloc(12));
    this.machine = new ClientSession(
      {
        client: random.id(),
        machine: BigInt(`0x${Buffer.from(name).toString('hex')}`) % 2n ** 64n,
        host: name,
        wantedName: settings.wantedName,
        group: GROUP,
        port: GROUP_PORT,
        timeoutMs: options.timeoutMs,
        giveUpMs: settings.giveUpMs,
        digest: digestOf,
        random: random.next,
        ...(options.sealed ? { secrets: { secret: SECRET, drawNonce } } : {}),
        ...(options.signed ? { trusted: [OWNER_KEY] } : {}),
      },
      this.now,
    );
    agenda.after(0, () => this.do(() => {}));
  }

  private get now(): number {
    return this.context.agenda.now + this.clockMs;
  }

  /** Does `act`, and then whatever the machine wants; nothing after the end. */
  private do(act: () => void): void {
    if (this.isEnded) return;
    this.context.witness.guard(this.context.name, () => {
      act();
      this.pump();
    });
  }

  /** Ends at once, as by a power cut: what is being written may be half on the disk. */
  cut(): void {
    this.isEnded = true;
    this.work?.tear();
  }

  takeUnicast(bytes: Buffer, address: string, port: number): void {
    this.do(() => this.machine.handleUnicast(bytes, address, port, this.now));
  }

  takeGroup({ train, pieces, packetBytes, address }: Arrival): void {
    this.do(() => {
      for (let i = 0; i < pieces.length; i += 2) {
        const [start, end] = [pieces[i]!, pieces[i + 1]!];
        this.check.blocksDelivered += Math.ceil((end - start) / packetBytes);
        this.machine.handleGroup(train, start, end, address, this.now);
        this.pump(true);
      }
    });
  }

  /** As the client program carries out what the machine wants, also in the midst of packets. */
  private pump(isMidway = false): void {
    while (!this.isEnded) {
      const output = this.machine.pollOutput(this.now, isMidway);
      if (output.kind === 'wait') {
        if (isMidway) return;
        this.check.progress(this.machine);
        if (this.machine.isProven) this.checkProven();
        this.schedule(output.untilMs);
        return;
      }
      this.carryOut(output);
    }
  }

  private carryOut(output: Exclude<ClientOutput, { kind: 'wait' }>): void {
    const { witness, name } = this.context;
    switch (output.kind) {
      case 'store':
      case 'load':
      case 'store-zeros':
        this.work!.store(output);
        break;
      case 'check':
        this.work!.look(output);
        break;
      case 'transmit':
        this.send(output);
        break;
      case 'event':
        witness.note(name, output.event.type);
        break;
      case 'open':
        this.open(output.description);
        break;
      case 'sync':
        this.sync(() => {
          this.machine.handleSynced(this.now);
          this.check.doubt();
        });
        break;
      case 'finish':
        this.sync(() => this.machine.handleFinished(this.now));
        break;
      case 'compared':
        this.endComparison();
        break;
      case 'end':
        this.check.progress(this.machine);
        if (output.failure === null) this.succeed();
        else this.fail(output.failure);
        break;
    }
  }

  private send({ bytes, to }: Transmit): void {
    this.context.send(bytes, to);
  }

  private open({ chunkSize, imageSize }: ImageDescription): void {
    const { agenda, options, disk } = this.context;
    const { openMs, isBlank, resumes, checksOnly, verifies, clearsFree } = this.settings;
    const slots = Array.from({ length: options.clientSlots }, () =>
      Buffer.alloc(chunkSize + SEAL_BYTES),
    );
    agenda.after(openMs, () => {
      if (imageSize !== disk.bytes.length) return;
      this.do(() => {
        this.work = this.newWork(slots);
        this.machine.handleOpened(
          {
            slots,
            stashBytes: STASH_BYTES,
            isBlank: isBlank && !resumes,
            receiveBufferBytes: SOCKET_BYTES,
            holdsEarlierData: resumes || checksOnly,
            isCheckOnly: checksOnly,
            willVerify: verifies,
            clearsFree,
          },
          this.now,
        );
        this.context.onBegin();
      });
    });
  }

  private newWork(slots: readonly Buffer[]): DiskWork {
    const { agenda, random, witness, image, disk, name, isStrict } = this.context;
    return new DiskWork(name, image(), disk, slots, {
      agenda,
      random,
      witness,
      isStrict,
      stored: (order, outcome) => {
        this.do(() => this.machine.handleStored(order, outcome, this.now));
      },
      checked: (order, outcome) => {
        this.do(() => this.machine.handleChecked(order, outcome, this.now));
      },
    });
  }

  private endComparison(): void {
    const { agenda, witness, name, disk } = this.context;
    const { differingChunks } = this.machine.progress();
    witness.check(
      differingChunks === disk.wrongChunks,
      name,
      `finds ${differingChunks} of ${disk.wrongChunks} differing chunks`,
    );
    agenda.after(1, () => this.do(() => this.machine.handleFinished(this.now)));
  }

  /** Whatever may still be written must not be: all is checked once more after the sync. */
  private sync(done: () => void): void {
    const { agenda, random } = this.context;
    agenda.after(random.between(0.5, 15), () => {
      this.do(() => {
        this.checkProven();
        done();
      });
    });
  }

  private checkProven(): void {
    this.check.proven(this.work?.isWriting ?? false);
  }

  private succeed(): void {
    if (!this.settings.checksOnly) this.checkProven();
    this.isEnded = true;
    this.context.onEnd(null);
  }

  private fail(failure: Failure): void {
    const goodbye = this.machine.goodbye(this.now);
    if (goodbye !== null) this.send(goodbye);
    this.isEnded = true;
    this.work?.tear();
    this.context.onEnd(failure);
  }

  /** As the client program does it, with timers that are a whole ms and some late. */
  private schedule(deadline: number): void {
    const { agenda, random } = this.context;
    if (deadline === this.timerAtMs) return;
    this.timerAtMs = deadline;
    if (deadline === Number.POSITIVE_INFINITY) return;
    const leftMs = deadline - this.now;
    this.check.timer(leftMs);
    agenda.after(Math.max(1, Math.trunc(leftMs)) + random.next() * 0.3, () => {
      if (this.timerAtMs !== deadline) return;
      this.timerAtMs = Number.POSITIVE_INFINITY;
      this.do(() => {});
    });
  }
}
