/** The command line of multiclient. To add an option: its line below, its flag, its field. */
import { type ClientOptions, DEFAULT_SERVER_PORT } from '../node/options.js';
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
import {
  BadValue,
  fileName,
  readPort,
  readSecondsAsMs,
  readServerAddress,
  type ServerAddress,
  someText,
  wholeNumber,
} from './values.js';

interface ClientFlags extends SharedFlags {
  timeout: number;
  fromPort?: number;
  server?: ServerAddress;
  output?: string;
  sparse: boolean;
  giveUp?: number;
  image?: string;
  force?: boolean;
  resume?: boolean;
  check?: boolean;
  verify?: boolean;
  discard?: boolean;
  dryRun?: boolean;
  follow?: boolean;
}

const DESCRIPTION =
  'Receives the image that a multiserver sends, proves every byte of it, and leaves. Start it ' +
  'at any time, and again after a crash: it fetches what is missing.';

const EPILOGUE = `
Examples:
  multiclient -o disk.img                   the one image that is served, to a file
  multiclient -o /dev/sda -i eth0           to a disk, heard on one interface
  multiclient -s 10.0.0.1 --image lab.img   from one server, one image of several
  multiclient -o /dev/sda --resume          fetch only what differs from what is there
  multiclient -o /dev/sda --check           compare only: exit status 0 or 8
  multiclient -o /dev/sda --json            for a script: events on standard output
${exitStatusHelp([
  ['ok', 'the copy is complete and proven'],
  ['internal', 'a fault of multiclient itself'],
  ['usage', 'the command line is wrong'],
  ['target', 'the target cannot be used, or failed while it was written'],
  ['source', 'the server could not go on with the image'],
  ['noServer', 'no server answered, or nothing came for longer than --give-up'],
  ['otherImage', 'more than one image to choose from, or not the one begun'],
  ['network', 'the network cannot be used as asked'],
  ['differs', '--check: the target differs from the image'],
  ['hungUp', 'its terminal was closed (SIGHUP; not under nohup)'],
  ['interrupted', 'interrupted (Ctrl-C)'],
  ['terminated', 'terminated (SIGTERM)'],
])}
DEBUG=multiclient:* in the environment traces what it does on standard error.`;

/** Whoever means the image by -f learns who takes it. */
function readFromPort(text: string): number {
  if (/^\d+$/.test(text)) return readPort(text);
  throw new BadValue(
    `'${text}' is not a port, and -f is the source port here; the image is named on the server ` +
      `(multiserver -f ${text}), and the target with -o`,
  );
}

function clientCommand() {
  const command = newCommand('multiclient', DESCRIPTION);
  addOptions(command, Group.original, [
    valueOption(
      '-o, --output NAME',
      "file or device to write (default: the image's own name, in this folder)",
      fileName('the name of a file or device'),
    ),
    valueOption(
      '-s, --server ADDRESS',
      `where to ask: PORT, HOST, HOST:PORT or [IPV6]:PORT; without a host, the server is found by multicast (default port ${DEFAULT_SERVER_PORT})`,
      readServerAddress,
    ),
    sharedOptions.group(),
    sharedOptions.port(),
    valueOption(
      '-t, --timeout MS',
      'silence after which to ask again',
      wholeNumber('a time in milliseconds', 1, 3_600_000),
      1000,
    ),
  ]);
  addNetworkOptions(command);
  addOptions(command, Group.behaviour, [
    valueOption('--image NAME', 'which image, where several are served', someText('its name')),
    valueOption(
      '--give-up SECONDS',
      'fail after so long without a word from a server (default: wait for ever)',
      readSecondsAsMs,
    ),
    switchOption('-n, --no-sparse', 'allocate the whole file first, and write zeros too'),
    switchOption(
      '--resume',
      'use what the target holds already and fetch what differs (NAME.part is used without asking)',
    ),
    switchOption('--check', 'compare the target with the image and write nothing'),
    switchOption('--verify', 'read the copy back from the disk before it counts as done'),
    switchOption('--discard', 'on a device, discard zeros where it guarantees that they read so'),
    switchOption('--dry-run', 'say what would be done with the target and write nothing'),
    switchOption('--follow', 'start anew when the server serves another image'),
    switchOption(
      '--force',
      'replace a file that is in the way, or a device held by LVM, RAID or a loop; never a mounted one',
    ),
  ]);
  addOutputOptions(command);
  addOptions(command, Group.debugging, [
    valueOption(
      '-f, --from-port PORT',
      'source port of requests (default: a random one, 32767 to 65535)',
      readFromPort,
    ),
  ]);
  return command.addHelpText('after', EPILOGUE);
}

function refuseContradictions({ check, resume, verify, force, follow }: ClientFlags): void {
  const writing = Object.entries({ resume, verify, force, follow }).find(([, isGiven]) => isGiven);
  if (check === true && writing !== undefined) {
    throw usageFailure(
      `--check writes nothing, and --${writing[0]} is about writing; give one of the two, not both`,
    );
  }
}

/**
 * @param argv the words after the program's name
 * @throws Failure of kind 'usage'
 */
export function parseClientCommandLine(argv: readonly string[]): Parsed<ClientOptions> {
  const read = readCommandLine<ClientFlags>(
    clientCommand(),
    argv,
    'to name the file or device to write, use -o NAME',
  );
  if ('text' in read) return { run: false, text: read.text };
  const { flags } = read;
  refuseContradictions(flags);
  const options: ClientOptions = {
    group: flags.group,
    port: flags.port,
    interface: flags.interface,
    ttl: flags.ttl,
    mtu: flags.mtu,
    offload: flags.offload,
    output: flags.output,
    serverHost: flags.server?.host,
    serverPort: flags.server?.port ?? DEFAULT_SERVER_PORT,
    timeoutMs: flags.timeout,
    fromPort: flags.fromPort,
    image: flags.image,
    sparse: flags.sparse,
    giveUpMs: flags.giveUp,
    force: flags.force ?? false,
    resume: flags.resume ?? false,
    check: flags.check ?? false,
    verify: flags.verify ?? false,
    discard: flags.discard ?? false,
    dryRun: flags.dryRun ?? false,
    follow: flags.follow ?? false,
  };
  return { run: true, options, output: outputMode(flags) };
}
