/** The command line of multiserver. Its options are in server-flags.ts. */
import { type NetbootOptions, SERVER_DEFAULTS, type ServerOptions } from '../node/options.js';
import { clientCommand } from './client-flags.js';
import { outputMode, type Parsed, readCommandLine, usageFailure } from './command.js';
import { DEFAULT_STAY_MS, type ServerFlags, serverCommand } from './server-flags.js';
import { VERSION } from './version.js';

/** The first option of these that was given. */
const firstGiven = (options: Record<string, unknown>): string | undefined =>
  Object.entries(options).find(([, value]) => value !== undefined)?.[0];

/** @throws Failure of kind 'usage' */
function netbootOptions(flags: ServerFlags): NetbootOptions | null {
  const { netboot, netbootDhcp, netbootWords, unattended } = flags;
  if (netboot === undefined) {
    const about = { '--netboot-dhcp': netbootDhcp, '--netboot-words': netbootWords };
    const given = firstGiven({ ...about, '--unattended': unattended });
    if (given === undefined) return null;
    throw usageFailure(`${given} is about --netboot; name the live system's folder with that`);
  }
  if (flags.interface === undefined) {
    throw usageFailure(
      '--netboot answers all machines of a network, so name its interface with -i',
    );
  }
  return {
    folder: netboot,
    dhcpRange: netbootDhcp ?? null,
    isUnattended: unattended ?? false,
    extraWords: netbootWords ?? '',
  };
}

/** @throws Failure of kind 'usage' */
function checkPrepare(flags: ServerFlags): void {
  if (!flags.cache) {
    throw usageFailure(
      '--prepare makes the file that --no-cache forbids; give one of the two, not both',
    );
  }
  const { exitAfter, waitFor, wait, startAt, hold, expectClients, web, report, netboot } = flags;
  const whens = { '--wait-for': waitFor, '--wait': wait, '--start-at': startAt, '--hold': hold };
  const records = { '--web': web, '--report': report, '--expect-clients': expectClients };
  const ends = { '--exit-after': exitAfter, '--netboot': netboot };
  const given = firstGiven({ ...whens, ...records, ...ends });
  if (given === undefined) return;
  throw usageFailure(`--prepare serves nobody, and ${given} is about serving; leave one out`);
}

/**
 * @param argv the words after the program's name
 * @throws Failure of kind 'usage'
 */
export function parseServerCommandLine(argv: readonly string[]): Parsed<ServerOptions> {
  const read = readCommandLine<ServerFlags>(
    serverCommand(),
    clientCommand,
    argv,
    'to name the image to serve, use -f FILENAME',
  );
  if ('text' in read) return { run: false, text: read.text };
  const { flags } = read;
  if (flags.newKey !== undefined && flags.file !== undefined) {
    throw usageFailure('--new-key makes a key and serves nothing; give it without -f');
  }
  if (flags.file === undefined && flags.newKey === undefined && flags.doctor !== true) {
    throw usageFailure('there is no image to serve; name one with -f FILENAME');
  }
  if (flags.prepare === true) checkPrepare(flags);
  const options: ServerOptions = {
    group: flags.group,
    port: flags.port,
    interface: flags.interface,
    ttl: flags.ttl,
    mtu: flags.mtu,
    offload: flags.offload,
    keyFile: flags.key,
    file: flags.file ?? '',
    asIs: flags.asIs ?? false,
    force: flags.force ?? false,
    usedOnly: flags.usedOnly ?? false,
    serverPort: flags.serverPort,
    delayMs: flags.delay,
    rateBitsPerSecond: flags.rate,
    exitAfter: flags.exitAfter,
    goneAfterMs: flags.goneAfter ?? SERVER_DEFAULTS.goneAfterMs,
    waitFor: flags.waitFor,
    waitMs: flags.wait,
    startAtMs: flags.startAt,
    hold: flags.hold ?? false,
    startsOnEnter: true,
    expectClients: flags.expectClients,
    version: VERSION,
    web: flags.web,
    report: flags.report,
    slowClients: flags.slowClients,
    compression: flags.compress,
    cache: flags.cache,
    prepareOnly: flags.prepare ?? false,
    netboot: netbootOptions(flags),
    newKey: flags.newKey,
  };
  if (flags.stay !== undefined && flags.doctor !== true) {
    throw usageFailure('--stay is for how long a doctor answers; give --doctor as well');
  }
  const doctor = flags.doctor === true ? { stayMs: flags.stay ?? DEFAULT_STAY_MS } : null;
  return { run: true, options, output: outputMode(flags), doctor };
}
