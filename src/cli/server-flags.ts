/**
 * The table of multiserver's options. To add one: its line and its flag here, its field in
 * server-options.ts.
 */
import type { Command } from 'commander';
import { SERVER_DEFAULTS } from '../node/options.js';
import {
  addNetworkOptions,
  addOptions,
  addOutputOptions,
  doctorOption,
  EnvironmentVariable,
  environmentHelp,
  exitStatusHelp,
  Group,
  newCommand,
  type SharedFlags,
  sharedOptions,
  switchOption,
  valueOption,
  wordOption,
} from './command.js';
import {
  fileName,
  readAddressRange,
  readCompression,
  readKernelWords,
  readPort,
  readRate,
  readReportName,
  readSecondsAsMs,
  readTimeToCome,
  readWebPlace,
  someText,
  wholeNumber,
} from './values.js';

export interface ServerFlags extends SharedFlags {
  file?: string;
  serverPort: number;
  delay: number;
  rate?: number;
  exitAfter?: number;
  goneAfter?: number;
  waitFor?: number;
  wait?: number;
  startAt?: number;
  hold?: boolean;
  expectClients?: string;
  report?: string;
  web?: { host: string | undefined; port: number };
  slowClients: 'leave' | 'wait';
  compress: 'auto' | 'off' | number;
  asIs?: boolean;
  force?: boolean;
  usedOnly?: boolean;
  cache: boolean;
  prepare?: boolean;
  netboot?: string;
  netbootDhcp?: readonly [string, string];
  netbootWords?: string;
  unattended?: boolean;
  stay?: number;
  newKey?: string;
}

/** Long enough for a client's doctor that is started with it. */
export const DEFAULT_STAY_MS = 8000;

const DESCRIPTION =
  'Serves one image to any number of multiclients: one copy crosses the wire, however many ' +
  'listen. It serves until it is interrupted, or told otherwise.';

export const SERVER_EPILOGUE = `
Examples:
  multiserver -f disk.img                       serve until Ctrl-C
  multiserver -f disk.img -i eth0 --rate 900M   by one interface, with a limit
  multiserver -f disk.img --exit-after 30       leave when 30 machines hold one
  multiserver -f disk.img --wait-for 30 --wait 120
                                                begin with 30, or in two minutes
  multiserver -f /dev/sda --used-only           without what is free or deleted
  multiserver -f disk.img --prepare             make disk.img.blockmap for later
  multiserver -f disk.img -i eth1 --netboot live/out
                                                start machines by network, too
  multiserver --doctor -i eth0 --stay 600       what is wrong? answers clients
${exitStatusHelp([
  ['ok', 'left as asked'],
  ['internal', 'a fault of multiserver itself'],
  ['usage', 'the command line is wrong'],
  ['source', 'the image cannot be served, or changed while it was served'],
  ['network', 'the network cannot be used as asked'],
  ['afterwards', 'left as asked, but --report lacks rows'],
  ['incomplete', '--exit-after: not all machines that were waited for hold a copy'],
  ['unwell', '--doctor: something is wrong'],
  ['installation', 'a part of the program is missing, or Node is too old'],
  ['hungUp', 'its terminal was closed (SIGHUP; not under nohup)'],
  ['interrupted', 'interrupted (Ctrl-C)'],
  ['terminated', 'terminated (SIGTERM)'],
])}${environmentHelp('multiserver')}`;

/** The table of its options. */
export function serverCommand(): Command {
  const command = newCommand('multiserver', DESCRIPTION);
  addOptions(command, Group.original, [
    valueOption(
      '-f, --file FILENAME',
      'image to serve: a file or a block device (required)',
      fileName('the name of a file or block device'),
    ),
    valueOption(
      '-s, --server-port PORT',
      'UDP port for requests',
      readPort,
      SERVER_DEFAULTS.serverPort,
    ).env(EnvironmentVariable.serverPort),
    sharedOptions.group(),
    sharedOptions.port(),
  ]);
  addNetworkOptions(command, [
    valueOption(
      '--rate BITS',
      'most bits to send per second, with k, M or G: 900M, 2.5G (default: what clients bear)',
      readRate,
    ),
  ]);
  addOptions(command, Group.start, [
    valueOption(
      '--wait-for N',
      'send nothing until N clients are here',
      wholeNumber('a number of clients', 1, 1_000_000),
    ),
    valueOption(
      '--wait SECONDS',
      'send nothing until so long after the first client came',
      readSecondsAsMs,
    ),
    valueOption('--start-at TIME', 'send nothing until TIME: 18:30, or 2030-01-31T18:30', (text) =>
      readTimeToCome(text),
    ),
    switchOption(
      '--hold',
      'send nothing until Enter is pressed, or the page (--web) says so; of several of these ' +
        'four, whichever comes first starts it',
    ),
  ]);
  addOptions(command, Group.behaviour, [
    valueOption(
      '--exit-after N',
      'leave when N machines hold proven copies, or are gone without (default: stay)',
      wholeNumber('a number of clients', 1, 1_000_000),
    ),
    valueOption(
      '--gone-after SECONDS',
      'a machine without a copy that is silent for so long is gone (default 300)',
      readSecondsAsMs,
    ),
    valueOption(
      '--web PLACE',
      'show the fleet on a page at PORT of this machine, or HOST:PORT for others too',
      readWebPlace,
    ),
    valueOption(
      '--report FILE',
      'add a row to FILE (.csv or .jsonl) for each client as it ends',
      readReportName,
    ),
    valueOption(
      '--expect-clients FILE',
      'names or MACs of the machines to come, one a line: at the end, who is missing is named',
      fileName('a file with a name or MAC a line'),
    ),
    wordOption(
      '--slow-clients WHAT',
      'leave: let them fall behind and serve them later; wait: slow down for them',
      ['leave', 'wait'],
      SERVER_DEFAULTS.slowClients,
    ),
    valueOption(
      '--compress HOW',
      'auto: as cores and network allow; off; or a level from 1 (fast) to 19 (small)',
      readCompression,
      SERVER_DEFAULTS.compression,
    ),
    switchOption(
      '--as-is',
      'serve a compressed file or a virtual disk itself, not what it contains',
    ),
    switchOption(
      '--used-only',
      'leave out what no file system uses: deleted files stay here (needs root and partclone)',
    ),
    switchOption(
      '--force',
      'serve an image that others may write to (mounted, swap), or that unknown bytes follow; ' +
        'with --used-only, send whole what was not left in order',
    ),
    switchOption('--no-cache', 'neither use nor keep FILENAME.blockmap'),
    switchOption(
      '--prepare',
      'make FILENAME.blockmap and a statement to sign, and leave, serving nobody',
    ),
    valueOption(
      '--new-key FILE',
      'make a key for --key of both programs, and leave',
      fileName('a name for the key file'),
    ),
    doctorOption(),
    valueOption(
      '--stay SECONDS',
      `with --doctor: answer the doctors of clients for so long (default ` +
        `${DEFAULT_STAY_MS / 1000})`,
      readSecondsAsMs,
    ),
  ]);
  addOptions(command, Group.netboot, [
    valueOption(
      '--netboot FOLDER',
      'start machines from the network of -i with the live system in FOLDER (npm run live), ' +
        'beside its DHCP server',
      someText('the folder of the live system'),
    ),
    valueOption(
      '--netboot-dhcp RANGE',
      'be the only DHCP server of that network, and give the addresses FIRST,LAST',
      readAddressRange,
    ),
    valueOption(
      '--netboot-words WORDS',
      "more for the live system's kernel command line: multiclient.then=poweroff",
      readKernelWords,
    ),
    switchOption('--unattended', 'the live system overwrites disks without asking'),
  ]);
  addOutputOptions(command);
  addOptions(command, Group.debugging, [
    valueOption(
      '-d, --delay MS',
      'pause between packets',
      wholeNumber('a time in milliseconds', 0, 60_000),
      SERVER_DEFAULTS.delayMs,
    ),
  ]);
  return command.addHelpText('after', SERVER_EPILOGUE);
}
