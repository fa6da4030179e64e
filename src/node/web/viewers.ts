/** Whoever looks at the fleet page just now: server-sent events to each. */

import type { ServerResponse } from 'node:http';
import { now } from '../system/clock.js';
import type { FleetChange, FleetState } from './api.js';

const MAX_VIEWERS = 64;
const INTERVAL_MS = 500;
/** What changed is found in at most this share of the time: the stream goes first. */
const MAX_TIME_SHARE = 0.02;
/** A viewer that takes in less than it is sent begins anew, when it can. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** Without a word for longer, what is in between may give a connection up. */
const SIGN_OF_LIFE_TICKS = 30;

export class Viewers {
  private readonly open = new Set<ServerResponse>();
  private readonly state: () => FleetState;
  private readonly change: () => FleetChange;
  private timer: NodeJS.Timeout | undefined;
  private ticks = 0;

  constructor(state: () => FleetState, change: () => FleetChange) {
    this.state = state;
    this.change = change;
  }

  get isFull(): boolean {
    return this.open.size >= MAX_VIEWERS;
  }

  /** Tells all of the state, and from then on what changes. */
  add(response: ServerResponse): void {
    setEventHeaders(response);
    response.flushHeaders();
    response.on('close', () => this.leave(response));
    // What changed so far belongs to those that are here already.
    if (this.open.size === 0) this.change();
    response.write(eventText('state', this.state()));
    this.open.add(response);
    this.timer ??= setTimeout(() => this.tick(), INTERVAL_MS);
  }

  private leave(response: ServerResponse): void {
    this.open.delete(response);
    if (this.open.size > 0) return;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private tick(): void {
    const beganMs = now();
    const text = eventText('change', this.change());
    const dueMs = Math.max(INTERVAL_MS, (now() - beganMs) / MAX_TIME_SHARE);
    this.timer = setTimeout(() => this.tick(), dueMs);
    const life = ++this.ticks % SIGN_OF_LIFE_TICKS === 0 ? ': here\n\n' : '';
    for (const response of this.open) {
      if (response.writableLength > MAX_WAITING_BYTES) response.destroy();
      else response.write(life + text);
    }
  }

  /** @param last told to all before they go */
  close(last: string): void {
    clearTimeout(this.timer);
    for (const response of this.open) {
      response.write(eventText('change', this.change()));
      response.end(`event: end\ndata: ${JSON.stringify(last)}\n\n`);
    }
    this.open.clear();
  }
}

function setEventHeaders(response: ServerResponse): void {
  response.setHeader('content-type', 'text/event-stream');
  response.setHeader('x-accel-buffering', 'no');
}

/** Who only asks what would be answered is no viewer: the events would never end. */
export function endEventHead(response: ServerResponse): void {
  setEventHeaders(response);
  response.end();
}

function eventText(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
