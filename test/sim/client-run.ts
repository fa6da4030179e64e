/** One run of a client, from start to its end or crash: drives a real ClientSession. */
import { ClientSession } from '../../src/client/session.js';
import type { Failure } from '../../src/failure.js';
import { BLOCK_HEADER_BYTES } from '../../src/protocol/block.js';
import { digestOf } from '../digest.js';
import type { Agenda } from './agenda.js';
import { ClientCheck } from './client-check.js';
import type { SimDisk } from './disk.js';
import { DiskWork } from './disk-work.js';
import type { SimImage } from './image.js';
import { SOCKET_BYTES } from './inbox.js';
import type { SimOptions } from './options.js';
import type { Random } from './random.js';
import { GROUP, GROUP_PORT } from './sim-server.js';
import type { Witness } from './witness.js';

/** What the program keeps while no chunk memory is free. */
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
  readonly #settings: ClientSettings;
  readonly #context: RunContext;
  readonly #check: ClientCheck;
  /** This run's clock counts from elsewhere. */
  readonly #clockMs: number;
  #work: DiskWork | null = null;
  #isEnded = false;
  #isOpening = false;
  #isFinishing = false;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #stash: { bytes: Buffer; isFromServer: boolean }[] = [];
  #stashBytes = 0;

  constructor(settings: ClientSettings, context: RunContext) {
    const { agenda, random, options, name, disk, witness } = context;
    this.#settings = settings;
    this.#context = context;
    this.#check = new ClientCheck(name, disk, witness);
    // Microseconds modulo 2^32 wrap every 71 minutes: begin near it, now and then.
    this.#clockMs = random.chance(0.5) ? 4_294_000 + random.next() * 1000 : random.next() * 1e7;
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
      },
      this.#now,
    );
    agenda.after(0, () => this.#do(() => {}));
  }

  get #now(): number {
    return this.#context.agenda.now + this.#clockMs;
  }

  /** Does `act`, and then whatever the machine has become ready to do; nothing after the end. */
  #do(act: () => void): void {
    if (this.#isEnded) return;
    this.#context.witness.guard(this.#context.name, () => {
      act();
      this.#tend();
    });
  }

  /** Ends at once, as by a power cut: what is being written may be half on the disk. */
  cut(): void {
    this.#isEnded = true;
    this.#work?.tear();
  }

  takeUnicast(bytes: Buffer, address: string, port: number): void {
    this.#do(() => this.machine.handleUnicast(bytes, address, port, this.#now));
  }

  /** Takes pieces of a train: start, end, start, end, ... */
  takeGroup(train: Buffer, pieces: readonly number[], address: string): void {
    const isFromServer = address === this.machine.serverAddress;
    this.#do(() => {
      for (let i = 0; i < pieces.length; i += 2) {
        this.#takePiece(train, pieces[i]!, pieces[i + 1]!, isFromServer);
      }
    });
  }

  #takePiece(train: Buffer, start: number, end: number, isFromServer: boolean): void {
    const packetBytes = BLOCK_HEADER_BYTES + this.#context.options.blockSizeBytes;
    this.#check.blocksDelivered += Math.ceil((end - start) / packetBytes);
    if (this.#stash.length === 0 && !this.machine.isExhausted) {
      this.machine.handleGroup(train, start, end, isFromServer, this.#now);
    } else if (this.#stashBytes + end - start <= STASH_BYTES) {
      this.#stash.push({ bytes: train.subarray(start, end), isFromServer });
      this.#stashBytes += end - start;
    }
  }

  #takeStash(): void {
    while (this.#stash.length > 0 && !this.machine.isExhausted) {
      const { bytes, isFromServer } = this.#stash.shift()!;
      this.#stashBytes -= bytes.length;
      this.machine.handleGroup(bytes, 0, bytes.length, isFromServer, this.#now);
    }
  }

  #tend(): void {
    const { machine } = this;
    const { send, witness, name } = this.#context;
    if (this.#now >= machine.nextDeadline()) machine.handleTimeout(this.#now);
    this.#work?.takeOrders(machine);
    for (let out = machine.pollTransmit(); out !== null; out = machine.pollTransmit()) {
      send(out.bytes, out.to);
    }
    for (const event of machine.pollEvents()) witness.note(name, event.type);
    this.#check.progress(machine);
    if (machine.isProven) this.#checkProven();
    if (machine.failure !== null) {
      this.#fail(machine.failure);
      return;
    }
    if (machine.description !== null && !this.#isOpening) this.#open();
    if (machine.isCompared) {
      if (!this.#isFinishing) this.#endComparison();
    } else if (machine.isProven && !this.#isFinishing) {
      this.#sync();
    }
    if (machine.isFinished) this.#succeed();
    else this.#schedule();
  }

  #open(): void {
    this.#isOpening = true;
    const { agenda, options, disk } = this.#context;
    const { openMs, isBlank, resumes, checksOnly, verifies } = this.#settings;
    const { chunkSize, imageSize } = this.machine.description!;
    const slots = Array.from({ length: options.clientSlots }, () => Buffer.alloc(chunkSize));
    agenda.after(openMs, () => {
      if (imageSize !== disk.bytes.length) return;
      this.#do(() => {
        this.#work = this.#newWork(slots);
        this.machine.begin(
          {
            slots,
            isBlank: isBlank && !resumes,
            receiveBufferBytes: SOCKET_BYTES,
            holdsEarlierData: resumes || checksOnly,
            isCheckOnly: checksOnly,
            willVerify: verifies,
          },
          this.#now,
        );
        this.#context.onBegin();
      });
    });
  }

  #newWork(slots: readonly Buffer[]): DiskWork {
    const { agenda, random, witness, image, disk, name, isStrict } = this.#context;
    return new DiskWork(name, image(), disk, slots, {
      agenda,
      random,
      witness,
      isStrict,
      stored: (order, outcome) => {
        this.#do(() => {
          this.machine.handleStored(order, outcome, this.#now);
          this.#takeStash();
        });
      },
      checked: (order, outcome) => {
        this.#do(() => this.machine.handleChecked(order, outcome, this.#now));
      },
    });
  }

  #endComparison(): void {
    this.#isFinishing = true;
    const { agenda, witness, name, disk } = this.#context;
    const { differingChunks } = this.machine.progress();
    witness.check(
      differingChunks === disk.wrongChunks,
      name,
      `finds ${differingChunks} of ${disk.wrongChunks} differing chunks`,
    );
    agenda.after(1, () => this.#do(() => this.machine.part(this.#now)));
  }

  /** Whatever may still be written must not be: all is checked once more after the sync. */
  #sync(): void {
    this.#isFinishing = true;
    const { agenda, random } = this.#context;
    agenda.after(random.between(0.5, 15), () => {
      this.#do(() => {
        this.#checkProven();
        if (this.#settings.verifies && this.machine.verify(this.#now)) {
          this.#isFinishing = false;
          this.#check.doubt();
        } else {
          this.machine.part(this.#now);
        }
      });
    });
  }

  #checkProven(): void {
    this.#check.proven(this.#work?.isWriting ?? false);
  }

  #succeed(): void {
    if (!this.#settings.checksOnly) this.#checkProven();
    this.#isEnded = true;
    this.#context.onEnd(null);
  }

  #fail(failure: Failure): void {
    this.machine.leave(this.#now);
    const farewell = this.machine.pollTransmit();
    if (farewell !== null) this.#context.send(farewell.bytes, farewell.to);
    this.#isEnded = true;
    this.#work?.tear();
    this.#context.onEnd(failure);
  }

  /** As the client program does it, with timers that are a whole ms and some late. */
  #schedule(): void {
    const { agenda, random } = this.#context;
    const deadline = this.machine.nextDeadline();
    if (deadline === this.#timerAtMs) return;
    this.#timerAtMs = deadline;
    if (deadline === Number.POSITIVE_INFINITY) return;
    const leftMs = deadline - this.#now;
    this.#check.timer(leftMs);
    agenda.after(Math.max(1, Math.trunc(leftMs)) + random.next() * 0.3, () => {
      if (this.#timerAtMs !== deadline) return;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#do(() => {});
    });
  }
}
