/** The command line of multiclient. Its options are in client-flags.ts. */
import { isIP } from 'node:net';
import { CLIENT_DEFAULTS, type ClientOptions } from '../node/options.js';
import { type ClientFlags, clientCommand } from './client-flags.js';
import { outputMode, type Parsed, readCommandLine, usageFailure } from './command.js';
import { serverCommand } from './server-flags.js';
import { VERSION } from './version.js';

/** Only where somebody watches. */
const COUNTDOWN_SECONDS = 5;

function refuseContradictions(flags: ClientFlags): void {
  const { check, resume, verify, force, follow, fit, newerThan, trust } = flags;
  if (newerThan !== undefined && trust === undefined) {
    throw usageFailure(
      '--newer-than is about statements that are signed; say with --trust whose are taken',
    );
  }
  const then = flags.then !== undefined;
  const { discard, wipeFree: wipe } = flags;
  const about = { resume, verify, force, follow, discard, 'wipe-free': wipe, fit, then };
  const writing = Object.entries(about).find(([, isGiven]) => isGiven);
  if (check === true && flags.dryRun === true) {
    throw usageFailure(
      '--check compares and writes nothing, and --dry-run says what would be written; give one ' +
        'of the two, not both',
    );
  }
  if (check === true && writing !== undefined) {
    throw usageFailure(
      `--check writes nothing, and --${writing[0]} is about writing; give one of the two, not both`,
    );
  }
}

/** Requests and the stream go by one family of addresses. */
function refuseOtherFamily({ group, server }: ClientFlags): void {
  const host = server?.host ?? '';
  const family = isIP(host);
  if (family === 0 || family === isIP(group)) return;
  const example = family === 6 ? 'ff02::7' : '225.0.20.10';
  throw usageFailure(
    `${host} and group ${group} are of two address families; give the server's address of the ` +
      `group's family, or a group of the server's with -g (${example}, on both sides)`,
  );
}

/**
 * @param argv the words after the program's name
 * @throws Failure of kind 'usage'
 */
export function parseClientCommandLine(argv: readonly string[]): Parsed<ClientOptions> {
  const read = readCommandLine<ClientFlags>(
    clientCommand(),
    serverCommand,
    argv,
    'to name the file or device to write, use -o NAME',
  );
  if ('text' in read) return { run: false, text: read.text };
  const { flags } = read;
  refuseContradictions(flags);
  refuseOtherFamily(flags);
  const options: ClientOptions = {
    group: flags.group,
    port: flags.port,
    interface: flags.interface,
    ttl: flags.ttl,
    mtu: flags.mtu,
    offload: flags.offload,
    keyFile: flags.key,
    output: flags.output,
    serverHost: flags.server?.host,
    serverPort: flags.server?.port ?? CLIENT_DEFAULTS.serverPort,
    timeoutMs: flags.timeout,
    fromPort: flags.fromPort,
    image: flags.image,
    expect: flags.expect,
    trust: flags.trust ?? [],
    newerThan: flags.newerThan,
    sparse: flags.sparse,
    giveUpMs: flags.giveUp,
    force: flags.force ?? false,
    resume: flags.resume ?? false,
    check: flags.check ?? false,
    verify: flags.verify ?? false,
    discard: flags.discard ?? false,
    wipeFree: flags.wipeFree ?? false,
    dryRun: flags.dryRun ?? false,
    countdownSeconds: flags.yes === true || process.stderr.isTTY !== true ? 0 : COUNTDOWN_SECONDS,
    follow: flags.follow ?? false,
    fit: flags.fit ?? false,
    thenCommand: flags.then,
    label: flags.label,
    version: VERSION,
  };
  const doctor = flags.doctor === true ? { stayMs: 0 } : null;
  return { run: true, options, output: outputMode(flags), doctor };
}
