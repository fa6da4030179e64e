/**
 * The state of a server as the fleet page shows it, and what changes in it. What only a viewer
 * wants is made only while there is one: nothing of it costs a server without viewers anything.
 */

import type { ExpectedMachines } from '../../server/clients/expected-machines.js';
import type { FleetMember, ServerEvent, ServerProgress } from '../../server/events.js';
import type { ServerSession } from '../../server/session.js';
import { toldOf } from '../fleet/told-of.js';
import type { ClientRow, FleetChange, FleetState, LogEntry, RunState } from './api.js';
import { ProgressMeter } from './progress-meter.js';

const MAX_CELLS = 2048;
const MAX_LOG = 500;
/** A point of the curve a second, for a quarter of an hour. */
const MAX_POINTS = 900;
/** Events that are no news for the log: they come all the time, or are told otherwise. */
const UNLOGGED: ReadonlySet<string> = new Set([
  'progress',
  'preparing',
  'unpacking',
  'pass-ended',
  'unfinished',
  'page',
]);

interface FeedParts {
  version: string;
  session: ServerSession;
  image: { name: string; path: string; sizeBytes: number; chunkCount: number };
  wantedCount: number | null;
  expected: ExpectedMachines | null;
  /** On the session's clock. */
  now: () => number;
  wallClock: () => Date;
}

export class FleetFeed {
  private readonly parts: FeedParts;
  private readonly startedMs: number;
  private network: FleetState['network'] | null = null;
  private mapId: string | null = null;
  private ceilingBitsPerSecond: number | null = null;
  private progress: ServerProgress | null = null;
  private readonly log: LogEntry[] = [];
  private logged = 0;
  private readonly seconds: number[] = [];
  private readonly bitsPerSecond: number[] = [];
  /** Points that were made, with those that are forgotten. */
  private points = 0;
  private point = { atMs: Number.NEGATIVE_INFINITY, wireBytes: 0 };
  private readonly passMeter = new ProgressMeter();
  private readonly clientMeters = new Map<string, ProgressMeter>();
  /** As they were told last, by id. */
  private readonly told = new Map<string, ClientRow>();
  private toldCells = '';
  private toldExpected = '';
  private toldLog = 0;
  private toldPoints = 0;

  constructor(parts: FeedParts) {
    this.parts = parts;
    this.startedMs = parts.now();
  }

  note(event: ServerEvent): void {
    if (event.type === 'serving') {
      const { group, port, serverPort, blockSizeBytes, transport } = event;
      this.network = {
        group,
        port,
        serverPort,
        interface: event.interface,
        blockSizeBytes,
        transport,
      };
      this.ceilingBitsPerSecond = event.ceilingBitsPerSecond;
    }
    if (event.type === 'rate-set') this.ceilingBitsPerSecond = event.ceilingBitsPerSecond;
    if (event.type === 'prepared') this.mapId = event.mapId;
    if (event.type === 'progress') this.noteProgress(event.progress);
    if (!UNLOGGED.has(event.type)) this.addLog(event);
  }

  private noteProgress(progress: ServerProgress): void {
    const nowMs = this.parts.now();
    this.progress = progress;
    const { pendingChunks, wireBytes } = progress;
    this.passMeter.note(nowMs, pendingChunks);
    const sinceMs = nowMs - this.point.atMs;
    if (sinceMs < 1000) return;
    if (Number.isFinite(sinceMs)) {
      this.points++;
      this.seconds.push(Math.round(this.parts.wallClock().getTime() / 100) / 10);
      this.bitsPerSecond.push(Math.round(((wireBytes - this.point.wireBytes) * 8000) / sinceMs));
      if (this.seconds.length > MAX_POINTS) {
        this.seconds.shift();
        this.bitsPerSecond.shift();
      }
    }
    this.point = { atMs: nowMs, wireBytes };
  }

  private addLog(event: ServerEvent): void {
    const { type, ...fields } = event;
    const details: LogEntry['details'] = {};
    for (const [name, value] of Object.entries(fields)) {
      const isPlain = typeof value === 'string' || typeof value === 'number' || value === null;
      if (isPlain) details[name] = value;
      else if (Array.isArray(value)) details[name] = value.length;
    }
    const client = 'client' in event ? event.client : null;
    const who =
      client === null ? {} : { host: client.label || client.host, address: client.address };
    if (client !== null && client.reason !== '') details.why = client.reason;
    const time = this.parts.wallClock().toISOString();
    this.log.push({ number: ++this.logged, time, event: type, ...who, details });
    if (this.log.length > MAX_LOG) this.log.shift();
  }

  /** All of it. */
  state(): FleetState {
    const { version, image, expected } = this.parts;
    return {
      version,
      image: { ...image, mapId: this.mapId },
      network: this.network!,
      run: this.runState(),
      cells: this.parts.session.chunkCells(MAX_CELLS),
      clients: this.rows(),
      expected: expected === null ? null : expectedOf(expected),
      history: { seconds: [...this.seconds], bitsPerSecond: [...this.bitsPerSecond] },
      log: [...this.log],
    };
  }

  /** What has changed since this was called last; the first time, all. */
  change(): FleetChange {
    const { session } = this.parts;
    const newPoints = Math.min(this.points - this.toldPoints, this.seconds.length);
    const change: FleetChange = {
      run: this.runState(),
      mapId: this.mapId,
      ...this.changedRows(),
      history: {
        seconds: newPoints > 0 ? this.seconds.slice(-newPoints) : [],
        bitsPerSecond: newPoints > 0 ? this.bitsPerSecond.slice(-newPoints) : [],
      },
      log: this.log.filter(({ number }) => number > this.toldLog),
    };
    this.toldPoints = this.points;
    this.toldLog = this.logged;
    const cells = session.chunkCells(MAX_CELLS);
    if (cells !== this.toldCells) change.cells = cells;
    this.toldCells = cells;
    const expected = this.parts.expected === null ? null : expectedOf(this.parts.expected);
    const expectedText = JSON.stringify(expected);
    if (expectedText !== this.toldExpected) change.expected = expected;
    this.toldExpected = expectedText;
    return change;
  }

  private changedRows(): { clients: ClientRow[]; gone: string[] } {
    const clients: ClientRow[] = [];
    const gone = new Set(this.told.keys());
    for (const row of this.unsortedRows()) {
      gone.delete(row.id);
      const told = this.told.get(row.id);
      if (told !== undefined && areEqual(told, row)) continue;
      this.told.set(row.id, row);
      clients.push(row);
    }
    for (const id of gone) this.told.delete(id);
    return { clients, gone: [...gone] };
  }

  runState(): RunState {
    const { session, now, wantedCount } = this.parts;
    const nowMs = now();
    const progress = this.progress ?? session.progress(nowMs);
    const { pendingChunks, state } = progress;
    const isSending = state === 'sending';
    return {
      state,
      awaitedClients: progress.awaitedClients,
      presentCount: progress.presentCount,
      doneCount: session.doneCount,
      wantedCount,
      pass: progress.pass,
      pendingChunks,
      cursorChunk: progress.cursorChunk,
      preparedRatio: progress.preparedRatio,
      sentBitsPerSecond: isSending ? (this.bitsPerSecond.at(-1) ?? 0) : 0,
      rateBitsPerSecond: progress.rateBitsPerSecond,
      ceilingBitsPerSecond: this.ceilingBitsPerSecond,
      leftSeconds: isSending ? this.passMeter.leftSeconds(nowMs, pendingChunks) : null,
      elapsedSeconds: Math.round((nowMs - this.startedMs) / 1000),
      wireBytes: progress.wireBytes,
      blocksSent: progress.blocksSent,
      packetsBad: progress.packetsBad,
    };
  }

  /** A row for each machine, those that need a look first. */
  rows(): ClientRow[] {
    return this.unsortedRows().sort((one, other) => other.trouble - one.trouble);
  }

  private unsortedRows(): ClientRow[] {
    const nowMs = this.parts.now();
    const members = this.parts.session.fleet.members(nowMs);
    const rows = members.map((member) => this.rowOf(member, nowMs));
    if (this.clientMeters.size > 2 * members.length) this.forgetMeters(members);
    return rows;
  }

  private forgetMeters(members: readonly FleetMember[]): void {
    const ids = new Set(members.map(({ id }) => id));
    for (const id of this.clientMeters.keys()) if (!ids.has(id)) this.clientMeters.delete(id);
  }

  private rowOf(member: FleetMember, nowMs: number): ClientRow {
    const { identity, state, missingChunks } = member;
    const { chunkCount } = this.parts.image;
    const silentSeconds = Math.floor(member.silentMs / 1000);
    const isUnderWay = state === 'receiving' || state === 'proving' || state === 'joined';
    const meter = this.clientMeters.get(member.id) ?? new ProgressMeter();
    this.clientMeters.set(member.id, meter);
    meter.note(nowMs, missingChunks);
    const blockBits = 8 * (this.network?.blockSizeBytes ?? 0);
    const bitsPerSecond = isUnderWay ? member.receivedPacketsPerSecond * blockBits : 0;
    return {
      id: member.id,
      machine: member.machine,
      host: member.host,
      address: member.address,
      ...toldOf(member),
      linkBitsPerSecond: identity.linkBitsPerSecond ?? null,
      isFullDuplex: identity.isFullDuplex ?? null,
      state,
      progressRatio: rounded(1 - missingChunks / chunkCount, 4),
      receivedBitsPerSecond: roundedRate(bitsPerSecond),
      lossRatio: rounded(member.lossRatio, 4),
      leftSeconds: isUnderWay ? meter.leftSeconds(nowMs, missingChunks) : null,
      isFollowed: member.followed,
      isReleased: member.isReleased,
      holdsCopy: member.holdsCopy,
      silentSeconds: silentSeconds < 3 ? 0 : silentSeconds,
      trouble: rounded(member.trouble, 3),
    };
  }
}

/** Rounded, so that what changes by nothing that is seen is not told again. */
function rounded(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

/** To three digits or so: rates tremble. */
function roundedRate(bitsPerSecond: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(bitsPerSecond + 1)) - 2);
  return Math.round(bitsPerSecond / step) * step;
}

function areEqual(one: ClientRow, other: ClientRow): boolean {
  for (const name in one) {
    if (one[name as keyof ClientRow] !== other[name as keyof ClientRow]) return false;
  }
  return true;
}

function expectedOf({ count, missing, lacking }: ExpectedMachines): FleetState['expected'] {
  return { count, missing, lacking };
}
