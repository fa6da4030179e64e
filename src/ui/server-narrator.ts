import type { FleetMember, ServedClient, ServerEvent, ServerProgress } from '../server/events.js';
import { ClientTable } from './client-table.js';
import { RateMeter, ratePart } from './rate-meter.js';
import { safeText } from './safe-text.js';
import {
  formatBytes,
  formatCount,
  formatElapsed,
  formatEndpoint,
  formatPercent,
  formatPlural,
  formatRate,
  formatRemaining,
  formatWire,
  shortMapId,
} from './units.js';
import { usedTable } from './used-table.js';
import type { Narrator, Status, StatusPart } from './watcher.js';

/** Loss below this is the network's ordinary life, and not worth a place in the line. */
const NOTABLE_LOSS = 0.005;

/** Clients named in one line. */
const MAX_NAMED = 20;

const STARTED = {
  clients: 'as enough clients are here',
  time: 'as it is time',
  operator: 'as the operator said so',
} as const;

/** 'pc-07 (10.0.0.7)', 'desk 7 (pc-07, 10.0.0.7)', or the address alone. */
function nameOf(client: ServedClient): string {
  const names = [client.label, client.host].map((name) => safeText(name, 64));
  const all = [...names, safeText(client.address)];
  const [first, ...others] = [...new Set(all.filter((name) => name !== ''))];
  return others.length === 0 ? `${first}` : `${first} (${others.join(', ')})`;
}

function namesOf(names: readonly string[]): string {
  return listOf(names.map((name) => safeText(name, 64)));
}

/** @param names safe to be shown */
function listOf(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  return `${names.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/** With what tells machines of one name apart. */
function fullNameOf(client: FleetMember): string {
  const { mac } = client.identity;
  return mac === undefined ? nameOf(client) : `${nameOf(client)} ${safeText(mac, 17)}`;
}

/** Why a client has failed, as a clause. */
function reasonOf({ reason }: FleetMember): string {
  return reason === '' ? 'it says why itself' : safeText(reason, 200);
}

/** A failure that its operator has mended, by another target of the same machine. */
const MENDED = 'failed earlier, with another target, on machines that are done';

/** What may become of a client, in the order of a summary. */
const ENDS = ['done', 'failed or stopped', 'silent', 'under way', MENDED] as const;

/** A target that was compared, and is equal, is as good as a copy. */
function endOf({ holdsCopy, state }: FleetMember): (typeof ENDS)[number] {
  if (holdsCopy || state === 'compared') return 'done';
  if (state === 'failed') return 'failed or stopped';
  return state === 'silent' ? 'silent' : 'under way';
}

/** The same for all targets of a machine. */
function machineOf({ host, address, identity }: FleetMember): string {
  return JSON.stringify([host, identity.mac ?? address]);
}

/** What became of each, in the light of the others. */
function endsOf(clients: readonly FleetMember[]): (typeof ENDS)[number][] {
  const doneMs = new Map<string, number>();
  for (const client of clients) {
    if (!client.holdsCopy) continue;
    const name = machineOf(client);
    doneMs.set(name, Math.min(client.silentMs, doneMs.get(name) ?? client.silentMs));
  }
  return clients.map((client) => {
    const end = endOf(client);
    const laterMs = doneMs.get(machineOf(client)) ?? Number.POSITIVE_INFINITY;
    return end === 'failed or stopped' && client.silentMs >= laterMs ? MENDED : end;
  });
}

/** Tells what a server does. */
export class ServerNarrator implements Narrator<ServerEvent> {
  private readonly meter = new RateMeter();
  /** Of chunks of the pass that are over: grows as fewer are pending. */
  private readonly passMeter = new RateMeter(6000);
  private readonly clients: ClientTable;
  private progress: ServerProgress | undefined;
  private preparedRatio = 1;
  private unpacking: { ratio: number; sizeBytes: number } | undefined;
  private looking: { doneCount: number; partCount: number } | undefined;
  private doneCount = 0;
  private ended = false;

  /** @param now milliseconds of a clock that never goes back */
  constructor(private readonly now: () => number) {
    this.clients = new ClientTable(now);
  }

  tell(event: ServerEvent): string | undefined {
    switch (event.type) {
      case 'unpacking':
        this.unpacking = event;
        return undefined;
      case 'unpacked':
        this.unpacking = undefined;
        return this.unpackedLine(event);
      case 'reading-used':
        this.looking = event;
        return undefined;
      case 'used':
        this.looking = undefined;
        return usedTable(event);
      case 'serving':
        this.clients.begin(event.blockSizeBytes);
        return this.servingLines(event);
      case 'preparing':
        this.preparedRatio = event.ratio;
        return undefined;
      case 'prepared': {
        this.preparedRatio = 1;
        const id = shortMapId(event.mapId);
        if (event.fromCache) return `block map from the cache, image ${id}`;
        return `block map prepared in ${formatElapsed(event.elapsedMs)}, image ${id}`;
      }
      case 'page':
        return `fleet page: ${safeText(event.url)}`;
      case 'waiting':
        return event.awaitedClients > 0
          ? `waiting for ${formatPlural(event.awaitedClients, 'client')} before anything is sent`
          : 'nothing is sent before it is time, Enter is pressed here, or the page (--web) says so';
      case 'started':
        return (
          `started, ${STARTED[event.reason]}, with ` +
          `${formatPlural(event.clientCount, 'client')}`
        );
      case 'paused':
        return 'paused by the operator';
      case 'resumed':
        return 'goes on';
      case 'rate-set':
        return event.ceilingBitsPerSecond === null
          ? 'as fast as the clients bear'
          : `at most ${formatRate(event.ceilingBitsPerSecond)} from now on`;
      case 'client-released':
        return `client ${nameOf(event.client)} is waited for no longer`;
      case 'client-dropped':
        return `client ${nameOf(event.client)} was dropped by the operator`;
      case 'expected':
        return this.expectedLine(event);
      case 'client-joined':
        return `client ${nameOf(event.client)} joined`;
      case 'client-done':
        this.doneCount = event.doneCount;
        return (
          `client ${nameOf(event.client)} holds a proven copy ` +
          `(${formatCount(event.doneCount)} done)`
        );
      case 'client-anew':
        this.doneCount = event.doneCount;
        return (
          `client ${nameOf(event.client)} begins a new copy ` +
          `(${formatCount(event.doneCount)} done)`
        );
      case 'copies-kept':
        return (
          'machines that hold a copy from before the server was started again: ' +
          `${event.clients.length}; they count (delete ${safeText(event.path)} to count from zero)`
        );
      case 'client-compared':
        return `client ${nameOf(event.client)} compared its target: it is equal`;
      case 'unfinished':
        return undefined;
      case 'summary':
        return this.summaryLines(event.clients);
      case 'client-looked':
        return `client ${nameOf(event.client)} left before it began a copy`;
      case 'client-failed':
        return event.reason === 'left'
          ? `client ${nameOf(event.client)} left without a copy`
          : `client ${nameOf(event.client)} failed: ${reasonOf(event.client)}`;
      case 'pass-begun':
      case 'pass-ended':
        return undefined;
      case 'compression':
      case 'notice':
        return safeText(event.text);
      case 'warning':
        return `WARNING: ${safeText(event.text)}`;
      case 'netboot':
        return this.netbootLine(event);
      case 'progress':
        this.take(event.progress);
        return undefined;
      case 'ended':
        this.take(event.progress);
        this.ended = true;
        return this.endLine(event);
    }
  }

  isAlarming(event: ServerEvent): boolean {
    return event.type === 'warning';
  }

  table(columns: number, mostLines: number): string[] {
    return this.ended ? [] : this.clients.render(columns, mostLines);
  }

  status(): Status | undefined {
    if (this.ended) return undefined;
    const { progress } = this;
    if (this.unpacking !== undefined) {
      const { ratio, sizeBytes } = this.unpacking;
      const parts = [
        { text: 'unpacking', rank: 1 },
        { text: `${formatBytes(sizeBytes)} so far`, rank: 2 },
      ];
      return { state: 'unpacking', parts, ratio };
    }
    if (this.looking !== undefined) {
      const { doneCount, partCount } = this.looking;
      const parts = [
        { text: 'looking what is used', rank: 1 },
        { text: `${doneCount} of ${formatPlural(partCount, 'partition')}`, rank: 2 },
      ];
      return { state: 'looking', parts, ratio: doneCount / Math.max(1, partCount) };
    }
    if (progress === undefined) {
      if (this.preparedRatio >= 1) return undefined;
      return {
        state: 'preparing',
        parts: [{ text: 'preparing', rank: 1 }, this.mapPart()],
        ratio: this.preparedRatio,
      };
    }
    const idle = progress.state !== 'sending';
    const ratio = progress.chunkCount === 0 ? 0 : progress.cursorChunk / progress.chunkCount;
    const parts: StatusPart[] = [{ text: progress.state.padEnd(7), rank: 1 }];
    if (!idle) parts.push(...this.sendingParts(progress, ratio));
    if (progress.state === 'waiting') parts.push(this.awaitedPart(progress));
    if (this.preparedRatio < 1) parts.push(this.mapPart());
    parts.push(...this.clientParts(progress.clients));
    return { state: progress.state, parts, ratio: idle ? undefined : ratio };
  }

  private sendingParts(progress: ServerProgress, ratio: number): StatusPart[] {
    const width = formatCount(progress.chunkCount).length;
    const pending = formatCount(progress.pendingChunks).padStart(width);
    return [
      { text: `pass ${progress.pass} at ${formatPercent(ratio).padStart(7)}`, rank: 4 },
      ratePart(this.meter.perSecond(this.now()), 2),
      { text: `${pending} chunks pending`, short: `${pending} pending`, rank: 7 },
      this.leftPart(progress),
    ];
  }

  private leftPart({ pendingChunks }: ServerProgress): StatusPart {
    const perSecond = this.passMeter.perSecond(this.now()) ?? 0;
    const leftMs = perSecond > 0 ? (pendingChunks * 1000) / perSecond : undefined;
    const text = `${formatRemaining(leftMs).padStart(5)} left`;
    return { text, rank: 5, unknown: leftMs === undefined };
  }

  private awaitedPart({ awaitedClients, presentCount }: ServerProgress): StatusPart {
    const awaited = (awaitedClients ?? 0) > 0 ? `for ${awaitedClients} more` : 'to be started';
    return { text: `${awaited} (${presentCount} here)`, rank: 2 };
  }

  private mapPart(): StatusPart {
    return { text: `map ${formatPercent(this.preparedRatio)}`, rank: 6 };
  }

  private clientParts(clients: readonly ServedClient[]): StatusPart[] {
    let active = 0;
    let silent = 0;
    let slow = 0;
    let worstLoss = 0;
    for (const client of clients) {
      if (client.state === 'silent') silent += 1;
      const isOver = client.state === 'done' || client.state === 'compared';
      if (isOver || client.state === 'failed' || client.state === 'silent') continue;
      active += 1;
      if (!client.followed) slow += 1;
      worstLoss = Math.max(worstLoss, client.lossRatio);
    }
    const parts: StatusPart[] = [
      { text: active === 0 ? 'no client' : formatPlural(active, 'client'), rank: 3 },
    ];
    if (this.doneCount > 0) parts.push({ text: `${formatCount(this.doneCount)} done`, rank: 5 });
    if (slow > 0) parts.push({ text: `${formatCount(slow)} slow`, rank: 8 });
    if (silent > 0) parts.push({ text: `${formatCount(silent)} silent`, rank: 9 });
    if (worstLoss >= NOTABLE_LOSS) {
      parts.push({ text: `worst loss ${formatPercent(worstLoss)}`, rank: 10 });
    }
    return parts;
  }

  private take(progress: ServerProgress): void {
    // After an idle stretch the average begins anew, or it would start far too low.
    if (this.progress?.state !== progress.state) {
      this.meter.reset();
      this.passMeter.reset();
    }
    this.progress = progress;
    this.preparedRatio = progress.preparedRatio;
    this.clients.take(progress);
    this.passMeter.add(this.now(), progress.chunkCount - progress.pendingChunks);
    this.meter.add(this.now(), progress.wireBytes);
  }

  private servingLines(event: Extract<ServerEvent, { type: 'serving' }>): string {
    const where = formatEndpoint(event.group, event.port);
    const { ceilingBitsPerSecond: most } = event;
    const ceiling = most === null ? '' : `, at most ${formatRate(most)}`;
    return (
      `serving '${safeText(event.name, 100)}', ${formatBytes(event.sizeBytes)}, to ${where} on ` +
      `${safeText(event.interface)}, requests to port ${event.serverPort}${ceiling}`
    );
  }

  private netbootLine(event: Extract<ServerEvent, { type: 'netboot' }>): string {
    const dhcp = event.mode === 'proxy' ? 'beside its DHCP server' : 'as its DHCP server';
    const ask = event.isUnattended ? 'they ask nobody' : "each asks for a 'yes' before it writes";
    return (
      `machines that start from the network of ${safeText(event.address)} get the live system ` +
      `from here (${dhcp}, files by TCP port ${event.serverPort}); ${ask}`
    );
  }

  private unpackedLine(event: Extract<ServerEvent, { type: 'unpacked' }>): string {
    return (
      `unpacked '${safeText(event.name, 100)}': ${formatBytes(event.sizeBytes)}, of which ` +
      `${formatBytes(event.dataBytes)} are kept in ${safeText(event.folder)} until the end`
    );
  }

  /** A line for each of the ends that clients came to, those with copies first. */
  private summaryLines(clients: readonly FleetMember[]): string | undefined {
    const groups = new Map<string, string[]>(ENDS.map((end) => [end, []]));
    const ends = endsOf(clients);
    for (const [index, client] of clients.entries()) {
      const end = ends[index]!;
      const share = end === 'under way' ? ` at ${formatPercent(this.shareOf(client))}` : '';
      const why = end !== 'done' && client.reason !== '' ? ` (${reasonOf(client)})` : '';
      groups.get(end)?.push(`${fullNameOf(client)}${share}${why}`);
    }
    const lines = [...groups]
      .filter(([, names]) => names.length > 0)
      .map(([end, names]) => {
        const counted = end === 'done' ? this.countedText(clients) : '';
        return `${formatCount(names.length)} ${end}${counted}: ${listOf(names)}`;
      });
    return lines.length === 0 ? undefined : lines.join('\n');
  }

  /** Why fewer are counted than are named. */
  private countedText(clients: readonly FleetMember[]): string {
    const copies = clients.filter(({ holdsCopy }) => holdsCopy).length;
    // Copies from before a restart of the server are counted with the next that comes.
    if (this.doneCount === 0 || this.doneCount >= copies) return '';
    return ` (counted as ${formatCount(this.doneCount)}: without a key, one at each address)`;
  }

  private shareOf({ missingChunks }: ServedClient): number {
    const chunkCount = this.progress?.chunkCount ?? 0;
    return chunkCount === 0 ? 0 : 1 - missingChunks / chunkCount;
  }

  private expectedLine({ missing, lacking }: Extract<ServerEvent, { type: 'expected' }>): string {
    if (lacking.length === 0) return 'all expected machines hold a copy';
    const here = lacking.filter((name) => !missing.includes(name));
    const parts = [];
    if (missing.length > 0) parts.push(`never came: ${namesOf(missing)}`);
    if (here.length > 0) parts.push(`came, but hold no copy: ${namesOf(here)}`);
    return `of the expected machines, ${parts.join('; ')}`;
  }

  private endLine(event: Extract<ServerEvent, { type: 'ended' }>): string {
    const { doneCount, elapsedMs, imageBytes, wireBytes } = event;
    const { blocksSent } = this.progress!;
    const wire = wireBytes > 0 ? `, ${formatWire(imageBytes, wireBytes)}` : '';
    return (
      `served ${formatPlural(doneCount, 'client')}: an image of ${formatBytes(imageBytes)}, ` +
      `${formatPlural(blocksSent, 'block')}${wire}, in ${formatElapsed(elapsedMs)}`
    );
  }
}
