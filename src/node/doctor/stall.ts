/** When nothing comes that should: has the doctor look, and says the first cause, unasked. */

import { type Check, type CheckId, firstCause } from '../../doctor/check.js';
import { type ChosenInterface, OF_NO_ROUTE } from '../net/network-interface.js';
import type { ClientOptions, ServerOptions } from '../options.js';
import { now } from '../system/clock.js';
import { doctorClient } from './client-doctor.js';
import { lookAtServer } from './server-doctor.js';

const STALLED_AFTER_MS = 5000;
/** While it lasts, it is looked at again after twice as long each time, up to this. */
const MAX_PAUSE_MS = 320_000;

/** What can stop a copy; everything else is no news while one runs. */
const CAUSES: ReadonlySet<CheckId> = new Set([
  'interface',
  'carrier',
  'address',
  'route',
  'firewall',
  'conntrack',
  'reverse-path',
  'membership',
  'server',
  'unicast',
  'group-out',
  'snooping',
  'group-in',
  'mtu',
] as const);

/** Knows whether something stalls, and when the doctor is to look. */
export class StallClock {
  private sinceMs = Number.POSITIVE_INFINITY;
  private pauseMs = STALLED_AFTER_MS;

  /** Something is to come from now on. */
  begin(now: number): void {
    this.sinceMs = now;
    this.pauseMs = STALLED_AFTER_MS;
  }

  /** @param isWell something came, or nothing is to come. @returns whether to look now */
  isDue(isWell: boolean, now: number): boolean {
    if (isWell && this.sinceMs !== Number.POSITIVE_INFINITY) this.begin(now);
    if (now - this.sinceMs < this.pauseMs) return false;
    this.sinceMs = now;
    this.pauseMs = Math.min(2 * this.pauseMs, MAX_PAUSE_MS);
    return true;
  }
}

/** Looks after one run: what stalls is explained, each cause once. */
export class StallWatch {
  private readonly examine: () => Promise<Check[]>;
  private readonly symptom: () => string;
  private readonly tell: (text: string) => void;
  private readonly clock = new StallClock();
  private told = '';
  private isLooking = false;
  private isStalled = false;

  constructor(
    examine: () => Promise<Check[]>,
    symptom: () => string,
    tell: (text: string) => void,
    private readonly clockMs: () => number = now,
  ) {
    this.examine = examine;
    this.symptom = symptom;
    this.tell = tell;
  }

  begin(): void {
    this.clock.begin(this.clockMs());
  }

  /** @param isWell something came since the last time, or nothing is to come */
  note(isWell: boolean): void {
    this.isStalled = !isWell;
    if (isWell) this.told = '';
    if (!this.clock.isDue(isWell, this.clockMs()) || this.isLooking) return;
    this.isLooking = true;
    this.examine()
      .then((checks) => this.explain(checks))
      // What cannot be looked at is not explained; the copy goes on as it can.
      .catch(() => {})
      .finally(() => {
        this.isLooking = false;
      });
  }

  private explain(checks: readonly Check[]): void {
    const cause = firstCause(checks.filter(({ id }) => CAUSES.has(id)));
    // What went on while the doctor looked needs no cause.
    if (cause === null || cause.id === this.told || !this.isStalled) return;
    this.told = cause.id;
    const text = `${cause.finding}; ${cause.remedy}`;
    this.tell(cause.id === 'server' ? text : `${this.symptom()}: ${text}`);
  }
}

/** How far a copy is that stalls. */
export interface CopyPlace {
  /** Address of the server that was chosen. */
  server: string | null;
  /** Something of the image is on the target. */
  hasBegun: boolean;
}

/** For a client that has a server, and gets nothing of its image, or nothing more. */
export function watchClient(
  options: ClientOptions,
  chosen: ChosenInterface,
  place: () => CopyPlace,
  tell: (text: string) => void,
): StallWatch {
  // The client has its own port, and its target and its key are its own affair. Its interface is
  // the one that it began with: without an address, the system would choose another.
  const named = chosen.label === OF_NO_ROUTE ? options.interface : chosen.label;
  const own = { fromPort: undefined, output: undefined, keyFile: undefined };
  const asked = { ...options, interface: named, ...own };
  const never = new AbortController().signal;
  const symptom = (): string =>
    place().hasBegun
      ? 'nothing more of the image arrives'
      : 'the server answers, but nothing of the image arrives';
  return new StallWatch(() => doctorClient(asked, never, place().server), symptom, tell);
}

/** For a server whose clients are not heard any more. */
export function watchServer(options: ServerOptions, tell: (text: string) => void): StallWatch {
  const symptom = 'clients are not heard any more';
  return new StallWatch(
    () => lookAtServer(options),
    () => symptom,
    tell,
  );
}
