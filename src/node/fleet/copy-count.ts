/** Counts the machines that hold a copy towards `--exit-after`, across a restart of the server. */
import type { ServerEvent } from '../../server/events.js';
import type { ServerSession } from '../../server/session.js';
import { CopiesJournal, type KeptCopy } from './copies-journal.js';

interface CountOptions {
  file: string;
  exitAfter: number | undefined;
  /** Who has no copy and is not heard of for so long is waited for no longer. */
  goneAfterMs: number;
  /** Whether anything may be kept beside the image. */
  cache: boolean;
}

/** Looks that are so far apart say that the machine was stopped, or waited for its disk. */
const STANDSTILL_MS = 3_000;

export class CopyCount {
  private readonly journal: CopiesJournal | null;
  private readonly wanted: number;
  private readonly goneAfterMs: number;
  private readonly session: ServerSession;
  private readonly observe: (event: ServerEvent) => void;
  private readonly onOver: () => void;
  private isEnough = false;
  private lookedMs = Number.POSITIVE_INFINITY;
  /** When this host last began to listen again after it stood still. */
  private awakeMs = Number.NEGATIVE_INFINITY;
  private isOver = false;

  /** @param onOver is called once, when as many machines as were waited for came to their end */
  constructor(
    { file, exitAfter, goneAfterMs, cache }: CountOptions,
    session: ServerSession,
    observe: (event: ServerEvent) => void,
    onOver: () => void,
  ) {
    const tell = (text: string): void => observe({ type: 'notice', text });
    this.journal = exitAfter !== undefined && cache ? new CopiesJournal(file, tell) : null;
    this.wanted = exitAfter ?? Number.POSITIVE_INFINITY;
    this.goneAfterMs = goneAfterMs;
    this.session = session;
    this.observe = observe;
    this.onOver = onOver;
  }

  /**
   * The image has its name: machines that held a copy of it before a restart count.
   * @returns who they are
   */
  begin(mapId: string): KeptCopy[] {
    const machines = this.journal?.begin(mapId, this.wanted) ?? [];
    for (const { machine, address } of machines) this.session.knowCopy(machine, address);
    if (machines.length === 0) return machines;
    const clients = machines.map(({ host, address, identity }) => ({ host, address, identity }));
    this.observe({ type: 'copies-kept', clients, path: this.journal!.path });
    this.look();
    return machines;
  }

  note(event: ServerEvent): void {
    if (event.type === 'client-anew') this.journal?.remove(event.client);
    if (event.type !== 'client-done') return;
    this.journal?.add(event.client);
    this.look();
  }

  /** Nothing more is counted. What was, is forgotten only if it was enough. */
  close(): void {
    this.journal?.close(this.isEnough);
  }

  private look(): void {
    if (this.isEnough || this.session.doneCount < this.wanted) return;
    this.isEnough = true;
    this.end();
  }

  /** Whether nobody is left to wait for, though not all hold a copy. */
  lookForGone(now: number): void {
    // What clients said meanwhile has not been read yet.
    if (now - this.lookedMs > STANDSTILL_MS) this.awakeMs = now;
    this.lookedMs = now;
    if (this.isOver || this.wanted === Number.POSITIVE_INFINITY) return;
    const { wanted, goneAfterMs, awakeMs } = this;
    if (this.session.fleet.isOver(wanted, goneAfterMs, now, awakeMs)) this.end();
  }

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onOver();
  }
}
