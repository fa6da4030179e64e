/** Counts the machines that hold a copy towards `--exit-after`, across a restart of the server. */
import type { ServerEvent } from '../server/events.js';
import type { ServerSession } from '../server/session.js';
import { CopiesJournal } from './copies-journal.js';

export interface CountOptions {
  file: string;
  exitAfter: number | undefined;
  /** Whether anything may be kept beside the image. */
  cache: boolean;
}

export class CopyCount {
  readonly #journal: CopiesJournal | null;
  readonly #wanted: number;
  readonly #session: ServerSession;
  readonly #observe: (event: ServerEvent) => void;
  readonly #onEnough: () => void;
  #isEnough = false;

  /** @param onEnough is called once, when as many machines hold a copy as were waited for */
  constructor(
    { file, exitAfter, cache }: CountOptions,
    session: ServerSession,
    observe: (event: ServerEvent) => void,
    onEnough: () => void,
  ) {
    const tell = (text: string): void => observe({ type: 'notice', text });
    this.#journal = exitAfter !== undefined && cache ? new CopiesJournal(file, tell) : null;
    this.#wanted = exitAfter ?? Number.POSITIVE_INFINITY;
    this.#session = session;
    this.#observe = observe;
    this.#onEnough = onEnough;
  }

  /** The image has its name: machines that held a copy of it before a restart count. */
  begin(mapId: string): void {
    const machines = this.#journal?.begin(mapId) ?? [];
    for (const machine of machines) this.#session.knowCopy(machine);
    if (machines.length === 0) return;
    const text =
      `machines that hold a copy from before the server was started again: ${machines.length}; ` +
      `they count (delete ${this.#journal!.path} to count from zero)`;
    this.#observe({ type: 'notice', text });
    this.#look();
  }

  note(event: ServerEvent): void {
    if (event.type === 'client-anew') this.#journal?.remove(event.client);
    if (event.type !== 'client-done') return;
    this.#journal?.add(event.client);
    this.#look();
  }

  /** Nothing more is counted. What was, is forgotten only if it was enough. */
  close(): void {
    this.#journal?.close(this.#isEnough);
  }

  #look(): void {
    if (this.#isEnough || this.#session.doneCount < this.#wanted) return;
    this.#isEnough = true;
    this.#onEnough();
  }
}
