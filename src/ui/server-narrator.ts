import type { ServedClient, ServerEvent, ServerProgress } from '../server/events.js';
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
  formatWire,
  shortMapId,
} from './units.js';
import type { Narrator, Status, StatusPart } from './watcher.js';

/** Loss below this is the network's ordinary life, and not worth a place in the line. */
const NOTABLE_LOSS = 0.005;

/** Clients named in one line. */
const MOST_NAMED = 20;

/** 'pc-07 (10.0.0.7)', or the address alone. */
function nameOf(client: ServedClient): string {
  const address = safeText(client.address);
  const host = safeText(client.host, 64);
  return host === '' || host === address ? address : `${host} (${address})`;
}

/** Tells what a server does. */
export class ServerNarrator implements Narrator<ServerEvent> {
  private readonly meter = new RateMeter();
  private progress: ServerProgress | undefined;
  private preparedRatio = 1;
  private unpacking: { ratio: number; sizeBytes: number } | undefined;
  private doneCount = 0;
  private ended = false;

  /** @param now milliseconds of a clock that never goes back */
  constructor(private readonly now: () => number) {}

  tell(event: ServerEvent): string | undefined {
    switch (event.type) {
      case 'unpacking':
        this.unpacking = event;
        return undefined;
      case 'unpacked':
        this.unpacking = undefined;
        return this.unpackedLine(event);
      case 'serving':
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
      case 'client-joined':
        return `client ${nameOf(event.client)} joined`;
      case 'client-done':
        this.doneCount = event.doneCount;
        return `client ${nameOf(event.client)} holds a proven copy (${formatCount(event.doneCount)} done)`;
      case 'client-anew':
        this.doneCount = event.doneCount;
        return `client ${nameOf(event.client)} begins a new copy (${formatCount(event.doneCount)} done)`;
      case 'client-compared':
        return `client ${nameOf(event.client)} compared its target: it is equal`;
      case 'unfinished':
        return this.unfinishedLine(event.clients);
      case 'client-failed':
        return event.reason === 'left'
          ? `client ${nameOf(event.client)} left without a copy`
          : `client ${nameOf(event.client)} failed; it says why itself`;
      case 'pass-begun':
      case 'pass-ended':
        return undefined;
      case 'compression':
      case 'notice':
        return safeText(event.text);
      case 'progress':
        this.take(event.progress);
        return undefined;
      case 'ended':
        this.take(event.progress);
        this.ended = true;
        return this.endLine(event);
    }
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
    if (progress === undefined) {
      if (this.preparedRatio >= 1) return undefined;
      return {
        state: 'preparing',
        parts: [{ text: 'preparing', rank: 1 }, this.mapPart()],
        ratio: this.preparedRatio,
      };
    }
    const idle = progress.state === 'idle';
    const ratio = progress.chunkCount === 0 ? 0 : progress.cursorChunk / progress.chunkCount;
    const parts: StatusPart[] = [{ text: progress.state.padEnd(7), rank: 1 }];
    if (!idle) parts.push(...this.sendingParts(progress, ratio));
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
    ];
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
    if (this.progress?.state !== progress.state) this.meter.reset();
    this.progress = progress;
    this.preparedRatio = progress.preparedRatio;
    this.meter.add(this.now(), progress.wireBytes);
  }

  private servingLines(event: Extract<ServerEvent, { type: 'serving' }>): string {
    const where = formatEndpoint(event.group, event.port);
    const { ceilingBitsPerSecond: most } = event;
    const ceiling = most === null ? '' : `, at most ${formatRate(most)}`;
    return (
      `serving '${safeText(event.name, 100)}', ${formatBytes(event.sizeBytes)}, to ${where} on ` +
      `${safeText(event.interface)} (${safeText(event.transport)}, blocks of ${event.blockSizeBytes} bytes), ` +
      `requests to port ${event.serverPort}${ceiling}`
    );
  }

  private unpackedLine(event: Extract<ServerEvent, { type: 'unpacked' }>): string {
    return (
      `unpacked '${safeText(event.name, 100)}': ${formatBytes(event.sizeBytes)}, of which ` +
      `${formatBytes(event.dataBytes)} are kept in ${safeText(event.folder)} until the end`
    );
  }

  private unfinishedLine(clients: readonly ServedClient[]): string {
    const chunkCount = this.progress?.chunkCount ?? 0;
    const shares = clients.map((client) => {
      const share = chunkCount === 0 ? 0 : 1 - client.missingChunks / chunkCount;
      return `${nameOf(client)} at ${formatPercent(share)}`;
    });
    const more = shares.length > MOST_NAMED ? ` and ${shares.length - MOST_NAMED} more` : '';
    const named = shares.slice(0, MOST_NAMED).join(', ');
    return `left without a copy: ${named}${more}`;
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
