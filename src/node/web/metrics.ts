/** The state of a server in Prometheus' text format, version 0.0.4. */
import type { ClientRow, FleetState } from './api.js';

/** Machines that have series of their own: those that need a look first. */
const MAX_MACHINES = 2000;
const RUN_STATES = ['waiting', 'paused', 'idle', 'sending'] as const;
const CLIENT_STATES = [
  'joined',
  'receiving',
  'proving',
  'syncing',
  'done',
  'compared',
  'failed',
  'silent',
] as const;

type Labels = Record<string, string>;

/** In the order in which they are written. */
class Exposition {
  private readonly lines: string[] = [];

  family(name: string, type: 'gauge' | 'counter', help: string): void {
    this.lines.push(`# HELP multiserver_${name} ${help}`, `# TYPE multiserver_${name} ${type}`);
  }

  sample(name: string, value: number, labels: Labels = {}): void {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    const set = pairs.length > 0 ? `{${pairs.join(',')}}` : '';
    this.lines.push(`multiserver_${name}${set} ${value}`);
  }

  single(name: string, type: 'gauge' | 'counter', help: string, value: number): void {
    this.family(name, type, help);
    this.sample(name, value);
  }

  get text(): string {
    return `${this.lines.join('\n')}\n`;
  }
}

/** A label's value may hold anything but these as they are. */
function escaped(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

export function metricsText(state: FleetState): string {
  const out = new Exposition();
  const { image, network, run } = state;
  out.family('info', 'gauge', 'What is served, and by what; always 1.');
  const mapId = image.mapId ?? '';
  const { version } = state;
  out.sample('info', 1, {
    version,
    image: image.name,
    map_id: mapId,
    interface: network.interface,
  });
  out.family('state', 'gauge', 'What the server does: 1 for the state it is in.');
  for (const name of RUN_STATES) out.sample('state', name === run.state ? 1 : 0, { state: name });
  out.single('image_bytes', 'gauge', 'Size of the image.', image.sizeBytes);
  out.single('image_chunks', 'gauge', 'Chunks of the image.', image.chunkCount);
  out.single('pending_chunks', 'gauge', 'Chunks that are still to be sent.', run.pendingChunks);
  out.single(
    'prepared_ratio',
    'gauge',
    'How much of the block map is prepared.',
    run.preparedRatio,
  );
  out.single('passes_total', 'counter', 'Passes over what was pending.', run.pass);
  out.single('sent_bytes_total', 'counter', 'Bytes sent to the group.', run.wireBytes);
  out.single('sent_blocks_total', 'counter', 'Blocks sent to the group.', run.blocksSent);
  out.single('bad_packets_total', 'counter', 'Packets that were dropped.', run.packetsBad);
  const bytesPerSecond = run.rateBitsPerSecond / 8;
  out.single('rate_bytes_per_second', 'gauge', 'Rate that is allowed now.', bytesPerSecond);
  out.single('copies', 'gauge', 'Machines that hold a proven copy.', run.doneCount);
  if (run.wantedCount !== null) {
    out.single('wanted_copies', 'gauge', 'Copies that the server leaves after.', run.wantedCount);
  }
  if (state.expected !== null) {
    const { count, missing, lacking } = state.expected;
    out.single('expected_machines', 'gauge', 'Machines on the list.', count);
    out.single('missing_machines', 'gauge', 'Those that never came.', missing.length);
    out.single('lacking_machines', 'gauge', 'Those that hold no copy.', lacking.length);
  }
  out.family('clients', 'gauge', 'Machines by the state of their client.');
  for (const name of CLIENT_STATES) {
    out.sample('clients', state.clients.filter((row) => row.state === name).length, {
      state: name,
    });
  }
  writeMachines(out, state.clients.slice(0, MAX_MACHINES));
  return out.text;
}

function writeMachines(out: Exposition, rows: readonly ClientRow[]): void {
  const family = (name: string, help: string, value: (row: ClientRow) => number): void => {
    out.family(name, 'gauge', help);
    for (const row of rows) {
      const { machine, host, address } = row;
      out.sample(name, value(row), { machine, host, address, label: row.label ?? '' });
    }
  };
  family('client_progress_ratio', 'How much of the image a machine has.', (row) => {
    return row.progressRatio;
  });
  family('client_loss_ratio', 'Share of packets that it lost lately.', (row) => row.lossRatio);
  family('client_received_bytes_per_second', 'What reaches it.', (row) => {
    return row.receivedBitsPerSecond / 8;
  });
  family('client_holds_copy', 'Whether it holds a proven copy.', (row) => Number(row.holdsCopy));
}
