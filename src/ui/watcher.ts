/** The seam between the programs and whatever shows what they do. */

/**
 * What the operator asked to see. 'text' becomes a live line or a log, as standard error allows.
 */
export type OutputMode = 'text' | 'json' | 'quiet';

/** Shows the events of one run. `Event` is ClientEvent or ServerEvent. */
export interface Watcher<Event> {
  observe(event: Event): void;
  /** Leaves the terminal tidy. Events after this are ignored. */
  close(): void;
}

/** Where text goes. Writing never throws and never fails: a broken pipe swallows it. */
export interface TextSink {
  /**
   * @param isPassing it says how things are just now: where the reader is slow, it is left out
   * @returns false when it was left out
   */
  write(text: string, isPassing?: boolean): boolean;
  /** Sets how it is told that a slow reader missed something. */
  describeDropped?(describe: (count: number) => string): void;
  /** Width in columns, where the sink is a terminal that tells. May change. */
  readonly columns?: number | undefined;
  /** Height in lines, likewise. */
  readonly rows?: number | undefined;
}

/**
 * A piece of the status. Where the line is short, pieces of high rank go first; the lowest stays.
 */
export interface StatusPart {
  text: string;
  /** Stands in for `text` before any piece has to go. */
  short?: string;
  /** A placeholder that holds the place of a number not known yet. */
  unknown?: boolean;
  rank: number;
}

export interface Status {
  /** One or two words: 'receiving'. A change of it is worth a line in a log. */
  state: string;
  parts: StatusPart[];
  /** For a bar, 0 to 1; undefined for none. */
  ratio: number | undefined;
}

/** Puts the events of one program into words. The printers know no more than this. */
export interface Narrator<Event> {
  /**
   * Takes an event in.
   * @returns a line that is worth keeping, without its line end, or undefined
   */
  tell(event: Event): string | undefined;
  /** Whether the line of this event must not be overlooked. */
  isAlarming?(event: Event): boolean;
  /** What goes on now; undefined before there is anything to say, and after the end. */
  status(): Status | undefined;
  /**
   * Lines to stand above the status on a terminal; none if not given.
   * @param columns characters in a line
   * @param mostLines lines that there is room for
   */
  table?(columns: number, mostLines: number): string[];
}
