/** What the page knows of the server: the state that came first, and every change since. */
import type { ClientRow, FleetChange, FleetState, LogEntry } from '../node/web/api.js';

const MAX_LOG = 500;
const MAX_POINTS = 900;

export type FilterName = 'all' | 'trouble' | 'busy' | 'done' | 'missing';

export interface Model {
  state: FleetState;
  rows: Map<string, ClientRow>;
}

export function modelOf(state: FleetState): Model {
  return { state, rows: new Map(state.clients.map((row) => [row.id, row])) };
}

/** @returns the log's new entries */
export function applyChange({ state, rows }: Model, change: FleetChange): LogEntry[] {
  state.run = change.run;
  state.image.mapId = change.mapId;
  if (change.cells !== undefined) state.cells = change.cells;
  if (change.expected !== undefined) state.expected = change.expected;
  for (const id of change.gone) rows.delete(id);
  for (const row of change.clients) rows.set(row.id, row);
  addPoints(state.history, change.history);
  const lastNumber = state.log.at(-1)?.number ?? 0;
  const entries = change.log.filter(({ number }) => number > lastNumber);
  state.log.push(...entries);
  state.log.splice(0, Math.max(0, state.log.length - MAX_LOG));
  return entries;
}

function addPoints(history: FleetState['history'], more: FleetState['history']): void {
  const last = history.seconds.at(-1) ?? Number.NEGATIVE_INFINITY;
  for (const [index, seconds] of more.seconds.entries()) {
    if (seconds <= last) continue;
    history.seconds.push(seconds);
    history.bitsPerSecond.push(more.bitsPerSecond[index]!);
  }
  const tooMany = Math.max(0, history.seconds.length - MAX_POINTS);
  history.seconds.splice(0, tooMany);
  history.bitsPerSecond.splice(0, tooMany);
}

export function isBusy({ state }: ClientRow): boolean {
  return state === 'joined' || state === 'receiving' || state === 'proving' || state === 'syncing';
}

function isDone({ state, holdsCopy }: ClientRow): boolean {
  return holdsCopy || state === 'done' || state === 'compared';
}

const FILTERS: Record<Exclude<FilterName, 'missing'>, (row: ClientRow) => boolean> = {
  all: () => true,
  trouble: ({ trouble }) => trouble > 0,
  busy: (row) => isBusy(row) && !isDone(row),
  done: isDone,
};

/** What a machine may be searched by. */
function textOf(row: ClientRow): string {
  const { host, address, label, mac, product, serial, diskModel, diskSerial } = row;
  return [host, address, label, mac, product, serial, diskModel, diskSerial]
    .filter((text) => text !== null)
    .join('\n')
    .toLowerCase();
}

/** Machines that were expected and never came have a row as well, without a client. */
export type ShownRow = ClientRow | { missing: string };

/** Those that need a look first, then those that have least, then by name. */
function compareRows(one: ClientRow, other: ClientRow): number {
  return (
    other.trouble - one.trouble ||
    Number(isDone(one)) - Number(isDone(other)) ||
    one.progressRatio - other.progressRatio ||
    one.host.localeCompare(other.host, undefined, { numeric: true }) ||
    one.address.localeCompare(other.address, undefined, { numeric: true })
  );
}

export function shownRows({ state, rows }: Model, filter: FilterName, search: string): ShownRow[] {
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const fits = (text: string) => words.every((word) => text.includes(word));
  const missing = state.expected?.missing ?? [];
  if (filter === 'missing') {
    return missing.filter((name) => fits(name.toLowerCase())).map((name) => ({ missing: name }));
  }
  const all = [...rows.values()].filter(FILTERS[filter]);
  return all.filter((row) => words.length === 0 || fits(textOf(row))).sort(compareRows);
}

export function countOf(model: Model, filter: FilterName): number {
  if (filter === 'missing') return model.state.expected?.missing.length ?? 0;
  let count = 0;
  for (const row of model.rows.values()) if (FILTERS[filter](row)) count++;
  return count;
}
