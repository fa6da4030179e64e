import type { Failure } from '../failure.js';
import { safeJson } from './safe-text.js';
import type { TextSink, Watcher } from './watcher.js';

/** One object a line: the time, the event's name, and the event's own fields. */
export class JsonPrinter<Event extends { type: string }> implements Watcher<Event> {
  private closed = false;

  constructor(
    private readonly out: TextSink,
    private readonly wallClock: () => Date,
  ) {
    out.describeDropped?.((count) => jsonLine(wallClock(), 'dropped', { count }));
  }

  observe(event: Event): void {
    if (this.closed) return;
    const { type, ...fields } = event;
    this.out.write(jsonLine(this.wallClock(), type, fields), type === 'progress');
  }

  close(): void {
    this.closed = true;
  }
}

/** The last line of a run that failed. */
export function jsonErrorLine(time: Date, failure: Failure): string {
  const { code, kind, message, exitStatus } = failure;
  return jsonLine(time, 'error', { code, kind, message, exitStatus });
}

function jsonLine(time: Date, event: string, fields: object): string {
  return `${safeJson({ time: time.toISOString(), event, ...fields })}\n`;
}
