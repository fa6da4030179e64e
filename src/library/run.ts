/**
 * One run of a server or a client, as a program that uses the library sees it. Any number of
 * observers hear what it does: callbacks at once, iterators at their own pace.
 */

/** Events of which a slow iterator gets the latest only: each tells all that the last one did. */
const STATES_OF_NOW: ReadonlySet<string> = new Set([
  'progress',
  'preparing',
  'unpacking',
  'allocating',
]);
/** Other events that wait for one iterator; beyond that, it misses the oldest. */
const MAX_WAITING = 1024;

export type Observer<Event> = (event: Event) => void;

/** Does the work: reports events, and ends when it is done, fails or is aborted. */
type Work<Event> = (observe: Observer<Event>, signal: AbortSignal) => Promise<void>;

/** What waits for one iterator. */
class Mailbox<Event extends { type: string }> {
  private readonly waiting: Event[] = [];
  private wake: (() => void) | null = null;

  put(event: Event): void {
    const last = this.waiting.at(-1);
    if (last?.type === event.type && STATES_OF_NOW.has(event.type)) this.waiting.pop();
    else if (this.waiting.length >= MAX_WAITING) this.waiting.shift();
    this.waiting.push(event);
    this.wakeUp();
  }

  wakeUp(): void {
    this.wake?.();
    this.wake = null;
  }

  take(): Event | undefined {
    return this.waiting.shift();
  }

  filled(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}

export class Run<Event extends { type: string }, Result> implements AsyncIterable<Event> {
  /**
   * Resolves when the work is done. Rejects with a `Failure` (what a user can meet), or with the
   * reason of the signal that aborted it.
   */
  readonly done: Promise<Result>;

  private readonly observers = new Set<Observer<Event>>();
  private readonly mailboxes = new Set<Mailbox<Event>>();
  private isOver = false;

  /**
   * @param resultOf the result, once the event that tells it has come
   * @param signal aborts the run; a server says goodbye to its clients before it ends
   */
  constructor(
    work: Work<Event>,
    resultOf: (event: Event) => Result | undefined,
    signal: AbortSignal = new AbortController().signal,
  ) {
    let result: Result | undefined;
    const observe = (event: Event): void => {
      result = resultOf(event) ?? result;
      for (const observer of this.observers) observer(event);
      for (const mailbox of this.mailboxes) mailbox.put(event);
    };
    // Whoever made the run can observe it before the first event comes.
    this.done = Promise.resolve()
      .then(() => work(observe, signal))
      .then(() => result as Result)
      .finally(() => this.end());
    // Who only iterates learns of a failure there.
    this.done.catch(() => {});
  }

  /**
   * Calls back at each event, in the turn in which it happens.
   * @returns stops it
   */
  observe(observer: Observer<Event>): () => void {
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  }

  /** Events from now on, up to the end of the run; throws what `done` rejects with. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    const mailbox = new Mailbox<Event>();
    this.mailboxes.add(mailbox);
    try {
      for (;;) {
        const event = mailbox.take();
        if (event !== undefined) yield event;
        else if (this.isOver) break;
        else await mailbox.filled();
      }
      await this.done;
    } finally {
      this.mailboxes.delete(mailbox);
    }
  }

  private end(): void {
    this.isOver = true;
    for (const mailbox of this.mailboxes) mailbox.wakeUp();
  }
}
