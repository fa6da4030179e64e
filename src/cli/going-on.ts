/** What is left of a run that was stopped, and the command that goes on with it. */

import type { ClientEvent } from '../client/events.js';
import type { Failure, FailureKind } from '../failure.js';
import { shellWord } from '../node/system/shell-word.js';
import type { ServerEvent } from '../server/events.js';

/** Failures that end a copy midway, and may be gone at the next try. */
const ENDS_MIDWAY: ReadonlySet<FailureKind> = new Set([
  'target',
  'source',
  'noServer',
  'otherImage',
  'network',
]);

export function shellCommand(name: string, argv: readonly string[]): string {
  return [name, ...argv].map(shellWord).join(' ');
}

/**
 * How many more are under way by an event of a client that comes or ends. What is not quite
 * so, the next progress puts right.
 */
const MORE_UNDER_WAY: Partial<Record<ServerEvent['type'], number>> = {
  'client-joined': 1,
  'client-done': -1,
  'client-compared': -1,
  'client-failed': -1,
  'client-dropped': -1,
  'client-looked': -1,
};

/** Follows a run, to say what is left of it when it is stopped. */
export interface Leavings<Event> {
  observe(event: Event): void;
  /** A clause, without a full stop. */
  describe(argv: readonly string[]): string;
  /** The same of a run that failed; null when there is nothing to go on with. */
  describeFailed(failure: Failure, argv: readonly string[]): string | null;
}

export class ServerLeavings implements Leavings<ServerEvent> {
  private underWay = 0;

  observe(event: ServerEvent): void {
    const more = MORE_UNDER_WAY[event.type] ?? 0;
    if (event.type === 'progress') this.underWay = event.progress.underWayCount;
    else this.underWay = Math.max(0, this.underWay + more);
  }

  describe(argv: readonly string[]): string {
    const { underWay } = this;
    const command = shellCommand('multiserver', argv);
    if (underWay === 0) return `no client was under way; to serve again: ${command}`;
    const who = underWay === 1 ? '1 client has' : `${underWay} clients have`;
    const waits = underWay === 1 ? 'waits' : 'wait';
    return `${who} no copy yet and ${waits} for the server to come back; to go on: ${command}`;
  }

  /** What failed a server has to be mended first, and its message says how. */
  describeFailed(): null {
    return null;
  }
}

export class ClientLeavings implements Leavings<ClientEvent> {
  /** Where the copy is under way; null while that is not known, or when it is only compared. */
  private target: { path: string; isDevice: boolean; isNew: boolean } | null = null;
  private hasWritten = false;

  observe(event: ClientEvent): void {
    if (event.type === 'target' && event.purpose === 'copy') {
      const { path, kind, resumed } = event;
      this.target = { path, isDevice: kind === 'device', isNew: !resumed };
    }
    if (event.type === 'allocating') this.hasWritten = true;
    if (event.type !== 'progress') return;
    const { writtenBytes, keptBytes } = event.progress;
    if (writtenBytes > keptBytes) this.hasWritten = true;
  }

  describe(argv: readonly string[]): string {
    if (!this.hasWritten) return 'nothing was written';
    return `the copy is not complete; ${this.wayOn(argv)}`;
  }

  describeFailed({ kind, code }: Failure, argv: readonly string[]): string | null {
    // A work file that is removed or replaced is nothing to go on with.
    if (!ENDS_MIDWAY.has(kind) || code === 'TARGET_GONE' || this.target === null) return null;
    const { isDevice, isNew } = this.target;
    // A new file is there from the beginning; what was there before is as it was.
    const isLeft = this.hasWritten || (isNew && !isDevice);
    return isLeft ? this.wayOn(argv) : null;
  }

  private wayOn(argv: readonly string[]): string {
    const isDevice = this.target?.isDevice ?? false;
    // A file goes on from NAME.part without being told.
    const more = isDevice && !argv.includes('--resume') ? ['--resume'] : [];
    const command = `to go on: ${shellCommand('multiclient', [...argv, ...more])}`;
    if (this.target === null) return command;
    const place = isDevice ? `on ${this.target.path}` : `in ${this.target.path}.part`;
    return `what is there stays ${place}; ${command}`;
  }
}
