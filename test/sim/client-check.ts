/** What must hold of a client after every event. */
import type { ClientSession } from '../../src/client/session.js';
import type { SimDisk } from './disk.js';
import type { Witness } from './witness.js';

const MAX_LATE_TIMERS = 400;

export class ClientCheck {
  /** Packets handed to the machine that may have been blocks. */
  blocksDelivered = 0;
  private readonly who: string;
  private readonly disk: SimDisk;
  private readonly witness: Witness;
  private provenBytes = 0;
  private lateTimers = 0;

  /** One for each run of the client: what was proven dies with the run. */
  constructor(who: string, disk: SimDisk, witness: Witness) {
    this.who = who;
    this.disk = disk;
    this.witness = witness;
  }

  progress(machine: ClientSession): void {
    const p = machine.progress();
    const isSane =
      p.writtenBytes <= p.sizeBytes &&
      p.provenBytes <= p.writtenBytes &&
      p.provenBytes >= this.provenBytes &&
      p.missingChunks >= 0 &&
      p.missingChunks <= p.chunkCount &&
      p.blocksReceived + p.blocksDuplicate <= this.blocksDelivered;
    if (!isSane) {
      const progress = JSON.stringify(p);
      this.witness.fail(
        this.who,
        `cannot be so far: ${progress}, ${this.provenBytes} were proven, ` +
          `${this.blocksDelivered} blocks came`,
      );
    }
    this.provenBytes = p.provenBytes;
    const { rightBytes } = this.disk;
    if (p.provenBytes > rightBytes && this.isHonest) {
      this.witness.fail(this.who, `${p.provenBytes} bytes are proven, but ${rightBytes} are right`);
    }
  }

  /** A disk that keeps something else than was written can only be found out by reading back. */
  private get isHonest(): boolean {
    return this.disk.badWrites.size === 0;
  }

  /** The copy is read back, and everything proven once more. */
  doubt(): void {
    this.provenBytes = 0;
  }

  /** The client says proven. */
  proven(isWriting: boolean): void {
    const isRight = this.disk.isImage || !this.isHonest;
    this.witness.check(isRight, this.who, 'says proven over a wrong copy');
    this.witness.check(!isWriting, this.who, 'says proven while it writes');
  }

  /** A timer is set that is due in `leftMs`; one that is always due already would never rest. */
  timer(leftMs: number): void {
    this.lateTimers = leftMs <= 0 ? this.lateTimers + 1 : 0;
    const isResting = this.lateTimers < MAX_LATE_TIMERS;
    this.witness.check(isResting, this.who, 'its deadline has always passed');
  }
}
