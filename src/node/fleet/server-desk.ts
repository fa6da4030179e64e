/**
 * What stands beside a server's stream: who is counted, expected and recorded, what the operator
 * asks for, and when the run is over. Hears every event before whoever prints them.
 */

import { Failure } from '../../failure.js';
import type { ExpectedMachines } from '../../server/clients/expected-machines.js';
import type { FleetMember, ServerEvent } from '../../server/events.js';
import type { ServerSession } from '../../server/session.js';
import type { ServerOptions } from '../options.js';
import { now } from '../system/clock.js';
import { FleetFeed } from '../web/fleet-feed.js';
import { WebServer } from '../web/web-server.js';
import { ClientRecord, type RecordedImage, type Verdict } from './client-record.js';
import { CopyCount } from './copy-count.js';
import { EnterKey } from './enter-key.js';
import { readExpected } from './expect-clients.js';
import { incompleteFailure } from './server-endings.js';
import { ServerOperator } from './server-operator.js';
import { ServiceNotice } from './service-notice.js';

/** How often it is looked whether somebody is gone for good. */
const LOOK_MS = 500;

interface DeskParts {
  session: ServerSession;
  image: RecordedImage & { path: string };
  observe: (event: ServerEvent) => void;
  /** The session has something to do. */
  wake: () => void;
  /** As many machines as were waited for have come to their end. */
  onOver: () => void;
  /** The operator ends the run. */
  onStop: () => void;
}

/** How a client ended, by an event that tells of its end; null for other events. */
function verdictOf(event: ServerEvent): Verdict | null {
  switch (event.type) {
    case 'client-done':
      return 'copied';
    case 'client-compared':
      return 'compared';
    case 'client-dropped':
      return 'dropped';
    case 'client-failed':
      return event.reason;
    default:
      return null;
  }
}

export class ServerDesk {
  readonly operator: ServerOperator;
  readonly expected: ExpectedMachines | null;
  private readonly options: ServerOptions;
  private readonly parts: DeskParts;
  private readonly count: CopyCount;
  private readonly record: ClientRecord | null;
  private isLackTold = false;
  private readonly key: EnterKey | null;
  private readonly lookTimer: NodeJS.Timeout;
  private readonly feed: FleetFeed | null;
  private web: WebServer | null = null;
  private readonly service = ServiceNotice.of(process.env);

  /** @throws Failure when a file that the options name cannot be used */
  constructor(options: ServerOptions, parts: DeskParts) {
    const { session, observe, image, wake, onOver } = parts;
    this.options = options;
    this.parts = parts;
    this.expected = readExpected(options.expectClients);
    const tell = (text: string): void => observe({ type: 'notice', text });
    const { report } = options;
    this.record = report === undefined ? null : new ClientRecord(report, image, tell);
    this.operator = new ServerOperator(session, wake);
    this.count = new CopyCount(options, session, observe, onOver);
    const isHeld = session.progress(now()).state === 'waiting';
    const start = (): void => this.operator.start();
    this.key = options.startsOnEnter && isHeld ? EnterKey.listen(start) : null;
    this.feed =
      options.web === undefined
        ? null
        : new FleetFeed({
            version: options.version ?? '',
            session,
            image,
            wantedCount: options.exitAfter ?? null,
            expected: this.expected,
            now,
            wallClock: () => new Date(),
          });
    this.lookTimer = setInterval(() => this.count.lookForGone(now()), LOOK_MS);
  }

  /**
   * What the run begins with is told.
   * @throws Failure when the page cannot be where it was wanted
   */
  async open(): Promise<void> {
    await this.openPage();
    const { state, awaitedClients } = this.parts.session.progress(now());
    if (state === 'waiting') {
      this.parts.observe({ type: 'waiting', awaitedClients: awaitedClients ?? 0 });
    }
  }

  private async openPage(): Promise<void> {
    const { web: place } = this.options;
    if (place === undefined || this.feed === null) return;
    const { operator } = this;
    const stop = (): void => this.parts.onStop();
    const orders = {
      start: () => operator.start(),
      pause: () => operator.pause(),
      resume: () => operator.resume(),
      setRate: (rate: number | null) => operator.setRate(rate),
      release: (id: string) => operator.release(id),
      drop: (id: string) => operator.drop(id),
      stop,
    };
    this.web = await WebServer.open(place, this.feed, orders);
    this.parts.observe({ type: 'page', url: this.web.url });
  }

  /** The image has its name. */
  begin(mapId: string): void {
    this.record?.name(mapId);
    for (const { host, identity } of this.count.begin(mapId)) {
      this.expected?.noteCopy(host, identity);
    }
  }

  /** Takes an event in, before it is shown. */
  note(event: ServerEvent): void {
    this.noteEnd(event);
    this.count.note(event);
    this.noteExpected(event);
    this.feed?.note(event);
    this.tellService(event);
    if (event.type === 'started') this.key?.close();
  }

  private tellService(event: ServerEvent): void {
    if (event.type === 'serving') this.service?.ready();
    if (event.type !== 'progress') return;
    const { state, presentCount } = event.progress;
    const { doneCount } = this.parts.session;
    const machines = presentCount === 1 ? '1 machine' : `${presentCount} machines`;
    const copies = doneCount === 1 ? '1 copy' : `${doneCount} copies`;
    this.service?.status(`${state}: ${machines}, ${copies}`, now());
  }

  /** First of all: an end counts when it is recorded. */
  private noteEnd(event: ServerEvent): void {
    const verdict = verdictOf(event);
    if (verdict !== null) this.record?.add((event as { client: FleetMember }).client, verdict);
  }

  private noteExpected(event: ServerEvent): void {
    const { expected } = this;
    if (expected === null || !('client' in event) || !('identity' in event.client)) return;
    const { host, identity } = event.client;
    if (event.type === 'client-joined') expected.noteHere(host, identity);
    if (event.type === 'client-done') expected.noteCopy(host, identity);
    if (event.type === 'client-anew') expected.noteAnew(host, identity);
  }

  /** The run ends by itself: who began and is left without a copy has a row as well. */
  recordLeft(): void {
    for (const member of this.parts.session.fleet.withoutCopy(now())) {
      const { state } = member;
      if (state === 'failed' || state === 'joined') continue;
      this.record?.add(member, state === 'silent' ? 'gone' : 'unfinished');
    }
  }

  /** Tells who is missing, as the last but one word of a run. */
  tellExpected(): void {
    if (this.expected === null) return;
    const { missing, lacking } = this.expected;
    this.parts.observe({ type: 'expected', missing, lacking });
  }

  /** Why a run that ended by itself did not reach what was asked for; null when it did. */
  failure(): Failure | null {
    const { session } = this.parts;
    const { exitAfter, goneAfterMs } = this.options;
    const incomplete = incompleteFailure({
      wantedCount: exitAfter ?? 0,
      doneCount: session.doneCount,
      withoutCopy: session.fleet.withoutCopy(now()),
      lacking: this.expected?.lacking ?? [],
      goneAfterMs,
    });
    if (incomplete !== null) return incomplete;
    const lacking = this.takeLacking();
    return lacking === null ? null : new Failure('afterwards', 'REPORT_LACKS_ROWS', lacking);
  }

  /** What the record lacks is told once: as the run's last word, or beside it. */
  private takeLacking(): string | null {
    if (this.isLackTold) return null;
    const lacking = this.record?.lacking() ?? null;
    this.isLackTold = lacking !== null;
    return lacking;
  }

  close(): void {
    const lacking = this.takeLacking();
    if (lacking !== null) this.parts.observe({ type: 'warning', text: lacking });
    clearInterval(this.lookTimer);
    this.service?.stopping();
    this.key?.close();
    this.web?.close();
    this.count.close();
    this.record?.close();
  }
}
