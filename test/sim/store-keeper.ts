/** A client's store orders: watches the memory they speak of, and carries them out in time. */
import type { StoreOrder, StoreOutcome } from '../../src/client/receiver.js';
import type { Agenda } from './agenda.js';
import type { SimDisk } from './disk.js';
import type { SimImage } from './image.js';
import type { Random } from './random.js';
import type { Witness } from './witness.js';

export interface StoreContext {
  agenda: Agenda;
  random: Random;
  witness: Witness;
  /** Nobody pretends to be the server: whatever is written must be right. */
  isStrict: boolean;
  done: (order: StoreOrder, outcome: StoreOutcome) => void;
}

interface Underway {
  order: StoreOrder;
  /** The chunk as it was when the store was ordered. */
  bytes: Buffer;
}

export class StoreKeeper {
  readonly #who: string;
  readonly #image: SimImage;
  readonly #disk: SimDisk;
  readonly #slots: readonly Buffer[];
  readonly #context: StoreContext;
  readonly #underway = new Set<Underway>();
  readonly #busySlots = new Set<number>();
  readonly #busyChunks = new Set<number>();
  #isTorn = false;

  constructor(
    who: string,
    image: SimImage,
    disk: SimDisk,
    slots: readonly Buffer[],
    context: StoreContext,
  ) {
    this.#who = who;
    this.#image = image;
    this.#disk = disk;
    this.#slots = slots;
    this.#context = context;
  }

  get isIdle(): boolean {
    return this.#underway.size === 0;
  }

  submit(order: StoreOrder): void {
    const { agenda, witness } = this.#context;
    const { offsetBytes, lengthBytes } = order;
    witness.check(
      offsetBytes >= 0 && offsetBytes + lengthBytes <= this.#disk.bytes.length,
      this.#who,
      'writes past the end of the image',
    );
    if (order.kind === 'chunk') this.#hold(order.slot);
    const [first, count] = order.kind === 'chunk' ? [order.chunk, 1] : [order.first, order.count];
    for (let chunk = first; chunk < first + count; chunk++) {
      witness.check(
        !this.#busyChunks.has(chunk),
        this.#who,
        () => `chunk ${chunk} is written twice at once`,
      );
      this.#busyChunks.add(chunk);
    }
    const bytes =
      order.kind === 'chunk'
        ? Buffer.from(this.#slots[order.slot]!.subarray(0, lengthBytes))
        : Buffer.alloc(lengthBytes);
    const underway = { order, bytes };
    this.#underway.add(underway);
    agenda.at(this.#disk.doneAt(agenda.now), () => {
      if (this.#isTorn) return;
      this.#underway.delete(underway);
      for (let chunk = first; chunk < first + count; chunk++) this.#busyChunks.delete(chunk);
      this.#context.done(order, this.#carryOut(underway));
    });
  }

  #hold(slot: number): void {
    const { witness } = this.#context;
    const isSane = slot >= 0 && slot < this.#slots.length && !this.#busySlots.has(slot);
    witness.check(isSane, this.#who, () => `slot ${slot} is stored twice at once`);
    this.#busySlots.add(slot);
  }

  #carryOut({ order, bytes }: Underway): StoreOutcome {
    const { witness, isStrict } = this.#context;
    if (order.kind === 'zeros') {
      this.#write(order.offsetBytes, bytes, isStrict);
      return { kind: 'stored', digest: new Uint8Array(0) };
    }
    const { chunk, slot, lengthBytes, expected } = order;
    this.#busySlots.delete(slot);
    witness.check(
      this.#slots[slot]!.compare(bytes, 0, lengthBytes, 0, lengthBytes) === 0,
      this.#who,
      () => `slot ${slot} changed while it was stored`,
    );
    const digest = this.#image.digestOf(chunk, bytes);
    if (expected !== null && !digest.equals(expected)) return { kind: 'refused' };
    this.#write(order.offsetBytes, bytes, isStrict);
    return { kind: 'stored', digest };
  }

  #write(offsetBytes: number, bytes: Buffer, mustBeRight: boolean): void {
    const end = offsetBytes + bytes.length;
    const isRight = this.#image.bytes.compare(bytes, 0, bytes.length, offsetBytes, end) === 0;
    this.#context.witness.check(isRight || !mustBeRight, this.#who, 'wrote what is not the image');
    this.#disk.write(offsetBytes, bytes);
  }

  /** The power goes: of what is underway, some is written, some not, some in part. */
  tear(): void {
    this.#isTorn = true;
    const { random } = this.#context;
    for (const { order, bytes } of this.#underway) {
      const length = Math.floor(bytes.length * random.between(-0.5, 1.5));
      if (length > 0) this.#disk.write(order.offsetBytes, bytes.subarray(0, length));
    }
  }
}
