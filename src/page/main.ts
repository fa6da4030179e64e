/** The fleet page: hears the server's events, shows them, and passes the operator's orders on. */
import type { FleetChange, FleetState } from '../node/web/api.js';
import { formatBytes, formatCount, formatPercent, formatRate } from '../ui/units.js';
import { CellMap } from './cell-map.js';
import { Curve } from './curve.js';
import { element, make, setBar, setText, setTextOf } from './elements.js';
import { EventLog } from './event-log.js';
import { MachineDialog } from './machine-dialog.js';
import { MachineList } from './machine-list.js';
import { applyChange, countOf, type FilterName, type Model, modelOf, shownRows } from './model.js';
import { confirmed, order, showTrouble } from './orders.js';
import { clockOf, imageWords, runWords } from './words.js';

const FILTERS: [FilterName, string][] = [
  ['all', 'All'],
  ['trouble', 'Need a look'],
  ['busy', 'Under way'],
  ['done', 'Copied'],
  ['missing', 'Missing'],
];
const LOST = 'The connection to the server is lost; trying again…';

let model: Model | null = null;
let filter: FilterName = 'all';
let isEnded = false;

const dialog = new MachineDialog();
const list = new MachineList((row) => dialog.open(row));
const log = new EventLog();
const curve = new Curve(element('curve'));
const cellMap = new CellMap(element<HTMLCanvasElement>('cells'));
const search = element<HTMLInputElement>('search');
const filterButtons = new Map<FilterName, { button: HTMLButtonElement; count: HTMLElement }>();

function makeFilters(): void {
  for (const [name, word] of FILTERS) {
    const button = make('button', '', word);
    button.type = 'button';
    const count = make('b');
    button.append(count);
    button.addEventListener('click', () => {
      filter = name;
      showMachines();
    });
    filterButtons.set(name, { button, count });
    element('filters').append(button);
  }
}

function show(): void {
  if (model === null) return;
  const { state } = model;
  const { run, image } = state;
  document.title = `${formatPercent(doneRatio(state))} · ${image.name} · multiserver`;
  setTextOf('image-name', image.name);
  setTextOf('image-facts', imageWords(state));
  const pill = element('run-state');
  setText(pill, isEnded ? 'Ended' : runWords(run));
  pill.className = `pill ${isEnded ? 'ended' : run.state}`;
  showTiles(state);
  showButtons(state);
  curve.show(state.history);
  cellMap.show(state.cells);
  showMachines();
  dialog.update(model);
  const { network } = state;
  const foot = [
    `multiserver ${state.version}`,
    `group ${network.group}, port ${network.port}`,
    `requests to port ${network.serverPort}`,
    `blocks of ${network.blockSizeBytes} bytes`,
    network.transport,
    `running for ${clockOf(run.elapsedSeconds)}`,
  ];
  setTextOf('foot', foot.join('  ·  '));
}

/** Of how many machines the copies are a share: as many as are wanted, expected or here. */
function totalOf({ run, expected, clients }: FleetState): number {
  const known = model?.rows.size ?? clients.length;
  return Math.max(run.doneCount, run.wantedCount ?? expected?.count ?? known);
}

function doneRatio(state: FleetState): number {
  return state.run.doneCount / Math.max(1, totalOf(state));
}

function showTiles(state: FleetState): void {
  const { run, image } = state;
  const total = totalOf(state);
  const copies = element('copies');
  const copiesText = `${formatCount(run.doneCount)} / ${formatCount(total)}`;
  if (copies.textContent !== copiesText) {
    copies.replaceChildren(
      formatCount(run.doneCount),
      make('small', '', ` / ${formatCount(total)}`),
    );
  }
  setTextOf('copies-sub', `${formatCount(run.presentCount)} here now`);
  setBar(element('copies-bar'), doneRatio(state));
  setTextOf('sent-rate', formatRate(run.sentBitsPerSecond));
  const ceiling = run.ceilingBitsPerSecond;
  const allowed = ceiling === null ? 'no limit' : `at most ${formatRate(ceiling)}`;
  setTextOf('sent-sub', `${formatBytes(run.wireBytes)} so far, ${allowed}`);
  const isSending = run.state === 'sending';
  const cursor = run.cursorChunk / Math.max(1, image.chunkCount);
  const left = Math.min(run.pendingChunks, image.chunkCount);
  const pending = `${formatCount(left)} of ${formatCount(image.chunkCount)} chunks to go`;
  setTextOf('left', isSending ? leftText(run.leftSeconds) : '–');
  const prepared = `block map ${formatPercent(run.preparedRatio)}`;
  const about = run.pass > 0 ? `pass ${run.pass}, ${pending}` : 'nothing was sent yet';
  setTextOf('left-sub', run.preparedRatio < 1 ? `${prepared}, ${about}` : about);
  setBar(element('pass-bar'), isSending ? cursor : 0);
  showTroubled(state);
}

function leftText(seconds: number | null): string {
  return seconds === null ? '…' : `${clockOf(seconds)} left`;
}

function showTroubled(state: FleetState): void {
  const troubled = model === null ? 0 : countOf(model, 'trouble');
  const missing = state.expected?.missing.length ?? 0;
  setTextOf('trouble', formatCount(troubled));
  const never = missing === 0 ? 'all expected are here' : `${formatCount(missing)} never came`;
  const calm = troubled === 0 ? 'all is well' : 'failed, silent, slow or losing packets';
  setTextOf('trouble-sub', state.expected === null || troubled > 0 ? calm : never);
  element('trouble-tile').classList.toggle('has-trouble', troubled > 0);
}

function showButtons({ run }: FleetState): void {
  element('start').hidden = run.state !== 'waiting' || isEnded;
  const pause = element<HTMLButtonElement>('pause');
  setText(pause, run.state === 'paused' ? 'Go on' : 'Pause');
  for (const id of ['pause', 'rate', 'stop']) {
    element<HTMLButtonElement>(id).disabled = isEnded;
  }
}

function showMachines(): void {
  if (model === null) return;
  for (const [name, { button, count }] of filterButtons) {
    setText(count, formatCount(countOf(model, name)));
    button.setAttribute('aria-pressed', String(name === filter));
    button.hidden = name === 'missing' && model.state.expected === null;
  }
  const rows = shownRows(model, filter, search.value);
  list.show(rows);
  const nobody = element('nobody');
  nobody.hidden = rows.length > 0;
  element('list').hidden = rows.length === 0;
  const isEmpty = model.rows.size === 0 && filter !== 'missing';
  setText(
    nobody,
    isEmpty ? 'No machine has come yet. Start multiclient on them.' : 'None of these.',
  );
}

function listen(): void {
  const source = new EventSource('/api/events');
  source.addEventListener('state', (event) => {
    showTrouble('');
    model = modelOf(JSON.parse(event.data) as FleetState);
    log.begin(model.state.log);
    show();
  });
  source.addEventListener('change', (event) => {
    if (model === null) return;
    log.add(applyChange(model, JSON.parse(event.data) as FleetChange));
    show();
  });
  source.addEventListener('end', () => {
    isEnded = true;
    source.close();
    showTrouble('The server has ended. What you see is how it was then.');
    show();
  });
  source.addEventListener('error', () => {
    if (isEnded) return;
    showTrouble(LOST);
    const pill = element('run-state');
    setText(pill, 'No connection');
    pill.className = 'pill lost';
  });
}

async function askStop(): Promise<void> {
  const text = 'Machines without a proven copy are left without one, until it serves again.';
  if (await confirmed('Stop the server?', text, 'Stop it')) void order('stop');
}

function askRate(): void {
  const dialogElement = element<HTMLDialogElement>('rate-dialog');
  const input = element<HTMLInputElement>('rate-input');
  const now = model?.state.run.ceilingBitsPerSecond ?? null;
  input.value = now === null ? '' : String(now / 1e6);
  dialogElement.returnValue = '';
  dialogElement.showModal();
  input.select();
}

element('start').addEventListener('click', () => void order('start'));
element('pause').addEventListener('click', () => {
  void order(model?.state.run.state === 'paused' ? 'resume' : 'pause');
});
element('rate').addEventListener('click', askRate);
element('stop').addEventListener('click', () => void askStop());
element<HTMLDialogElement>('rate-dialog').addEventListener('close', (event) => {
  if ((event.target as HTMLDialogElement).returnValue !== 'ok') return;
  const { value } = element<HTMLInputElement>('rate-input');
  void order('rate', { bitsPerSecond: value === '' ? null : Number(value) * 1e6 });
});
for (const button of document.querySelectorAll<HTMLElement>('dialog .close')) {
  button.addEventListener('click', () => button.closest('dialog')?.close());
}
search.addEventListener('input', showMachines);
makeFilters();
listen();
