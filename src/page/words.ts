/** States and events in words. */
import type { ClientRow, FleetState, LogEntry, RunState } from '../node/web/api.js';
import { formatBytes, formatCount, formatPercent, formatPlural, formatRate } from '../ui/units.js';

type Tone = 'good' | 'busy' | 'warn' | 'bad' | '';

const LOSSY = 0.005;
const HEAVY = 0.05;

export function lossClass(lossRatio: number): string {
  if (lossRatio >= HEAVY) return 'heavy';
  return lossRatio >= LOSSY ? 'lossy' : '';
}

/** '1:05' of seconds. */
export function clockOf(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const two = (value: number) => String(value).padStart(2, '0');
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

export function runWords({ state, awaitedClients }: RunState): string {
  if (state === 'sending') return 'Sending';
  if (state === 'paused') return 'Paused';
  if (state === 'idle') return 'Idle';
  return (awaitedClients ?? 0) > 0 ? `Waiting for ${awaitedClients} more` : 'Waiting to be started';
}

export function rowWords(row: ClientRow): { text: string; tone: Tone } {
  if (row.state === 'failed') return row.holdsCopy ? copied : { text: 'Failed', tone: 'bad' };
  if (row.state === 'done') return copied;
  if (row.state === 'compared') return { text: 'Equal', tone: 'good' };
  if (row.state === 'silent') {
    if (row.holdsCopy) return copied;
    return { text: `Silent ${clockOf(row.silentSeconds)}`, tone: 'bad' };
  }
  const tone = row.lossRatio >= HEAVY ? 'bad' : row.trouble > 0 ? 'warn' : 'busy';
  if (row.isReleased) return { text: 'Released', tone };
  if (!row.isFollowed) return { text: 'Left behind', tone };
  return { text: BUSY[row.state], tone };
}

const copied = { text: 'Copied', tone: 'good' } as const;
const BUSY = {
  joined: 'Joined',
  receiving: 'Receiving',
  proving: 'Proving',
  syncing: 'Syncing',
} as const;

export function imageWords({ image, network }: FleetState): string {
  const id = image.mapId === null ? 'map in the making' : image.mapId.slice(0, 16);
  return `${formatBytes(image.sizeBytes)} · ${id} · ${network.interface} → ${network.group}`;
}

/** What is told of a machine beside its name. */
export function factsOf(row: ClientRow): [string, string][] {
  const { diskModel, diskSerial, diskBytes, linkBitsPerSecond, isFullDuplex } = row;
  const disk = [diskModel, diskBytes === null ? null : formatBytes(diskBytes), diskSerial];
  const duplex = isFullDuplex === null ? null : isFullDuplex ? 'full duplex' : 'half duplex';
  const speed = linkBitsPerSecond === null ? null : formatRate(linkBitsPerSecond);
  const facts: [string, string | null][] = [
    ['State', `${rowWords(row).text}, ${formatPercent(row.progressRatio)}`],
    ['Why it failed', row.reason],
    ['Rate', `${formatRate(row.receivedBitsPerSecond)}, ${formatPercent(row.lossRatio)} lost`],
    ['Label', row.label],
    ['MAC', row.mac],
    ['Product', row.product],
    ['Serial', row.serial],
    ['Disk', joined(disk)],
    ['Link', joined([speed, duplex])],
    ['Program', row.version],
    ['Machine id', row.machine],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null && fact[1] !== '');
}

function joined(parts: (string | null)[]): string {
  return parts.filter((part) => part !== null && part !== '').join(' · ');
}

/** @returns null for what needs no word */
export function logWords(entry: LogEntry): { text: string; tone: Tone } | null {
  const { event, details } = entry;
  const who = entry.host === undefined ? '' : `${entry.host} (${entry.address})`;
  const text = (of: string, tone: Tone = '') => ({ text: of, tone });
  switch (event) {
    case 'serving':
      return text(`Serving ${details.name} on ${details.interface}`);
    case 'prepared':
      return text(`The block map is complete: image ${String(details.mapId).slice(0, 16)}`);
    case 'waiting':
      return text(
        Number(details.awaitedClients) > 0
          ? `Waiting for ${formatPlural(Number(details.awaitedClients), 'machine')}`
          : 'Waiting to be started',
      );
    case 'started':
      return text(
        `Started ${STARTED[String(details.reason)] ?? ''}, with ` +
          formatPlural(Number(details.clientCount), 'machine'),
        'good',
      );
    case 'paused':
      return text('Paused', 'warn');
    case 'resumed':
      return text('Goes on');
    case 'rate-set':
      return text(
        details.ceilingBitsPerSecond === null
          ? 'No limit of the rate any more'
          : `At most ${formatRate(Number(details.ceilingBitsPerSecond))}`,
      );
    case 'client-joined':
      return text(`${who} joined`);
    case 'client-done':
      return text(`${who} holds a proven copy (${details.doneCount} done)`, 'good');
    case 'client-anew':
      return text(`${who} begins a new copy`);
    case 'client-compared':
      return text(`${who} was compared, and is equal`, 'good');
    case 'client-looked':
      return text(`${who} left before it began a copy`);
    case 'client-failed':
      if (details.reason === 'left') return text(`${who} left without a copy`, 'bad');
      return text(
        details.why === undefined ? `${who} failed` : `${who} failed: ${details.why}`,
        'bad',
      );
    case 'client-released':
      return text(`${who} is waited for no longer`, 'warn');
    case 'client-dropped':
      return text(`${who} was dropped`, 'bad');
    case 'pass-begun':
      return text(
        `Pass ${details.pass} over ${formatPlural(Number(details.pendingChunks), 'chunk')}`,
      );
    case 'compression':
    case 'notice':
      return text(String(details.text), event === 'notice' ? 'warn' : '');
    case 'expected':
      return text(`Without a copy: ${details.lacking}; never came: ${details.missing}`);
    case 'ended':
      return text(
        details.doneCount === 1
          ? 'Ended with 1 copy'
          : `Ended with ${formatCount(Number(details.doneCount))} copies`,
      );
    default:
      return null;
  }
}

const STARTED: Record<string, string> = {
  clients: 'as enough machines are here',
  time: 'as it is time',
  operator: 'by its operator',
};
