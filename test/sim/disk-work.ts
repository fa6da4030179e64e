/**
 * What a client has done on its disk: stores and looks, each in its time. Watches the memory
 * that the orders speak of, and that no two of them write to one place at once.
 */
import type {
  CheckOrder,
  CheckOutcome,
  StoreOrder,
  StoreOutcome,
} from '../../src/client/outputs.js';
import { ChunkSealer } from '../../src/trust/seal.js';
import type { Agenda } from './agenda.js';
import type { SimDisk } from './disk.js';
import { decode, isAllZero, type SimImage } from './image.js';
import type { Random } from './random.js';
import type { Witness } from './witness.js';

export interface DiskWorkContext {
  agenda: Agenda;
  random: Random;
  witness: Witness;
  /** Nobody pretends to be the server: whatever is written must be right. */
  isStrict: () => boolean;
  stored: (order: StoreOrder, outcome: StoreOutcome) => void;
  checked: (order: CheckOrder, outcome: CheckOutcome) => void;
}

interface Underway {
  order: StoreOrder;
  /** What the slot held when the store was ordered; zeros for zeros. */
  bytes: Buffer;
}

export class DiskWork {
  private readonly who: string;
  private readonly image: SimImage;
  private readonly disk: SimDisk;
  private readonly slots: readonly Buffer[];
  private readonly context: DiskWorkContext;
  private readonly underway = new Set<Underway>();
  private readonly busySlots = new Set<number>();
  private readonly busyChunks = new Set<number>();
  private isTorn = false;

  constructor(
    who: string,
    image: SimImage,
    disk: SimDisk,
    slots: readonly Buffer[],
    context: DiskWorkContext,
  ) {
    this.who = who;
    this.image = image;
    this.disk = disk;
    this.slots = slots;
    this.context = context;
  }

  get isWriting(): boolean {
    return this.underway.size > 0;
  }

  store(order: StoreOrder): void {
    const { agenda } = this.context;
    this.checkPlace(order);
    if (order.kind !== 'store-zeros') this.holdSlot(order.slot);
    const [first, count] =
      order.kind === 'store-zeros' ? [order.first, order.count] : [order.chunk, 1];
    for (let chunk = first; chunk < first + count; chunk++) this.holdChunk(chunk);
    const bytes =
      order.kind === 'store'
        ? Buffer.from(this.slots[order.slot]!.subarray(0, order.encodedLength))
        : Buffer.alloc(order.lengthBytes);
    const underway = { order, bytes };
    this.underway.add(underway);
    agenda.at(this.disk.doneAt(agenda.now), () => {
      if (this.isTorn) return;
      this.underway.delete(underway);
      for (let chunk = first; chunk < first + count; chunk++) this.busyChunks.delete(chunk);
      this.context.stored(order, this.carryOut(underway));
    });
  }

  private checkPlace({
    offsetBytes,
    lengthBytes,
  }: {
    offsetBytes: number;
    lengthBytes: number;
  }): void {
    const isInside = offsetBytes >= 0 && offsetBytes + lengthBytes <= this.disk.bytes.length;
    this.context.witness.check(isInside, this.who, 'works past the end of the image');
  }

  private holdSlot(slot: number): void {
    const isFree = slot >= 0 && slot < this.slots.length && !this.busySlots.has(slot);
    this.context.witness.check(isFree, this.who, () => `slot ${slot} is stored twice at once`);
    this.busySlots.add(slot);
  }

  private holdChunk(chunk: number): void {
    const isFree = !this.busyChunks.has(chunk);
    this.context.witness.check(isFree, this.who, () => `chunk ${chunk} is written twice at once`);
    this.busyChunks.add(chunk);
  }

  private carryOut({ order, bytes }: Underway): StoreOutcome {
    const { witness, isStrict } = this.context;
    if (order.kind === 'store-zeros') {
      this.checkKinds(order);
      this.write(order.offsetBytes, bytes, isStrict());
      return { kind: 'stored', digest: new Uint8Array(0) };
    }
    if (order.kind === 'load') {
      const { slot, offsetBytes, lengthBytes, seal } = order;
      const memory = this.slots[slot]!;
      this.busySlots.delete(slot);
      this.disk.bytes.copy(memory, 0, offsetBytes, offsetBytes + lengthBytes);
      if (seal !== null) {
        new ChunkSealer(seal.key).seal(memory, lengthBytes, seal.chunk, seal.kindByte);
      }
      return { kind: 'loaded' };
    }
    const { chunk, slot, encodedLength, lengthBytes, expected } = order;
    this.busySlots.delete(slot);
    witness.check(
      this.slots[slot]!.compare(bytes, 0, encodedLength, 0, encodedLength) === 0,
      this.who,
      () => `slot ${slot} changed while it was stored`,
    );
    const packed = unsealed(order, bytes);
    const content = packed === null ? null : decode(packed, order.encoding, lengthBytes);
    if (content === null) return { kind: 'refused' };
    const digest = this.image.digestOf(chunk, content);
    if (expected !== null && !digest.equals(expected)) return { kind: 'refused' };
    witness.check(!isStrict() || !this.image.isFree(chunk), this.who, 'wrote what nothing uses');
    this.write(order.offsetBytes, content, isStrict());
    return { kind: 'stored', digest };
  }

  /** Zeros are written for zeros, and what is free is cleared: no other way round. */
  private checkKinds({ first, count, isFree }: StoreOrder & { kind: 'store-zeros' }): void {
    const { witness, isStrict } = this.context;
    if (!isStrict()) return;
    for (let chunk = first; chunk < first + count; chunk++) {
      const isRight = this.image.isFree(chunk) === isFree;
      witness.check(isRight, this.who, () => `chunk ${chunk} is taken for another kind`);
    }
  }

  private write(offsetBytes: number, bytes: Buffer, mustBeRight: boolean): void {
    const isRight = this.image.isAt(offsetBytes, bytes);
    this.context.witness.check(isRight || !mustBeRight, this.who, 'wrote what is not the image');
    this.disk.write(offsetBytes, bytes);
  }

  look(order: CheckOrder): void {
    this.checkPlace(order);
    const { agenda, random } = this.context;
    const { offsetBytes, lengthBytes, count } = order;
    const found = (): CheckOutcome => {
      const bytes = this.disk.bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
      if (isAllZero(bytes)) return { kind: 'found', digest: null };
      const digest = count === 1 ? this.image.digestOf(order.first, bytes) : new Uint8Array(0);
      return { kind: 'found', digest };
    };
    // What is written meanwhile may be seen, or not.
    const early = random.chance(0.5) ? found() : null;
    agenda.at(this.disk.doneAt(agenda.now), () => {
      if (!this.isTorn) this.context.checked(order, early ?? found());
    });
  }

  /** The power goes: of what is underway, some is written, some not, some in part. */
  tear(): void {
    this.isTorn = true;
    const { random } = this.context;
    for (const { order, bytes } of this.underway) {
      if (order.kind === 'load') continue;
      const encoding = order.kind === 'store' ? order.encoding : 0;
      const packed = order.kind === 'store' ? unsealed(order, bytes) : bytes;
      const nothing = bytes.subarray(0, 0);
      const content = decode(packed ?? nothing, encoding, order.lengthBytes) ?? nothing;
      const length = Math.floor(content.length * random.between(-0.5, 1.5));
      if (length > 0) this.disk.write(order.offsetBytes, content.subarray(0, length));
    }
  }
}

/** What of a chunk is below its seal, in place; null for what is none. */
function unsealed({ seal }: StoreOrder & { kind: 'store' }, bytes: Buffer): Buffer | null {
  if (seal === null) return bytes;
  const { chunk, kindByte, key } = seal;
  const address = { chunk, kindByte, sealedBytes: bytes.length };
  const length = new ChunkSealer(key).open(bytes, address);
  return length < 0 ? null : bytes.subarray(0, length);
}
