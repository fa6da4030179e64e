import type { ClientEvent, ClientProgress } from '../client/events.js';
import { RateMeter, ratePart } from './rate-meter.js';
import { safeText } from './safe-text.js';
import {
  formatBytes,
  formatCount,
  formatElapsed,
  formatEndpoint,
  formatPercent,
  formatRate,
  formatRemaining,
  formatWire,
  shortMapId,
} from './units.js';
import type { Narrator, Status, StatusPart } from './watcher.js';

type State = ClientProgress['state'];

const WORDS: Record<State, string> = {
  discovering: 'looking for a server',
  waiting: 'waiting',
  checking: 'checking',
  receiving: 'receiving',
  proving: 'proving',
  syncing: 'syncing',
  verifying: 'verifying',
  done: 'done',
  failed: 'failed',
};

const WAITING = 'waiting';

function deedOf({ purpose, resumed }: Extract<ClientEvent, { type: 'target' }>): string {
  if (purpose === 'check') return 'checking';
  if (purpose === 'dry-run') return 'would write';
  return resumed ? 'going on with' : 'writing';
}

/** Which image it is, by its map's id. */
function imagePart(mapId: string | null): string {
  return mapId === null ? 'its map still being made' : `image ${shortMapId(mapId)}`;
}

/** Tells what a client does. */
export class ClientNarrator implements Narrator<ClientEvent> {
  private readonly meter = new RateMeter();
  private progress: ClientProgress | undefined;
  private allocatedRatio: number | undefined;
  private targetPath = '';
  private imageName = '';
  private toldMapId: string | null = null;
  private ended = false;
  /** The server went quiet, and nothing has come from it since. */
  private waiting = false;

  /** @param now milliseconds of a clock that never goes back */
  constructor(private readonly now: () => number) {}

  tell(event: ClientEvent): string | undefined {
    switch (event.type) {
      case 'listening':
        return (
          `listening to ${formatEndpoint(event.group, event.port)} on ` +
          `${safeText(event.interface)}`
        );
      case 'server-found':
        this.imageName = safeText(event.image.name, 100);
        this.toldMapId = event.image.mapId;
        return (
          `found '${this.imageName}', ${formatBytes(event.image.sizeBytes)}, ` +
          `${imagePart(event.image.mapId)}, at ${safeText(event.address)}`
        );
      case 'image-signed':
        return `signed by key ${safeText(event.keyId)} (${safeText(event.comment)})`;
      case 'server-passed-over':
        return safeText(event.text);
      case 'target':
        this.allocatedRatio = undefined;
        this.targetPath = safeText(event.path);
        return `${deedOf(event)} ${this.targetPath} (${safeText(event.description)})`;
      case 'allocating':
        this.allocatedRatio = event.ratio;
        return undefined;
      case 'map-known':
        return this.nameMap(event.mapId);
      case 'quiet':
        this.waiting = true;
        return undefined;
      case 'server-restarted':
        return 'the server started again; going on with what is missing';
      case 'notice':
        return safeText(event.text);
      case 'progress':
        this.take(event.progress);
        return undefined;
      case 'checked':
        this.take(event.progress);
        this.ended = true;
        return this.checkedLine(event.progress, event.elapsedMs);
      case 'proven':
        this.take(event.progress);
        this.ended = true;
        return this.provenLine(event.mapId, event.elapsedMs);
    }
  }

  /** The map id, unless it was told with the image. */
  private nameMap(mapId: string): string | undefined {
    const isTold = this.toldMapId === mapId;
    this.toldMapId = mapId;
    return isTold ? undefined : `the server has made its map: ${imagePart(mapId)}`;
  }

  status(): Status | undefined {
    if (this.ended || this.progress === undefined) return undefined;
    if (this.allocatedRatio !== undefined) {
      const ratio = this.allocatedRatio;
      const parts = [
        { text: 'allocating', rank: 1 },
        { text: formatPercent(ratio), rank: 2 },
      ];
      return { state: 'allocating', parts, ratio };
    }
    const { state, sizeBytes } = this.progress;
    const word = this.wordFor(state);
    const label: StatusPart = { text: word.padEnd(9), rank: 1 };
    if (state === 'waiting')
      return { state: word, parts: [label, this.heldPart()], ratio: undefined };
    if (state === 'discovering' || state === 'done' || state === 'failed') {
      return { state: word, parts: [label], ratio: undefined };
    }
    if (state === 'syncing') {
      const parts = [label, { text: `${formatBytes(sizeBytes)} to the disk`, rank: 2 }];
      return { state: word, parts, ratio: undefined };
    }
    const ratio = sizeBytes === 0 ? 1 : this.countedBytes(this.progress) / sizeBytes;
    return { state: word, parts: [label, ...this.measures(this.progress, ratio)], ratio };
  }

  /** What the server waits for, before it sends anything. */
  private heldPart(): StatusPart {
    const count = this.progress?.awaitedClients ?? 0;
    const awaited = count === 0 ? 'until the server is told to start' : `for ${count} more`;
    return { text: awaited, rank: 2 };
  }

  private wordFor(state: State): string {
    if (this.waiting && state === 'receiving') return WAITING;
    // A server is found, and the target about to be opened: there may be a countdown before it.
    if (state === 'discovering' && this.imageName !== '') return 'about to begin';
    return WORDS[state];
  }

  private measures(progress: ClientProgress, ratio: number): StatusPart[] {
    const { sizeBytes } = progress;
    const counted = this.countedBytes(progress);
    const bytesPerSecond = this.meter.perSecond(this.now());
    const leftMs =
      bytesPerSecond === undefined || bytesPerSecond <= 0
        ? undefined
        : ((sizeBytes - counted) * 1000) / bytesPerSecond;
    const bytes = formatBytes(counted).padStart(7);
    const parts: StatusPart[] = [
      { text: formatPercent(ratio).padStart(7), rank: 2 },
      { text: `${bytes} of ${formatBytes(sizeBytes)}`, short: bytes, rank: 6 },
      ratePart(bytesPerSecond, 5),
      {
        text: `${formatRemaining(leftMs).padStart(5)} left`,
        rank: 4,
        unknown: leftMs === undefined,
      },
    ];
    if (progress.missingChunks > 0) {
      const width = formatCount(progress.chunkCount).length;
      const missing = formatCount(progress.missingChunks).padStart(width);
      parts.push({ text: `${missing} missing`, rank: 7 });
    }
    if (progress.packetsLost > 0) {
      const lost = progress.packetsLost / (progress.packetsLost + progress.blocksReceived);
      parts.push({ text: `${formatPercent(lost)} lost`, rank: 3 });
    }
    return parts;
  }

  private take(progress: ClientProgress): void {
    const before = this.progress;
    // What is counted, and how fast it grows, differs from state to state.
    if (before?.state !== progress.state) this.meter.reset();
    if (before !== undefined && progress.blocksReceived > before.blocksReceived) {
      this.waiting = false;
    }
    this.progress = progress;
    this.meter.add(this.now(), this.countedBytes(progress));
  }

  /** The bytes that the present state works on. */
  private countedBytes(progress: ClientProgress): number {
    const proves = progress.state === 'proving' || progress.state === 'verifying';
    return proves ? progress.provenBytes : progress.writtenBytes;
  }

  private checkedLine(progress: ClientProgress, elapsedMs: number): string {
    const { differingChunks, chunkCount, differingBytes, sizeBytes, freeBytes } = progress;
    const found =
      differingChunks === 0
        ? `holds '${this.imageName}', to the byte${freeBytes > 0 ? ' that is used' : ''}`
        : `differs from '${this.imageName}' in ${formatCount(differingChunks)} of ` +
          `${formatCount(chunkCount)} chunks (${formatBytes(differingBytes)})`;
    return (
      `${this.targetPath} ${found}; checked ${formatBytes(sizeBytes)} in ` +
      `${formatElapsed(elapsedMs)}`
    );
  }

  private provenLine(mapId: string, elapsedMs: number): string {
    const sizeBytes = this.progress?.sizeBytes ?? 0;
    const parts = [
      this.targetPath,
      `${formatBytes(sizeBytes)} in ${formatElapsed(elapsedMs)}`,
      `${formatRate((sizeBytes * 8000) / Math.max(1, elapsedMs))} on average`,
      `image ${shortMapId(mapId)}`,
    ];
    const freeBytes = this.progress?.freeBytes ?? 0;
    if (freeBytes > 0) parts.push(`${formatBytes(freeBytes)} of it nothing uses`);
    const keptBytes = this.progress?.keptBytes ?? 0;
    if (keptBytes > 0) parts.push(`${formatBytes(keptBytes)} of it was there already`);
    const wireBytes = this.progress?.wireBytes ?? 0;
    if (wireBytes > 0) parts.push(formatWire(sizeBytes, wireBytes));
    return `proven copy of '${this.imageName}': ${parts.join(', ')}`;
  }
}
