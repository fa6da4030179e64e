/** The two programs under test, run as a user would run them, heard through `--json`. */

import { fileURLToPath } from 'node:url';
import type { ClientEvent } from '../../src/client/events.js';
import type { ServerEvent } from '../../src/server/events.js';
import { RunningProcess, type StartOptions } from './running.js';
import type { Host } from './world.js';

/** The last line of a program that failed. */
export interface ErrorEvent {
  type: 'error';
  code: string;
  kind: string;
  message: string;
  exitStatus: number;
}

interface AnyEvent {
  type: string;
}

export type Heard<E extends AnyEvent> = (E | ErrorEvent) & {
  /** The program's own clock, milliseconds since 1970. */
  timeMs: number;
};

type TypeOf<E extends AnyEvent> = E['type'] | 'error';
type Named<E extends AnyEvent, T extends string> = Extract<Heard<E>, { type: T }>;

/** A program that reports as one JSON object per line. */
export class Program<E extends AnyEvent> extends RunningProcess {
  readonly events: Heard<E>[] = [];
  /** Called with each event as it comes. */
  observe: (event: Heard<E>) => void = () => {};

  protected override heard(line: string): void {
    // A line that is no JSON is a bug of the program: let the test die of it.
    const { time, event, ...fields } = JSON.parse(line);
    const heard = { ...fields, type: event, timeMs: Date.parse(time) } as Heard<E>;
    this.events.push(heard);
    this.observe(heard);
  }

  all<T extends TypeOf<E>>(type: T): Named<E, T>[] {
    const ofType: AnyEvent[] = this.events.filter((event: AnyEvent) => event.type === type);
    return ofType as Named<E, T>[];
  }

  /** @throws Error when there was no such event */
  last<T extends TypeOf<E>>(type: T): Named<E, T> {
    const event = this.all(type).at(-1);
    if (event === undefined) throw new Error(`no event '${type}' from ${this.describe()}`);
    return event;
  }

  /** The first event of this type that fits, already heard or still to come. */
  waitFor<T extends TypeOf<E>>(
    type: T,
    fits: (event: Named<E, T>) => boolean = () => true,
    timeoutMs?: number,
  ): Promise<Named<E, T>> {
    const events: AnyEvent[] = this.events;
    let looked = 0;
    return this.waitUntil(
      `event '${type}'`,
      () => {
        while (looked < events.length) {
          const event = events[looked++]!;
          if (event.type === type && fits(event as Named<E, T>)) return event as Named<E, T>;
        }
        return undefined;
      },
      timeoutMs,
    );
  }
}

export type ServerProgram = Program<ServerEvent>;
export type ClientProgram = Program<ClientEvent>;

export function programPath(name: string): string {
  return fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));
}

function startProgram<E extends AnyEvent>(
  host: Host,
  name: string,
  args: string[],
  options: StartOptions,
): Program<E> {
  const byInterface = args.includes('-i') ? [] : ['-i', 'e0'];
  const all = [programPath(name), ...byInterface, '--json', ...args];
  return host.adopt(new Program<E>(...host.command(process.execPath, all), options));
}

/** Starts `multiserver -i e0 --json ARGS...` on a host. */
export function startServer(host: Host, args: string[], options: StartOptions = {}): ServerProgram {
  return startProgram<ServerEvent>(host, 'multiserver', args, options);
}

/** Starts `multiclient -i e0 --json ARGS...` on a host. */
export function startClient(host: Host, args: string[], options: StartOptions = {}): ClientProgram {
  return startProgram<ClientEvent>(host, 'multiclient', args, options);
}
