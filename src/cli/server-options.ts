/** The command line of multiserver. To add an option: its line below, its flag, its field. */
import { DEFAULT_SERVER_PORT, type ServerOptions } from '../node/options.js';
import {
  addNetworkOptions,
  addOptions,
  addOutputOptions,
  exitStatusHelp,
  Group,
  newCommand,
  outputMode,
  type Parsed,
  readCommandLine,
  type SharedFlags,
  sharedOptions,
  switchOption,
  usageFailure,
  valueOption,
} from './command.js';
import { fileName, oneOf, readCompression, readPort, readRate, wholeNumber } from './values.js';

interface ServerFlags extends SharedFlags {
  file?: string;
  serverPort: number;
  delay: number;
  rate?: number;
  exitAfter?: number;
  slowClients: 'leave' | 'wait';
  compress: 'auto' | 'off' | number;
  asIs?: boolean;
  force?: boolean;
  cache: boolean;
  prepare?: boolean;
}

const DESCRIPTION =
  'Serves one image to any number of multiclients: one copy crosses the wire, however many ' +
  'listen. It serves until it is interrupted, or told otherwise.';

const EPILOGUE = `
Examples:
  multiserver -f disk.img                       serve until Ctrl-C
  multiserver -f disk.img -i eth0 --rate 900M   on one interface, below its limit
  multiserver -f disk.img --exit-after 30       leave when 30 machines hold one
  multiserver -f disk.img --prepare             make disk.img.blockmap, serve later
${exitStatusHelp([
  ['ok', 'left as asked'],
  ['internal', 'a fault of multiserver itself'],
  ['usage', 'the command line is wrong'],
  ['source', 'the image cannot be served, or changed while it was served'],
  ['network', 'the network cannot be used as asked'],
  ['hungUp', 'its terminal was closed (SIGHUP; not under nohup)'],
  ['interrupted', 'interrupted (Ctrl-C)'],
  ['terminated', 'terminated (SIGTERM)'],
])}
DEBUG=multiserver:* in the environment traces what it does on standard error.`;

function serverCommand() {
  const command = newCommand('multiserver', DESCRIPTION);
  addOptions(command, Group.original, [
    valueOption(
      '-f, --file FILENAME',
      'image to serve: a file or a block device (required)',
      fileName('the name of a file or block device'),
    ),
    valueOption('-s, --server-port PORT', 'UDP port for requests', readPort, DEFAULT_SERVER_PORT),
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
  addOptions(command, Group.behaviour, [
    valueOption(
      '--exit-after N',
      'leave when N machines hold proven copies (default: stay)',
      wholeNumber('a number of clients', 1, 1_000_000),
    ),
    valueOption(
      '--slow-clients WHAT',
      'leave: let them fall behind and serve them later; wait: slow down for them',
      oneOf(['leave', 'wait']),
      'leave',
    ),
    valueOption(
      '--compress HOW',
      'auto: as cores and network allow; off; or a level from 1 (fast) to 19 (small)',
      readCompression,
      'auto' as 'auto' | 'off' | number,
    ),
    switchOption(
      '--as-is',
      'serve a compressed file or a virtual disk itself, not what it contains',
    ),
    switchOption('--force', 'serve an image that others may write to (mounted, swap)'),
    switchOption('--no-cache', 'neither use nor keep FILENAME.blockmap'),
    switchOption('--prepare', 'make FILENAME.blockmap and leave, serving nobody'),
  ]);
  addOutputOptions(command);
  addOptions(command, Group.debugging, [
    valueOption(
      '-d, --delay MS',
      'pause between packets',
      wholeNumber('a time in milliseconds', 0, 60_000),
      0,
    ),
  ]);
  return command.addHelpText('after', EPILOGUE);
}

/**
 * @param argv the words after the program's name
 * @throws Failure of kind 'usage'
 */
export function parseServerCommandLine(argv: readonly string[]): Parsed<ServerOptions> {
  const read = readCommandLine<ServerFlags>(
    serverCommand(),
    argv,
    'to name the image to serve, use -f FILENAME',
  );
  if ('text' in read) return { run: false, text: read.text };
  const { flags } = read;
  if (flags.file === undefined) {
    throw usageFailure('there is no image to serve; name one with -f FILENAME');
  }
  if (flags.prepare === true && !flags.cache) {
    throw usageFailure(
      '--prepare makes the file that --no-cache forbids; give one of the two, not both',
    );
  }
  const options: ServerOptions = {
    group: flags.group,
    port: flags.port,
    interface: flags.interface,
    ttl: flags.ttl,
    mtu: flags.mtu,
    offload: flags.offload,
    file: flags.file,
    asIs: flags.asIs ?? false,
    force: flags.force ?? false,
    serverPort: flags.serverPort,
    delayMs: flags.delay,
    rateBitsPerSecond: flags.rate,
    exitAfter: flags.exitAfter,
    slowClients: flags.slowClients,
    compression: flags.compress,
    cache: flags.cache,
    prepareOnly: flags.prepare ?? false,
  };
  return { run: true, options, output: outputMode(flags) };
}
