/**
 * The table of multiclient's options. To add one: its line and its flag here, its field in
 * client-options.ts.
 */
import type { Command } from 'commander';
import { CLIENT_DEFAULTS } from '../node/options.js';
import {
  addNetworkOptions,
  addOptions,
  addOutputOptions,
  doctorOption,
  EnvironmentVariable,
  environmentHelp,
  exitStatusHelp,
  Group,
  listOption,
  newCommand,
  type SharedFlags,
  sharedOptions,
  switchOption,
  valueOption,
} from './command.js';
import {
  BadValue,
  fileName,
  readLabel,
  readMapId,
  readPort,
  readSecondsAsMs,
  readServerAddress,
  readStatementTime,
  type ServerAddress,
  someText,
  wholeNumber,
} from './values.js';

export interface ClientFlags extends SharedFlags {
  timeout: number;
  fromPort?: number;
  server?: ServerAddress;
  output?: string;
  sparse: boolean;
  giveUp?: number;
  image?: string;
  expect?: string;
  trust?: string[];
  newerThan?: string;
  force?: boolean;
  resume?: boolean;
  check?: boolean;
  verify?: boolean;
  discard?: boolean;
  wipeFree?: boolean;
  dryRun?: boolean;
  yes?: boolean;
  follow?: boolean;
  fit?: boolean;
  then?: string;
  label?: string;
}

const DESCRIPTION =
  'Receives the image that a multiserver sends, proves every byte of it, and leaves. Start it ' +
  'at any time, and again after a crash: it fetches what is missing.';

export const CLIENT_EPILOGUE = `
Examples:
  multiclient -o disk.img                   the image that is served, to a file
  multiclient -o /dev/sda -i eth0           to a disk, heard on one interface
  multiclient -o auto                       to the only disk that can be meant
  multiclient -s 10.0.0.1 --image lab.img   from one server, one of its images
  multiclient -o /dev/sda --resume          fetch only what differs on the disk
  multiclient -o /dev/sda --check           compare only: exit status 0 or 8
  multiclient -o auto --fit --then reboot   and start from the copy
  multiclient --doctor -i eth0              what is wrong? writes nothing
  multiclient -o /dev/sda --trust lab.pub   only what the lab has signed
  multiclient -o /dev/sda --json            for scripts: events as JSON
${exitStatusHelp([
  ['ok', 'the copy is complete and proven'],
  ['internal', 'a fault of multiclient itself'],
  ['usage', 'the command line is wrong'],
  ['target', 'the target cannot be used, or failed while it was written'],
  ['source', 'the server could not go on with the image'],
  ['noServer', 'no server answered, nothing came for --give-up, or it was dropped'],
  ['otherImage', 'more than one image to choose from, or not the one begun'],
  ['network', 'the network cannot be used as asked'],
  ['differs', '--check: the target differs from the image'],
  ['afterwards', 'the copy is proven, but --fit or the command of --then failed'],
  ['unsigned', '--trust: nobody signed the image that is served'],
  ['badSignature', '--trust: its signature is none, or false'],
  ['otherSigner', '--trust: somebody else signed it'],
  ['otherStatement', '--trust: what was signed is about another image'],
  ['olderImage', '--newer-than: it is older than that'],
  ['otherKey', 'the image is sealed with another key than --key has, or with none'],
  ['unwell', '--doctor: something is wrong'],
  ['installation', 'a part of the program is missing, or Node is too old'],
  ['hungUp', 'its terminal was closed (SIGHUP; not under nohup)'],
  ['interrupted', 'interrupted (Ctrl-C)'],
  ['terminated', 'terminated (SIGTERM)'],
])}${environmentHelp('multiclient')}`;

/** Whoever means the image by -f learns who takes it. */
function readFromPort(text: string): number {
  if (/^\d+$/.test(text)) return readPort(text);
  throw new BadValue(
    `'${text}' is not a port, and -f is the source port here; the image is named on the server ` +
      `(multiserver -f ${text}), and the target with -o`,
  );
}

/** The table of its options. */
export function clientCommand(): Command {
  const command = newCommand('multiclient', DESCRIPTION);
  addOptions(command, Group.original, [
    valueOption(
      '-o, --output NAME',
      'file or device to write, over what is there; auto: the one disk that fits (default: a ' +
        'new file in this folder, named after the image)',
      fileName('the name of a file or device'),
    ),
    valueOption(
      '-s, --server ADDRESS',
      `where to ask: PORT, HOST, HOST:PORT or [IPV6]:PORT; without a host, the server is ` +
        `found by multicast (default port ${CLIENT_DEFAULTS.serverPort})`,
      readServerAddress,
    ).env(EnvironmentVariable.serverPort),
    sharedOptions.group(),
    sharedOptions.port(),
    valueOption(
      '-t, --timeout MS',
      'silence after which to ask again',
      wholeNumber('a time in milliseconds', 1, 3_600_000),
      CLIENT_DEFAULTS.timeoutMs,
    ),
  ]);
  addNetworkOptions(command);
  addOptions(command, Group.behaviour, [
    valueOption('--image NAME', 'which image, where several are served', someText('its name')),
    valueOption(
      '--give-up SECONDS',
      'fail after so long without progress (default: wait for ever)',
      readSecondsAsMs,
    ),
    valueOption(
      '--expect ID',
      'take only the image with this map id (its first 16 digits at least)',
      readMapId,
    ),
    listOption(
      '--trust KEY',
      'take only images that the owner of this key of minisign has signed: a file, or the key; ' +
        'may be given several times',
      fileName('a public key of minisign, or its file'),
    ),
    valueOption(
      '--newer-than TIME',
      'with --trust: only what was stated since then (2026-11-29)',
      readStatementTime,
    ),
    switchOption('-n, --no-sparse', 'allocate the whole file first, and write zeros too'),
    switchOption(
      '--resume',
      'use what the target holds already and fetch what differs (NAME.part is used without asking)',
    ),
    switchOption('--check', 'compare the target with the image and write nothing'),
    switchOption('--verify', 'read the copy back from the disk before it counts as done'),
    switchOption(
      '--discard',
      'on a device, discard what no file system uses, and zeros that are sure to read so then',
    ),
    switchOption(
      '--wipe-free',
      'make zeros of what no file system uses (default: what is there stays)',
    ),
    switchOption('--dry-run', 'say what would be done with the target and write nothing'),
    doctorOption(),
    switchOption('-y, --yes', 'overwrite a device without five seconds to think better of it'),
    valueOption(
      '--label TEXT',
      'what the server is to call this machine, beside its host name: at most 40 bytes',
      readLabel,
    ),
    switchOption('--follow', 'start anew when the server serves another image'),
    switchOption(
      '--fit',
      'on a larger disk, move the second partition table (GPT) to its end after the copy',
    ),
    valueOption(
      '--then COMMAND',
      'run by /bin/sh when the copy is proven; MULTICLIENT_TARGET and others tell it of the copy',
      someText('a command'),
    ),
    switchOption(
      '--force',
      'without -o, replace a file of that name; and overwrite a device that LVM, RAID or a loop ' +
        'holds, but never a mounted one',
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
  return command.addHelpText('after', CLIENT_EPILOGUE);
}
